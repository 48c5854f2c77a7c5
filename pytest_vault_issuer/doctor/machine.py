"""Checks what a session needs of the machine besides the components, and what optional programs add."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..aws.sts import missing_modules
from ..stack.kind import cleanup
from ..supervisor.discovery import ORPHAN, UNATTRIBUTED, FoundSession
from ..supervisor.run_directory import new_path, socket_path_excess
from ..toolchain import Toolchain

#: States of a finding: fine; a part of the suite cannot run; the suite cannot run.
OK, ABSENT, BROKEN = "ok", "absent", "broken"
#: MB of memory for the components of one session (measured) and the controller.
_MEMORY = 1000
#: MB that one session writes into the directory for temporary files (measured), and logs of a long one.
_TEMPORARY = 500
#: Open files that kube-apiserver and etcd need under the suite, with a margin.
_FILES = 1024
#: Seconds to wait for the answer of a container engine.
_ANSWER = 10.0


@dataclass(frozen=True)
class Finding:
    """One checked property of the machine.

    :ivar state: `OK`, `ABSENT` (a part of the suite cannot run) or `BROKEN` (the suite cannot run).
    :ivar fix: what to do; '' if nothing needs a fix.
    """

    subject: str
    state: str
    detail: str
    fix: str = ""


def examine_machine(toolchain: Toolchain, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Check the machine."""
    findings = [_python(), _system(), _temporary(), _loopback(), _files()]
    memory = _memory()
    return [*findings, *([memory] if memory else []), *_extras(), *_programs(toolchain, environment), *_left()]


def _python() -> Finding:
    return Finding("Python", OK, f"{platform.python_version()}, {sys.executable}")


def _system() -> Finding:
    detail = f"{platform.system()} {platform.machine()}, {os.cpu_count() or 1} cores"
    if platform.system() == "Linux":
        return Finding("system", OK, detail)
    if platform.system() == "Darwin":
        return Finding(
            "system", ABSENT, f"{detail}: processes of a killed session keep running", "vault-issuer stack down"
        )
    return Finding("system", BROKEN, f"{detail}: the components run on Linux and macOS only", "use Linux or macOS")


def _temporary() -> Finding:
    place = Path(tempfile.gettempdir())
    fix = "name another directory in TMPDIR"
    if (excess := socket_path_excess(new_path())) > 0:
        detail = f"{place}: the path is too long by {excess} bytes for a Unix socket in it"
        return Finding("temporary files", BROKEN, detail, "name a directory with a shorter path in TMPDIR")
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding("temporary files", BROKEN, f"{place} is not writable", fix)
    free = shutil.disk_usage(place).free // 10**6
    if free < _TEMPORARY:
        return Finding("temporary files", BROKEN, f"{place}: {free} MB free, a session needs {_TEMPORARY} MB", fix)
    return Finding("temporary files", OK, f"{place}, {free / 1000:.1f} GB free")


def _loopback() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
            pass
    except OSError as error:
        return Finding("loopback", BROKEN, f"127.0.0.1 cannot be used: {error.strerror}", "bring the interface lo up")
    return Finding("loopback", OK, "127.0.0.1 answers")


def _files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        return Finding("open files", BROKEN, f"at most {soft}, a session needs {_FILES}", f"ulimit -n {_FILES * 4}")
    return Finding("open files", OK, "unlimited" if soft == resource.RLIM_INFINITY else f"at most {soft}")


def _memory() -> Finding | None:
    """Check the free memory; None if the system does not report it."""
    table = Path("/proc/meminfo")
    if not table.exists():
        return None
    lines = dict(line.split(":", 1) for line in table.read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) // 1000
    if free < _MEMORY:
        return Finding("memory", BROKEN, f"{free} MB free, a session needs about {_MEMORY} MB", "close other programs")
    return Finding("memory", OK, f"{free / 1000:.1f} GB free")


def _extras() -> list[Finding]:
    """Check the optional packages."""
    aws = missing_modules()
    wanted = {
        "xdist": ("pytest-xdist", find_spec("xdist") is not None, "no -n: the suite runs in one process"),
        "aws": ("a local STS (moto)", not aws, f"{', '.join(aws)} missing: the suite cannot judge the feature aws"),
        "kubeconfig": (
            "kubernetes",
            find_spec("kubernetes") is not None,
            "no kubeconfigs that run a program for credentials (exec), or read them from a provider (OIDC)",
        ),
        "completion": ("argcomplete", find_spec("argcomplete") is not None, "no completion in shells"),
    }
    return [
        Finding(f"extra {extra}", OK, what)
        if there
        else Finding(f"extra {extra}", ABSENT, lack, f"pip install 'pytest-vault-issuer[{extra}]'")
        for extra, (what, there, lack) in wanted.items()
    ]


def _programs(toolchain: Toolchain, environment: Mapping[str, str]) -> list[Finding]:
    """Check the programs that the provider kind and users of dev stacks need."""
    search = environment.get("PATH", "")
    kubectl = shutil.which("kubectl", path=search) or toolchain.path("kubectl")
    kind = shutil.which("kind", path=search)
    vault = shutil.which("vault", path=search) or shutil.which("bao", path=search)
    return [
        _engine(search),
        Finding("kind", OK, kind)
        if kind
        else Finding("kind", ABSENT, "not in PATH: no provider kind", "https://kind.sigs.k8s.io"),
        Finding("kubectl", OK, str(kubectl))
        if kubectl
        else Finding("kubectl", ABSENT, "neither in PATH nor in the cache", "vault-issuer toolchain build kubectl"),
        Finding("vault command", OK, vault)
        if vault
        else Finding(
            "vault command", ABSENT, "neither vault nor bao in PATH: only users of dev stacks need one", "install one"
        ),
    ]


def _engine(search: str) -> Finding:
    subject = "container engine"
    seen = []
    for name in ("docker", "podman"):
        path = shutil.which(name, path=search)
        if path is None:
            continue
        try:
            result = subprocess.run([path, "info"], capture_output=True, text=True, timeout=_ANSWER)
        except subprocess.TimeoutExpired:
            seen.append(f"{path} did not answer within {_ANSWER:g} s")
            continue
        if result.returncode == 0:
            return Finding(subject, OK, f"{path} answers")
        reason = result.stderr.strip().splitlines()
        seen.append(f"{path}: {reason[-1] if reason else f'exit status {result.returncode}'}")
    if seen:
        return Finding(subject, ABSENT, "; ".join(seen), "start it, or get permission to use it")
    return Finding(subject, ABSENT, "neither docker nor podman in PATH: no provider kind", "install one")


def _left() -> list[Finding]:
    found = cleanup.find_all()
    orphans = [session for session in found if session.state == ORPHAN]
    findings = [_orphans(orphans) if orphans else Finding("orphaned resources", OK, "none")]
    findings += [
        Finding(
            UNATTRIBUTED,
            ABSENT,
            f"on the container engine, of {session.whose}, which may still run: {', '.join(session.containers)}",
            f"if it does not run: {session.removal}",
        )
        for session in found
        if session.state == UNATTRIBUTED
    ]
    return findings


def _orphans(orphans: list[FoundSession]) -> Finding:
    directories = [str(session.path) for session in orphans if session.path.exists()]
    containers = [name for session in orphans for name in session.containers]
    left = [", ".join(directories), f"on the container engine: {', '.join(containers)}" if containers else ""]
    return Finding("orphaned resources", ABSENT, "; ".join(filter(None, left)), "vault-issuer stack down")
