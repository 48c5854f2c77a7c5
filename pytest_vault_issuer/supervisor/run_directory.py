"""The private directory of one session, and the client of the supervisor that owns it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
#: Maximum length of the path of a Unix socket in bytes, with its terminating zero: 104 on macOS, 108 on Linux.
SOCKET_PATH_LIMIT = 104
#: File with the secrets that one process of a session registers for the others: one JSON string in each line.
SECRETS = "secrets.jsonl"
#: Number of bytes at the end of a log that an error may show: redacting more would take long.
LOG_END = 1_000_000
#: Seconds for an answer of the supervisor.
_ANSWER = 30.0


def new_path() -> Path:
    """Return a path for a run directory that does not exist yet.

    It is short, because the path of a Unix socket must fit into about 100 bytes.
    """
    return Path(tempfile.gettempdir()) / f"{PREFIX}{secrets.token_hex(6)}"


def socket_path_excess(path: Path) -> int:
    """Return by how many bytes the path of a run directory is too long for its socket; 0 or less if it fits."""
    return len(os.fsencode(path / supervisor.SOCKET)) + 1 - SOCKET_PATH_LIMIT


class RunDirectory:
    """Files, logs and processes of one session, shared by all its pytest-xdist workers.

    :param path: from :func:`new_path`, the same in all processes of the session.
    :param owner: id of the process whose end ends the session.
    :ivar redactor: has the secrets of all processes of the session.
    """

    def __init__(self, path: Path, owner: int) -> None:
        self.path = path
        self.owner = owner
        self.redactor = Redactor(store=path / SECRETS)

    @property
    def exists(self) -> bool:
        """Whether the session has started anything."""
        return self.path.is_dir()

    def lock(self, name: str = "run") -> FileLock:
        """Return a lock between the processes of this session; the directory must exist."""
        return FileLock(self.path / f"{name}.lock", mode=0o600)

    def open(self) -> None:
        """Create the directory and start its supervisor, unless another process of the session has.

        :raises StackError: if the supervisor does not start, if the path is too long, or if others can use it.
        """
        if (excess := socket_path_excess(self.path)) > 0:
            raise StackError(
                f"the path of {self.path} is too long by {excess} bytes for a Unix socket in it",
                hint="set TMPDIR to a directory with a shorter path",
            )
        with disk.explained(self.path):
            self.path.mkdir(mode=0o700, exist_ok=True)
        self._check_private()
        with self.lock("supervisor"):
            if (self.path / supervisor.SOCKET).exists():
                return
            # As an isolated file it imports nothing of this package, so that it starts faster.
            command = [sys.executable, "-I", supervisor.__file__, str(self.path), str(self.owner)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            with process.stdout:
                answer = process.stdout.readline()
            status = process.wait()  # it forks and ends
            if answer != "ready\n":
                shutil.rmtree(self.path, ignore_errors=True)
                raise StackError(
                    f"the process supervisor did not start (exit status {status})",
                    hint=disk.hint("", self.path.parent, f"run `{' '.join(command[:3])}` by hand to see its error"),
                )

    def _check_private(self) -> None:
        """Check that only this user can use the directory: it may have existed in a directory that others share."""
        about = self.path.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
            raise StackError(
                f"{self.path} exists, and belongs to another user or is open to others",
                hint="set TMPDIR to a directory on a file system with Unix permissions",
            )

    def spawn(self, name: str, command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> int:
        """Start a process that ends with the session, and return its process id.

        Its environment is PATH, HOME, LANG and TMPDIR of this process, and `env`: the behavior of a component must not
        depend on the user's shell.

        :raises StackError: if it cannot be executed.
        """
        request = {"name": name, "command": command, "env": _kept() | (env or {}), "cwd": str(cwd) if cwd else None}
        return int(self._ask("spawn", **request)["pid"])

    def returncode(self, name: str) -> int | None:
        """Return the exit status of a process; None while it runs."""
        status: int | None = self._ask("status", name=name)["returncode"]
        return status

    def process_id(self, name: str) -> int:
        """Return the process id of a process."""
        return int(self._ask("status", name=name)["pid"])

    def stop(self, name: str, *, graceful: bool = False) -> None:
        """End one process, and return after its end."""
        self._ask("stop", name=name, graceful=graceful)

    def stop_for_now(self, name: str, by: int, *, graceful: bool = False) -> None:
        """Stop one process until :meth:`start`, or until the process `by` ends."""
        self._ask("stop_for_now", name=name, by=by, graceful=graceful)

    def start(self, name: str) -> None:
        """Start a process again that has ended, with its arguments; do nothing if it runs."""
        self._ask("start", name=name)

    def copy(self, name: str, like: str, more: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
        """Start a process as the process `like` was started, with `more` arguments and additional variables `env`."""
        self._ask("copy", name=name, like=like, more=list(more), env=env or {})

    def restart_on_exit(self, name: str, by: int) -> None:
        """Restart a process whenever it ends, as a kubelet does.

        This lasts until :meth:`end_restart_on_exit`, or until the process `by` ends.
        """
        self._ask("restart_on_exit", name=name, by=by)

    def end_restart_on_exit(self, name: str) -> int:
        """End the restarts of a process, which runs afterwards; return how often it was restarted."""
        return int(self._ask("end_restart_on_exit", name=name)["restarts"])

    def keep(self) -> None:
        """Keep the session after the end of its owner, until :meth:`close`."""
        self._ask("keep")

    def describe(self) -> dict[str, Any]:
        """Return the process id of the `owner` (0: kept), and the exit status of each of the `processes` (None: runs).

        :raises StackError: if no supervisor answers.
        """
        return self._ask("describe")

    @property
    def supervisor(self) -> int:
        """The supervisor's process id.

        :raises StackError: if none answers.
        """
        return int(self.describe()["supervisor"])

    def pause(self, name: str, by: int) -> None:
        """Pause one process until :meth:`resume`, or until the process `by` ends."""
        self._ask("pause", name=name, by=by)

    def resume(self, name: str, by: int) -> None:
        """Resume a process that `by` paused, unless another process pauses it, too."""
        self._ask("resume", name=name, by=by)

    def at_end(self, command: list[str], env: dict[str, str] | None = None, limit: float | None = None) -> None:
        """Add an exit hook: a command that the supervisor runs when all processes have ended, also after a kill.

        Its working directory is the root directory.

        :param env: as for :meth:`spawn`.
        :param limit: in seconds; default: two minutes.
        """
        self._ask("at_end", command=command, env=_kept() | (env or {}), **({} if limit is None else {"limit": limit}))

    @property
    def answers(self) -> bool:
        """Whether a supervisor runs, which will end the session."""
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.path / supervisor.SOCKET))
            except PermissionError:
                return True  # it belongs to another user
            except OSError:
                return False
        return True

    def close(self) -> None:
        """End every process, run the exit hooks, and remove the directory.

        If the supervisor was killed, this process does the same.

        :raises StackError: if the supervisor was killed, or if an exit hook fails. The directory, which contains
            credentials, is removed nevertheless.
        :raises KeyboardInterrupt: if a signal ends the wait for the supervisor, with a sentence about what remains.
        """
        try:
            if (self.path / supervisor.SOCKET).exists():
                _raise_failed(self._end())
        except KeyboardInterrupt as interrupt:  # the process that ends the session still needs the directory
            raise KeyboardInterrupt(f"interrupted: {self.outlook}") from interrupt
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def outlook(self) -> str:
        """What happens to the session if this process ends now, in a sentence."""
        if not self.exists:
            return "nothing was started"
        if self.answers:
            return (
                f"the supervisor of {self.path} removes what the session started; if something remains, run: "
                "vault-issuer stack down"
            )
        return f"the supervisor of {self.path} has ended; remove what the session started: vault-issuer stack down"

    def _end(self) -> list[str]:
        """Let the supervisor end the session; return the errors of its exit hooks."""
        try:
            return list(self._ask("end")["failed"])
        except StackError:
            # A supervisor that is already ending closes the connection and continues: do not repeat its work.
            if poll(lambda: None if self.answers else True, timeout=self._end_limit()) and self.exists:
                self.finish()
            raise

    def _end_limit(self) -> float:
        """Return the sum of the limits of the exit hooks, in seconds."""
        try:
            return sum(limit for _, _, limit in supervisor.recorded_commands(self.path)) or supervisor.EXIT_HOOK_LIMIT
        except (OSError, ValueError):
            return supervisor.EXIT_HOOK_LIMIT

    def finish(self) -> None:
        """End a session whose supervisor was killed: end its processes, run its exit hooks, remove its directory.

        :raises StackError: if a process cannot be ended, so that the directory is kept; or if an exit hook fails.
        """
        if left := end_marked(self.path):
            raise StackError(
                f"processes of {self.path} cannot be ended: {', '.join(map(str, left))}",
                hint=f"see what they do: ps -p {','.join(map(str, left))}",
            )
        try:
            failed = supervisor.run_commands(supervisor.recorded_commands(self.path))
        except (OSError, ValueError) as error:
            failed = [f"the exit hooks of the session cannot be read: {error}"]
        finally:
            shutil.rmtree(self.path, ignore_errors=True)
        if self.exists:
            failed.append(f"{self.path} cannot be removed")
        _raise_failed(failed)

    def log(self, name: str) -> Path:
        """Return the path of the log of a process."""
        return self.path / supervisor.LOGS / f"{name}.log"

    def log_tail(self, name: str, lines: int = 20) -> str:
        """Return the last `lines` of the log of a process, redacted; '' if there is none."""
        try:
            with self.log(name).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 2 * LOG_END))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        end = self.redactor.redact_end(text, len(text) // 2) if size > 2 * LOG_END else self.redactor.redact(text)
        return "\n".join(end.splitlines()[-lines:])

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file that only the user can read, atomically, and return its path."""
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
        """Return the error for a process that did not become ready, with the end of its log.

        :param what: describes the process; :param limit: in seconds; :param hint: unless the disk is full.
        """
        status = self.returncode(name)
        how = f"did not become ready within {limit:g} s" if status is None else f"ended at once (exit status {status})"
        said = self.log(name).read_text(errors="replace") if self.log(name).exists() else ""
        return StackError(
            f"{what} {how}; the end of its log:\n{self.log_tail(name)}", hint=disk.hint(said, self.path, hint)
        )

    def _ask(self, operation: str, **request: Any) -> dict[str, Any]:
        # The answer to "end" arrives after the exit hooks have run.
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
                f"the process supervisor of {self.path} does not answer: {error}", hint="start the session again"
            ) from error
        if "error" in answer:
            raise StackError(
                f"{operation} {request.get('name')}: {answer['error']}", hint="check the program and its directory"
            )
        return answer


def _raise_failed(failed: list[str]) -> None:
    if failed:
        raise StackError("\n".join(failed), hint="remove what is left by hand, or: vault-issuer stack down")


def _kept() -> dict[str, str]:
    return {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
