"""The private directory of one run, and the client of the supervisor that owns it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..errors import StackError
from ..redaction.redactor import Redactor
from ..timeouts import poll
from . import daemon as supervisor
from . import disk
from .marked import end_marked

PREFIX = "vault-issuer-"
#: Bytes that the path of a Unix socket may have, its end included: 104 on macOS, 108 on Linux.
SOCKET_PATH_LIMIT = 104
#: What is registered as secret in one process of a run, for the others: one JSON string in a line.
SECRETS = "secrets.jsonl"
#: Bytes of a log's end that an error is made of: more would take long to redact.
LOG_END = 1_000_000
#: Seconds that a supervisor gets to answer.
_ANSWER = 30.0


def new_path() -> Path:
    """Return a path for a run directory that does not exist yet.

    It is short, because the path of a Unix socket must fit into about 100 bytes.
    """
    return Path(tempfile.gettempdir()) / f"{PREFIX}{secrets.token_hex(6)}"


def socket_path_excess(path: Path) -> int:
    """Return by how many bytes the path of a run directory is too long for its socket; at most 0 where it fits."""
    return len(os.fsencode(path / supervisor.SOCKET)) + 1 - SOCKET_PATH_LIMIT


class RunDirectory:
    """Files, logs and processes of one run; shared by all pytest-xdist workers of it.

    :param path: from :func:`new_path`, the same in every process of the run.
    :param owner: process id with which everything here ends.
    :ivar redactor: knows every secret of the run, in whichever process it was registered.
    """

    def __init__(self, path: Path, owner: int) -> None:
        self.path = path
        self.owner = owner
        self.redactor = Redactor(store=path / SECRETS)

    @property
    def exists(self) -> bool:
        """Whether anything was started in this run."""
        return self.path.is_dir()

    def lock(self, name: str = "run") -> FileLock:
        """Return a lock between the processes of this run (create the directory first)."""
        return FileLock(self.path / f"{name}.lock", mode=0o600)

    def open(self) -> None:
        """Create the directory and start its supervisor, if nobody has yet.

        :raises StackError: when the supervisor does not start, or the path is too long.
        """
        if (excess := socket_path_excess(self.path)) > 0:
            raise StackError(
                f"the path of {self.path} is too long by {excess} bytes for a Unix socket in it",
                hint="name a directory with a shorter path in TMPDIR",
            )
        with disk.explained(self.path):
            self.path.mkdir(mode=0o700, exist_ok=True)
        with self.lock("supervisor"):
            if (self.path / supervisor.SOCKET).exists():
                return
            # As a file and isolated: it imports nothing of this package, and starts the sooner.
            command = [sys.executable, "-I", supervisor.__file__, str(self.path), str(self.owner)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            with process.stdout:
                answer = process.stdout.readline()
            status = process.wait()  # it leaves a child behind and ends
            if answer != "ready\n":
                shutil.rmtree(self.path, ignore_errors=True)
                raise StackError(
                    f"the process supervisor did not start (exit status {status})",
                    hint=disk.hint("", self.path.parent, f"try `{' '.join(command[:3])}` by hand and read its error"),
                )

    def spawn(self, name: str, argv: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> int:
        """Start a process that ends with the run and return its process id.

        It gets PATH, HOME and the locale of this process plus `env`, nothing
        else: what a component does must not depend on the user's shell.

        :raises StackError: when it cannot be executed.
        """
        request = {"name": name, "argv": argv, "env": _kept() | (env or {}), "cwd": str(cwd) if cwd else None}
        return int(self._ask("spawn", **request)["pid"])

    def returncode(self, name: str) -> int | None:
        """Return the exit status of a process, None while it runs."""
        status: int | None = self._ask("status", name=name)["returncode"]
        return status

    def stop(self, name: str, *, graceful: bool = False) -> None:
        """End one process; return once it is gone."""
        self._ask("stop", name=name, graceful=graceful)

    def keep(self) -> None:
        """Have everything stay when the owner ends, until :meth:`close`."""
        self._ask("keep")

    def describe(self) -> dict[str, Any]:
        """Return whose it is (`owner`, 0: kept) and its `processes`, each with None or its exit status.

        :raises StackError: when no supervisor answers.
        """
        return self._ask("describe")

    @property
    def supervisor(self) -> int:
        """The supervisor's process id.

        :raises StackError: when none answers.
        """
        return int(self.describe()["supervisor"])

    def hold(self, name: str, holder: int) -> None:
        """Have one process stand still until :meth:`release`, or until the process `holder` is gone."""
        self._ask("hold", name=name, holder=holder)

    def release(self, name: str, holder: int) -> None:
        """Let a process that `holder` held go on."""
        self._ask("release", name=name, holder=holder)

    def at_end(self, argv: list[str], env: dict[str, str] | None = None, limit: float | None = None) -> None:
        """Have a command run when everything else has ended, however that comes about; `env` as for :meth:`spawn`.

        It is run in the root directory.

        :param limit: seconds that it gets, default two minutes.
        """
        self._ask("at_end", argv=argv, env=_kept() | (env or {}), **({} if limit is None else {"limit": limit}))

    @property
    def answers(self) -> bool:
        """Whether a supervisor is there, so that somebody will end what is in this run."""
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.path / supervisor.SOCKET))
            except PermissionError:
                return True  # another user's, who will see to it
            except OSError:
                return False
        return True

    def close(self) -> None:
        """End every process, run what is to be run at the end, and remove the directory.

        Where the supervisor was killed, this process does so in its place.

        :raises StackError: when the supervisor is gone, or one of these commands fails; the directory, which holds
            credentials, is removed all the same.
        """
        try:
            if (self.path / supervisor.SOCKET).exists():
                _raise_failed(self._end())
        finally:
            shutil.rmtree(self.path, ignore_errors=True)

    def _end(self) -> list[str]:
        """Have the supervisor end the run; return what the commands for the end say that failed."""
        try:
            return list(self._ask("end")["failed"])
        except StackError:
            # One that is ending already hangs up, and goes on: what it does is not done twice.
            if poll(lambda: None if self.answers else True, timeout=self._end_limit()) and self.exists:
                self.finish()
            raise

    def _end_limit(self) -> float:
        """Return the seconds that the commands for the end may take together."""
        try:
            return sum(limit for _, _, limit in supervisor.recorded_commands(self.path)) or supervisor.EXIT_HOOK_LIMIT
        except (OSError, ValueError):
            return supervisor.EXIT_HOOK_LIMIT

    def finish(self) -> None:
        """End a run whose supervisor was killed: its processes, what is to be run at the end, and the directory.

        :raises StackError: when a process cannot be ended, so that the directory stays; or when a command fails.
        """
        if left := end_marked(self.path):
            raise StackError(
                f"processes of {self.path} cannot be ended: {', '.join(map(str, left))}", hint="look at them: ps"
            )
        try:
            failed = supervisor.run_commands(supervisor.recorded_commands(self.path))
        except (OSError, ValueError) as error:
            failed = [f"what was to be run at the end cannot be read: {error}"]
        finally:
            shutil.rmtree(self.path, ignore_errors=True)
        if self.exists:
            failed.append(f"{self.path} cannot be removed")
        _raise_failed(failed)

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self.path / supervisor.LOGS / f"{name}.log"

    def log_tail(self, name: str, lines: int = 20) -> str:
        """Return the last `lines` of a process's log, redacted ('' when there is none)."""
        try:
            with self.log(name).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LOG_END))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(self.redactor.redact(text).splitlines()[-lines:])

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file only the user can read, atomically, and return its path."""
        path = self.path / name
        with disk.explained(self.path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        return path

    def not_ready(self, name: str, what: str, limit: float, hint: str) -> StackError:
        """Return the error for a process that did not come up: how it went, and the end of its log.

        :param what: it is, for people; :param limit: seconds it was waited for; :param hint: what to do about it.
        """
        status = self.returncode(name)
        how = f"did not become ready within {limit:g} s" if status is None else f"ended at once (exit status {status})"
        said = self.log(name).read_text(errors="replace") if self.log(name).exists() else ""
        return StackError(
            f"{what} {how}; the end of its log:\n{self.log_tail(name)}", hint=disk.hint(said, self.path, hint)
        )

    def _ask(self, operation: str, **request: Any) -> dict[str, Any]:
        # To "end", it answers when the commands for the end have run.
        limit = _ANSWER + (self._end_limit() if operation == "end" else 0.0)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(limit)
                connection.connect(str(self.path / supervisor.SOCKET))
                with connection.makefile("rw") as stream:
                    stream.write(json.dumps({"operation": operation, **request}) + "\n")
                    stream.flush()
                    answer: dict[str, Any] = json.loads(stream.readline())
        except (OSError, ValueError) as error:
            raise StackError(
                f"the process supervisor of {self.path} does not answer: {error}", hint="start the run again"
            ) from error
        if "error" in answer:
            raise StackError(
                f"{operation} {request.get('name')}: {answer['error']}", hint="check the program and its directory"
            )
        return answer


def _raise_failed(failed: list[str]) -> None:
    if failed:
        raise StackError("\n".join(failed), hint="remove it by hand, or: vault-issuer stack down")


def _kept() -> dict[str, str]:
    return {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
