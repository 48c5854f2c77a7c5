"""Keeps the processes of one run and ends them with the run, however it ends.

The supervisor is a small process of its own. It starts what it is told to start,
each in a session of its own with its output in a log file, and ends all of it
and removes the run directory when it is told to, when its owner (the pytest
process) is gone, even by SIGKILL, or when it is terminated itself. Where Linux
offers it, children also die with the supervisor, and their orphans come to it.
A stack that is to stay without an owner is kept from then on.

Run as ``python -I daemon.py RUN_DIRECTORY OWNER_PID``; only the standard
library is imported, so that it starts in a few dozen ms. One request is one
JSON line over a Unix socket in the run directory (mode 0700).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

SOCKET = "supervisor.sock"
LOGS = "logs"
#: File in the run directory with the exit commands, for the process that ends the session if the supervisor is killed.
COMMANDS = "at-end.json"
#: Environment variable of every process that a supervisor starts: the run directory. It identifies orphaned processes.
MARK = "VAULT_ISSUER_RUN"
#: Seconds for a command at the end that asks for no others; removing a kind cluster takes a few.
EXIT_HOOK_LIMIT = 120.0
#: A command for the end: its words, its environment, and the seconds that it gets.
Command = tuple[list[str], dict[str, str], float]
#: Seconds a process gets between SIGTERM and SIGKILL when a graceful stop is asked for.
GRACE = 3.0
#: Bytes of one request: the arguments and the environment of a process are at most 2 MB on Linux.
REQUEST_LIMIT = 4 << 20
#: Seconds in which a client must have sent its whole request, and must take its answer.
PATIENCE = 10.0
#: Clients that may be in the middle of their request; the oldest is closed for one more.
_CLIENTS = 64
#: Processes that may hold another; each takes a file descriptor.
_HOLDERS = 64
_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with(supervisor: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before that
        os._exit(1)


class Other:
    """A process that is not the supervisor's own, and whether it is gone.

    :ivar descriptor: becomes readable when it is; None where the system has no such thing.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.descriptor: int | None = None
        self._never_was = False
        if hasattr(os, "pidfd_open"):
            try:
                self.descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self._never_was = True

    def gone(self) -> bool:
        """Whether it has ended."""
        if self.descriptor is not None:
            return bool(select.select([self.descriptor], [], [], 0)[0])
        if self._never_was:
            return True
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, PermissionError):  # another user's has its number by now
            return True
        return False

    def forget(self) -> None:
        """Watch it no longer."""
        if self.descriptor is not None:
            os.close(self.descriptor)


