"""What a run needs of the machine besides the components, and what more it can do where more is there."""

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
from importlib.util import find_spec
from pathlib import Path

from ..aws.sts import missing_modules
from ..stack.kind import cleanup
from ..supervisor.discovery import ORPHAN, UNATTRIBUTED, FoundRun
from ..supervisor.run_directory import new_path, socket_path_excess
from ..toolchain import Toolchain
from .finding import ABSENT, BROKEN, OK, Finding

#: MB that the components of one run take, measured, and some for the issuer.
_MEMORY = 1000
#: MB that one run writes into the directory for temporary files, measured, and some for a long run's logs.
_TEMPORARY = 500
#: Open files of kube-apiserver and etcd under the suite, and some.
_FILES = 1024
#: Seconds that a container engine gets to answer.
_ANSWER = 10.0


def examine_surroundings(toolchain: Toolchain, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Look at the machine."""
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
        return Finding("system", ABSENT, f"{detail}: children of a killed run live on", "vault-issuer stack down")
    return Finding("system", BROKEN, f"{detail}: Vault and Kubernetes run as processes of Linux or macOS", "use one")


def _temporary() -> Finding:
    place = Path(tempfile.gettempdir())
    fix = "name another directory in TMPDIR"
    if (excess := socket_path_excess(new_path())) > 0:
        detail = f"{place}: its path is too long by {excess} bytes for a Unix socket in it"
        return Finding("temporary files", BROKEN, detail, "name a directory with a shorter path in TMPDIR")
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding("temporary files", BROKEN, f"{place} cannot be written", fix)
    free = shutil.disk_usage(place).free // 10**6
    if free < _TEMPORARY:
        return Finding("temporary files", BROKEN, f"{place}: {free} MB free, a run needs {_TEMPORARY}", fix)
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
        return Finding("open files", BROKEN, f"at most {soft}, {_FILES} are needed", f"ulimit -n {_FILES * 4}")
    return Finding("open files", OK, "as many as are wanted" if soft == resource.RLIM_INFINITY else f"at most {soft}")


def _memory() -> Finding | None:
    """Say how much memory is free; None where the system does not."""
    table = Path("/proc/meminfo")
    if not table.exists():
        return None
    lines = dict(line.split(":", 1) for line in table.read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) // 1000
    if free < _MEMORY:
        return Finding("memory", BROKEN, f"{free} MB free, about {_MEMORY} are needed", "close something large")
    return Finding("memory", OK, f"{free / 1000:.1f} GB free")


def _extras() -> list[Finding]:
    """Look for the optional packages."""
    aws = missing_modules()
    wanted = {
        "xdist": ("pytest-xdist", find_spec("xdist") is not None, "no -n: the suite runs on one core"),
        "aws": ("a local STS (moto)", not aws, f"{', '.join(aws)} missing: the feature aws cannot be judged"),
        "completion": ("argcomplete", find_spec("argcomplete") is not None, "no completion in shells"),
    }
    return [
        Finding(f"extra {extra}", OK, what)
        if there
        else Finding(f"extra {extra}", ABSENT, lack, f"pip install 'pytest-vault-issuer[{extra}]'")
        for extra, (what, there, lack) in wanted.items()
    ]


def _programs(toolchain: Toolchain, environment: Mapping[str, str]) -> list[Finding]:
    """Look for what containers and people need."""
    search = environment.get("PATH", "")
    kubectl = shutil.which("kubectl", path=search) or toolchain.path("kubectl")
    kind = shutil.which("kind", path=search)
    vault = shutil.which("vault", path=search) or shutil.which("bao", path=search)
    return [
        _engine(search),
        Finding("kind", OK, kind)
        if kind
        else Finding("kind", ABSENT, "not in PATH: no clusters in containers", "https://kind.sigs.k8s.io"),
        Finding("kubectl", OK, str(kubectl))
        if kubectl
        else Finding("kubectl", ABSENT, "not there", "vault-issuer toolchain build kubernetes"),
        Finding("vault command", OK, vault)
        if vault
        else Finding(
            "vault command", ABSENT, "neither vault nor bao in PATH: of use in dev stacks only", "install one"
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
            answer = subprocess.run([path, "info"], capture_output=True, text=True, timeout=_ANSWER)
        except subprocess.TimeoutExpired:
            seen.append(f"{path} did not answer within {_ANSWER:g} s")
            continue
        if answer.returncode == 0:
            return Finding(subject, OK, f"{path} answers")
        reason = answer.stderr.strip().splitlines()
        seen.append(f"{path}: {reason[-1] if reason else f'exit status {answer.returncode}'}")
    if seen:
        return Finding(subject, ABSENT, "; ".join(seen), "start it, or ask for the right to use it")
    return Finding(subject, ABSENT, "neither docker nor podman in PATH: no stacks in containers", "install one")


def _left() -> list[Finding]:
    found = cleanup.find_all()
    orphans = [run for run in found if run.state == ORPHAN]
    findings = [_orphans(orphans) if orphans else Finding("left of killed runs", OK, "nothing")]
    findings += [
        Finding(
            UNATTRIBUTED,
            ABSENT,
            f"of {run.whose}, which may be under way: on the container engine: {', '.join(run.containers)}",
            f"if it is not under way: {run.removal}",
        )
        for run in found
        if run.state == UNATTRIBUTED
    ]
    return findings


def _orphans(orphans: list[FoundRun]) -> Finding:
    directories = [str(run.path) for run in orphans if run.path.exists()]
    containers = [name for run in orphans for name in run.containers]
    left = [", ".join(directories), f"on the container engine: {', '.join(containers)}" if containers else ""]
    return Finding("left of killed runs", ABSENT, "; ".join(filter(None, left)), "vault-issuer stack down")