class Supervisor:
    """The processes of one run, by name.

    :ivar owner: with whom it all ends; None for a stack that is kept.
    :ivar holders: who wants a process to stand still, by its name.
    """

    def __init__(self, directory: Path, owner: int) -> None:
        self.directory = directory
        self.owner: Other | None = Other(owner)
        self.holders: dict[str, list[Other]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.exit_hooks: list[Command] = []
        self.ended = False
        self.logs = directory / LOGS
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def spawn(self, name: str, argv: list[str], env: dict[str, str], cwd: str | None = None) -> dict[str, Any]:
        """Start `argv` with `env` and the mark, nothing else; its output goes to ``logs/NAME.log``."""
        old = self.processes.get(name)
        if old is not None and old.poll() is None:
            raise ValueError(f"a process named {name} is running")
        descriptor = os.open(self.logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                argv,
                env={**env, MARK: str(self.directory)},
                cwd=cwd or self.directory,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, os.getpid()) if _LINUX else None,
            )
        finally:
            os.close(descriptor)
        self.processes[name] = process
        return {"pid": process.pid}

    def status(self, name: str) -> dict[str, Any]:
        """Say whether the process runs, and its exit status (negative: a signal) if not."""
        process = self.processes[name]
        return {"pid": process.pid, "returncode": process.poll()}

    def stop(self, name: str, graceful: bool = False) -> dict[str, Any]:
        """End the process and everything in its session; return once it is gone."""
        process = self.processes[name]
        if graceful and process.poll() is None:
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        return {"returncode": process.returncode}

    def keep(self) -> dict[str, Any]:
        """Go on without an owner, its terminal and its directory."""
        if self.owner is not None:
            log = os.open(self.logs / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, sys.stderr.fileno())
            os.close(log)
            os.chdir("/")
            self.owner.forget()
            self.owner = None
        return {}

    def describe(self) -> dict[str, Any]:
        """Say whose this is (0: nobody's), and what runs (None) or has ended (its exit status)."""
        return {
            "supervisor": os.getpid(),
            "owner": self.owner.pid if self.owner else 0,
            "processes": {name: process.poll() for name, process in self.processes.items()},
            "held": sorted(self.holders),
        }

    def hold(self, name: str, holder: int) -> dict[str, Any]:
        """Have a process stand still until :meth:`release`, or until the holder is gone."""
        process = self.processes[name]
        holders = self.holders.get(name, [])
        if len(holders) >= _HOLDERS:
            raise ValueError(f"{name} is held by {_HOLDERS} processes already")
        if holder not in (other.pid for other in holders):
            self.holders[name] = [*holders, Other(holder)]
        _signal_running(process, signal.SIGSTOP)
        return {}

    def release(self, name: str, holder: int) -> dict[str, Any]:
        """Let a process go on, unless others hold it too."""
        self._let_go(lambda held, other: (held, other.pid) == (name, holder))
        return {}

    def release_of_the_gone(self) -> None:
        """Let go on what nobody holds any more."""
        self._let_go(lambda _, other: other.gone())

    def _let_go(self, ended: Callable[[str, Other], bool]) -> None:
        for name in list(self.holders):
            for other in [other for other in self.holders[name] if ended(name, other)]:
                self.holders[name].remove(other)
                other.forget()
            if not self.holders[name]:
                del self.holders[name]
                _signal_running(self.processes[name], signal.SIGCONT)

    def watched(self) -> list[Other]:
        """Return the processes whose end matters."""
        return [*([self.owner] if self.owner else []), *(other for held in self.holders.values() for other in held)]

    def at_end(self, argv: list[str], env: dict[str, str], limit: float = EXIT_HOOK_LIMIT) -> dict[str, Any]:
        """Have a command run at the end, when no process is left: for what is not on this machine's process table.

        :param limit: seconds that it gets.
        """
        self.exit_hooks.append((argv, env, limit))
        draft = self.directory / f".{COMMANDS}"
        draft.write_text(json.dumps(self.exit_hooks))
        draft.rename(self.directory / COMMANDS)
        return {}

    def end(self) -> dict[str, Any]:
        """End everything and remove the run directory; say which commands for the end have failed, and how.

        The directory holds credentials: it is removed whatever happens before that.
        """
        self.ended = True
        try:
            try:
                self._end_processes()
            finally:
                failed = run_commands(self.exit_hooks)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
        return {"failed": failed}

    def _end_processes(self) -> None:
        for process in self.processes.values():
            _signal_group(process.pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()
        # What left its session was re-parented to this process as the subreaper.
        while orphans := _children():
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in orphans:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def answer(self, line: bytes) -> dict[str, Any]:
        """Do what one request asks for; an answer with ``error`` says why it could not be done."""
        try:
            operation, arguments = parse(line)
            return dict(getattr(self, operation)(**arguments))
        # Whatever it is: a request must not end the supervisor, and with it the run.
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}


def recorded_commands(directory: Path) -> list[Command]:
    """Return the commands for the end that the supervisor of a run directory has written down.

    :raises ValueError: when they cannot be read.
    """
    try:
        commands = json.loads((directory / COMMANDS).read_bytes())
    except FileNotFoundError:
        return []
    if not isinstance(commands, list) or not all(
        isinstance(item, list) and len(item) == 3 and all(fits(part) for fits, part in zip(_COMMAND, item, strict=True))
        for item in commands
    ):
        raise ValueError(f"{directory / COMMANDS} is not a list of commands")
    return [(argv, env, limit) for argv, env, limit in commands]


def run_commands(commands: list[Command]) -> list[str]:
    """Run each command, whatever became of those before it, and return what those that fail say."""
    return [text for command in commands if (text := _run_command(*command))]


def _run_command(argv: list[str], env: dict[str, str], limit: float) -> str:
    try:
        done = subprocess.run(
            argv,
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    return done.stderr.decode(errors="replace").strip() or "it failed" if done.returncode else ""


# -- requests ---------------------------------------------------------------------------------


def parse(line: bytes) -> tuple[str, dict[str, Any]]:
    """Return the operation that a request asks for, and its arguments.

    :raises ValueError: when it is none, with what is wrong.
    """
    request = json.loads(line, parse_constant=_no_constant)
    if not isinstance(request, dict):
        raise ValueError(f"a request must be an object, got {type(request).__name__}")
    operation = request.pop("operation", None)
    if not isinstance(operation, str) or operation not in _OPERATIONS:
        raise ValueError(f"operation must be one of {', '.join(_OPERATIONS)}, got {str(operation)[:40]!r}")
    wanted = _OPERATIONS[operation]
    if unknown := sorted(request.keys() - wanted.keys()):
        raise ValueError(f"{operation} has no {str(unknown[0])[:40]!r}")
    if missing := sorted(name for name, (_, _, needed) in wanted.items() if needed and name not in request):
        raise ValueError(f"{operation} needs {missing[0]}")
    for name, value in request.items():
        what, fits, _ = wanted[name]
        if not fits(value):
            # Without the value: it may be a credential.
            raise ValueError(f"{operation}: {name} must be {what}, got {type(value).__name__}")
    return operation, request


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_text(value: object) -> bool:
    """Whether the system takes it as an argument or a path."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _is_name(value: object) -> bool:
    """Whether a log can be named after it."""
    return _is_text(value) and value not in ("", ".", "..") and "/" not in str(value)


def _is_command(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_environment(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_text(name) and name and "=" not in name and _is_text(text) for name, text in value.items()
    )


def _is_directory(value: object) -> bool:
    return value is None or _is_text(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_process(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= threading.TIMEOUT_MAX


_COMMAND = (_is_command, _is_environment, _is_seconds)
_NAME = ("the name of a process", _is_name, True)
_ARGV = ("a list of words", _is_command, True)
_ENV = ("an object of texts", _is_environment, True)
_HOLDER = ("a process id", _is_process, True)
#: For each operation, by the name of an argument: what it must be, whether a value is that, and whether it is needed.
_OPERATIONS: dict[str, dict[str, tuple[str, Callable[[object], bool], bool]]] = {
    "spawn": {"name": _NAME, "argv": _ARGV, "env": _ENV, "cwd": ("a directory or null", _is_directory, False)},
    "status": {"name": _NAME},
    "stop": {"name": _NAME, "graceful": ("true or false", _is_flag, False)},
    "keep": {},
    "describe": {},
    "hold": {"name": _NAME, "holder": _HOLDER},
    "release": {"name": _NAME, "holder": _HOLDER},
    "at_end": {"argv": _ARGV, "env": _ENV, "limit": ("a number of seconds", _is_seconds, False)},
    "end": {},
}


class Clients:
    """Those in the middle of a request: none of them makes the supervisor, or another, wait.

    :param answer: returns what a request is answered with.
    """

    def __init__(self, listener: socket.socket, answer: Callable[[bytes], dict[str, Any]]) -> None:
        self._listener = listener
        self._answer = answer
        # In the order of their coming: what each has sent, and until when it may go on.
        self._pending: dict[socket.socket, tuple[bytearray, float]] = {}

    @property
    def sources(self) -> list[socket.socket]:
        """What becomes readable."""
        return [self._listener, *self._pending]

    @property
    def patience(self) -> float | None:
        """Seconds until the next one has had its time; None where there is none."""
        return max(0.0, min(limit for _, limit in self._pending.values()) - time.monotonic()) if self._pending else None

    def serve(self, readable: list[Any]) -> None:
        """Read what there is, answer whole requests, and close those who have had their time."""
        for client in [client for client in self._pending if client in readable]:
            self._read(client)
        now = time.monotonic()
        for client in [client for client, (_, limit) in self._pending.items() if limit <= now]:
            self._refuse(client, f"no whole request within {PATIENCE:g} s")
        if self._listener in readable:
            self._accept()

    def close(self) -> None:
        """Close all of them."""
        for client in list(self._pending):
            self._close(client)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # it went, or there are no descriptors left: the oldest gives its own
            if self._pending:
                self._close(next(iter(self._pending)))
            return
        client.setblocking(False)
        self._pending[client] = (bytearray(), time.monotonic() + PATIENCE)
        if len(self._pending) > _CLIENTS:
            self._refuse(next(iter(self._pending)), "too many clients at once")

    def _read(self, client: socket.socket) -> None:
        received, _ = self._pending[client]
        try:
            piece = client.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            self._close(client)
            return
        received += piece
        line, end, _ = received.partition(b"\n")
        if end:
            self._reply(client, self._answer(bytes(line)))
        elif len(received) > REQUEST_LIMIT:
            self._refuse(client, f"a request must be shorter than {REQUEST_LIMIT} bytes")
        elif not piece:
            self._refuse(client, "a request must end with a newline")

    def _refuse(self, client: socket.socket, why: str) -> None:
        self._reply(client, {"error": f"ValueError: {why}"})

    def _reply(self, client: socket.socket, answer: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            client.settimeout(PATIENCE)
            client.sendall(json.dumps(answer).encode() + b"\n")
        self._close(client)

    def _close(self, client: socket.socket) -> None:
        del self._pending[client]
        client.close()


# -- processes --------------------------------------------------------------------------------


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _signal_running(process: subprocess.Popen[bytes], number: int) -> None:
    # The id of one that has ended and was waited for may be another's by now.
    if process.poll() is None:
        _signal_group(process.pid, number)


def _children() -> list[int]:
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    try:
        return [int(pid) for pid in path.read_text().split()]
    except OSError:  # no procfs: process groups are all there is
        return []


def main(directory: Path, owner: int) -> None:
    """Serve until the end is asked for, the owner (if any) is gone, or a signal asks to end."""
    if os.fork():
        os._exit(0)  # whoever started the supervisor need not outlive it, nor wait for it
    os.setsid()  # a Ctrl-C in the owner's terminal must not reach the supervisor
    os.umask(0o077)
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    supervisor = Supervisor(directory, owner)
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    terminated: list[int] = []
    signal.set_wakeup_fd(waker.fileno())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda number, _: terminated.append(number))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET))
        listener.listen(1024)  # clients are refused when it is full
        listener.setblocking(False)
        print("ready", flush=True)
        os.dup2(os.open(os.devnull, os.O_RDWR), sys.stdout.fileno())
        clients = Clients(listener, supervisor.answer)
        try:
            while not supervisor.ended and not terminated and not (supervisor.owner and supervisor.owner.gone()):
                _serve_once(supervisor, clients, wake)
        finally:
            clients.close()
            # Still listening: as long as it removes what is the run's, nobody else is to take that for left behind.
            # An error of the supervisor's own is an end like any other.
            if not supervisor.ended:
                supervisor.end()


def _serve_once(supervisor: Supervisor, clients: Clients, wake: socket.socket) -> None:
    """Wait for the next event, and handle it."""
    supervisor.release_of_the_gone()
    watched = supervisor.watched()
    descriptors = [other.descriptor for other in watched if other.descriptor is not None]
    # Without pidfd there is no event for the end of others: look once a second.
    limits = [clients.patience, None if len(descriptors) == len(watched) else 1.0]
    timeout = min((limit for limit in limits if limit is not None), default=None)
    sources: list[socket.socket | int] = [*clients.sources, wake, *descriptors]
    readable, _, _ = select.select(sources, [], [], timeout)
    clients.serve(readable)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
