"""The supervisor: starts the processes of one session, and ends them with the session, also after a kill.

The supervisor is a separate, small process. It starts each requested process in a process session of its own, and
writes its output to a log file. It ends all of them and removes the run directory in these cases: a client requests it,
its owner (the pytest process) has ended, even by SIGKILL, or the supervisor itself is terminated. On Linux, the
processes also die with the supervisor, and the supervisor inherits their orphaned children. After ``keep``, it has no
owner and runs until a client ends it.

Run as ``python -I daemon.py RUN_DIRECTORY OWNER_PID``. It imports only the standard library, so that it starts in about
50 ms. A request is one line of JSON over a Unix socket in the run directory (mode 0700).
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
#: Default limit of an exit hook, in seconds. Removing a kind cluster takes a few seconds.
EXIT_HOOK_LIMIT = 120.0
#: An exit hook: its arguments, its environment, and its limit in seconds.
ExitHook = tuple[list[str], dict[str, str], float]
#: Seconds between SIGTERM and SIGKILL in a graceful stop.
GRACE = 3.0
#: Seconds between the end of a process and its restart.
RESTART_DELAY = 1.0
#: Maximum size of a request in bytes. Linux limits arguments and environment of a process to 2 MB.
REQUEST_LIMIT = 4 << 20
#: Seconds for a client to send its whole request, and to receive the answer.
PATIENCE = 10.0
#: Maximum number of clients with an incomplete request. A new client closes the oldest.
_CLIENTS = 64
#: Maximum number of processes that pause the same process. Each uses a file descriptor.
_PAUSES = 64
_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with(supervisor: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # the supervisor died before this call
        os._exit(1)


class OtherProcess:
    """A process that the supervisor did not start.

    :ivar descriptor: becomes readable when the process ends; None if the system has no pidfd.
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
        """Whether the process has ended."""
        if self.descriptor is not None:
            return bool(select.select([self.descriptor], [], [], 0)[0])
        if self._never_was:
            return True
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, PermissionError):  # a process of another user has this id now
            return True
        return False

    def forget(self) -> None:
        """Stop watching the process."""
        if self.descriptor is not None:
            os.close(self.descriptor)


class Supervisor:
    """The processes of one session.

    :ivar owner: process whose end ends the session; None for a stack that is kept.
    :ivar pauses: the processes that pause another one, by the name of the paused process.
    :ivar stopped: the process that stopped another one for now, by the name of the stopped process.
    :ivar restarted: the process that asked for restarts of another one, by the name of the process that is restarted.
    :ivar processes: by name; :ivar spawned: how to start each again; :ivar restarts: how often each was restarted.
    """

    def __init__(self, directory: Path, owner: int) -> None:
        self.directory = directory
        self.owner: OtherProcess | None = OtherProcess(owner)
        self.pauses: dict[str, list[OtherProcess]] = {}
        self.stopped: dict[str, OtherProcess] = {}
        self.restarted: dict[str, OtherProcess] = {}
        self.spawned: dict[str, dict[str, Any]] = {}
        self.restarts: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.exit_hooks: list[ExitHook] = []
        self.ended = False
        self.logs = directory / LOGS
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def spawn(self, name: str, command: list[str], env: dict[str, str], cwd: str | None = None) -> dict[str, Any]:
        """Start `command`. Its environment is `env` and the mark; its output goes to ``logs/NAME.log``."""
        old = self.processes.get(name)
        if old is not None and old.poll() is None:
            raise ValueError(f"a process named {name} is running")
        descriptor = os.open(self.logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                command,
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
        self.spawned[name] = {"command": command, "env": env, "cwd": cwd}
        self._due.pop(name, None)
        return {"pid": process.pid}

    def copy(self, name: str, like: str, more: list[str], env: dict[str, str] | None = None) -> dict[str, Any]:
        """Start another process as `like` was started, with `more` arguments and, in addition, the variables `env`."""
        old = self.spawned[like]
        return self.spawn(name, [*old["command"], *more], old["env"] | (env or {}), old["cwd"])

    def status(self, name: str) -> dict[str, Any]:
        """Return the process id, the exit status, and how often it was restarted.

        The exit status is negative for a signal, and None while the process runs or is about to be restarted.
        """
        process = self.processes[name]
        returncode = None if name in self.restarted else process.poll()
        return {"pid": process.pid, "returncode": returncode, "restarts": self.restarts.get(name, 0)}

    def stop(self, name: str, graceful: bool = False) -> dict[str, Any]:
        """End the process and its process session; return after its end."""
        process = self.processes[name]
        self._cancel_restarts(name)
        if graceful and process.poll() is None:
            _signal_group(process.pid, signal.SIGTERM)
            _signal_group(process.pid, signal.SIGCONT)  # a paused process handles no signal
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        _kill_session(process)
        process.wait()
        return {"returncode": process.returncode}

    def stop_for_now(self, name: str, by: int, graceful: bool = False) -> dict[str, Any]:
        """Stop a process until :meth:`start`; the supervisor starts it again when the process `by` ends."""
        answer = self.stop(name, graceful)
        if (old := self.stopped.pop(name, None)) is not None:
            old.forget()
        self.stopped[name] = OtherProcess(by)
        return answer

    def start(self, name: str) -> dict[str, Any]:
        """Start a process again that has ended, as it was started before; do nothing if it runs."""
        if (stopped := self.stopped.pop(name, None)) is not None:
            stopped.forget()
        process = self.processes[name]
        return {"pid": process.pid} if process.poll() is None else self.spawn(name, **self.spawned[name])

    def restart_on_exit(self, name: str, by: int) -> dict[str, Any]:
        """Restart a process whenever it ends, as a kubelet does for the pod of a Deployment.

        This lasts until :meth:`stop`, :meth:`end_restart_on_exit`, or the end of the process `by`.
        """
        _ = self.processes[name]
        self._cancel_restarts(name)
        self.restarted[name] = OtherProcess(by)
        self.restarts[name] = 0
        return {}

    def end_restart_on_exit(self, name: str) -> dict[str, Any]:
        """End the restarts of a process, and make sure that it runs; return how often it was restarted."""
        self._cancel_restarts(name)
        self.start(name)
        return {"restarts": self.restarts.get(name, 0)}

    def _cancel_restarts(self, name: str) -> None:
        self._due.pop(name, None)
        if (asking := self.restarted.pop(name, None)) is not None:
            asking.forget()

    def restart_ended(self) -> None:
        """Restart the processes of :attr:`restarted` that have ended, each after :data:`RESTART_DELAY`."""
        now = time.monotonic()
        for name in self.restarted:
            if self.processes[name].poll() is not None and self._due.setdefault(name, now + RESTART_DELAY) <= now:
                self.restarts[name] += 1
                self._start_again(name)

    def _start_again(self, name: str) -> None:
        # No client waits for an answer: a program that can no longer be started counts as ended again.
        self._due.pop(name, None)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self.spawn(name, **self.spawned[name])

    @property
    def next_restart(self) -> float | None:
        """Seconds until the next restart; None if none is due."""
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None

    def keep(self) -> dict[str, Any]:
        """Continue without an owner, a terminal and a working directory."""
        if self.owner is not None:
            log = os.open(self.logs / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, sys.stderr.fileno())
            os.close(log)
            os.chdir("/")
            self.owner.forget()
            self.owner = None
        return {}

    def describe(self) -> dict[str, Any]:
        """Return the owner (0: none), the processes with their exit status (None: running), and the paused ones."""
        return {
            "supervisor": os.getpid(),
            "owner": self.owner.pid if self.owner else 0,
            "processes": {name: process.poll() for name, process in self.processes.items()},
            "paused": sorted(self.pauses),
            "stopped": sorted(self.stopped),
        }

    def pause(self, name: str, by: int) -> dict[str, Any]:
        """Pause a process until :meth:`resume`, or until the process `by` ends."""
        process = self.processes[name]
        pausing = self.pauses.get(name, [])
        if len(pausing) >= _PAUSES:
            raise ValueError(f"{_PAUSES} processes already pause {name}")
        if by not in (other.pid for other in pausing):
            self.pauses[name] = [*pausing, OtherProcess(by)]
        _signal_running(process, signal.SIGSTOP)
        return {}

    def resume(self, name: str, by: int) -> dict[str, Any]:
        """Resume a process that `by` paused, unless another process pauses it, too."""
        self._resume(lambda paused, other: (paused, other.pid) == (name, by))
        return {}

    def resume_after_end(self) -> None:
        """Resume what only ended processes paused, start what they stopped, and end the restarts that they want."""
        self._resume(lambda _, other: other.gone())
        for name in [name for name, other in self.restarted.items() if other.gone()]:
            self._cancel_restarts(name)
        for name in [name for name, other in self.stopped.items() if other.gone()]:
            self.stopped.pop(name).forget()
            if self.processes[name].poll() is not None:
                self._start_again(name)

    def _resume(self, ended: Callable[[str, OtherProcess], bool]) -> None:
        for name in list(self.pauses):
            for other in [other for other in self.pauses[name] if ended(name, other)]:
                self.pauses[name].remove(other)
                other.forget()
            if not self.pauses[name]:
                del self.pauses[name]
                _signal_running(self.processes[name], signal.SIGCONT)

    def watched(self) -> list[OtherProcess]:
        """Return the processes whose end the supervisor must notice: the owner, and those that pause another one."""
        return [
            *([self.owner] if self.owner else []),
            *(other for pausing in self.pauses.values() for other in pausing),
            *self.stopped.values(),
            *self.restarted.values(),
        ]

    def at_end(self, command: list[str], env: dict[str, str], limit: float = EXIT_HOOK_LIMIT) -> dict[str, Any]:
        """Add an exit hook: a command that runs after all processes have ended. It removes what is not a process.

        :param limit: in seconds.
        """
        self.exit_hooks.append((command, env, limit))
        draft = self.directory / f".{COMMANDS}"
        draft.write_text(json.dumps(self.exit_hooks))
        draft.rename(self.directory / COMMANDS)
        return {}

    def end(self) -> dict[str, Any]:
        """End all processes, run the exit hooks, and remove the run directory; return the errors of the exit hooks.

        The directory contains credentials. It is removed even if a step before fails.
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
            _kill_session(process)
        for process in self.processes.values():
            process.wait()
        # Processes that left their process session have this process, the subreaper, as their parent.
        while orphans := _children():
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in orphans:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def answer(self, line: bytes) -> dict[str, Any]:
        """Perform one request and return the answer; its ``error`` states why the request failed."""
        try:
            operation, arguments = parse(line)
            return dict(getattr(self, operation)(**arguments))
        # No error of a request may end the supervisor, and with it the session.
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}


def recorded_commands(directory: Path) -> list[ExitHook]:
    """Return the exit hooks that the supervisor of a run directory recorded.

    :raises ValueError: if they cannot be read.
    """
    try:
        commands = json.loads((directory / COMMANDS).read_bytes())
    except FileNotFoundError:
        return []
    if not isinstance(commands, list) or not all(
        isinstance(item, list)
        and len(item) == 3
        and all(fits(part) for fits, part in zip(_EXIT_HOOK, item, strict=True))
        for item in commands
    ):
        raise ValueError(f"{directory / COMMANDS} is not a list of commands")
    return [(command, env, limit) for command, env, limit in commands]


def run_commands(commands: list[ExitHook]) -> list[str]:
    """Run all commands, even if one fails, and return the error output of those that failed."""
    return [text for hook in commands if (text := _run_command(*hook))]


def _run_command(command: list[str], env: dict[str, str], limit: float) -> str:
    try:
        with subprocess.Popen(
            command,
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                _, said = process.communicate(timeout=limit)
            except BaseException:  # a time limit, or Ctrl-C
                _signal_group(process.pid, signal.SIGKILL)  # with what it started
                raise
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    return said.decode(errors="replace").strip() or "it failed" if process.returncode else ""


# -- requests ---------------------------------------------------------------------------------


def parse(line: bytes) -> tuple[str, dict[str, Any]]:
    """Return the operation and the arguments of a request.

    :raises ValueError: if the request is invalid, with the reason.
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
            # Do not show the value: it may be a credential.
            raise ValueError(f"{operation}: {name} must be {what}, got {type(value).__name__}")
    return operation, request


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_text(value: object) -> bool:
    """Whether the system accepts the value as an argument or a path."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _is_name(value: object) -> bool:
    """Whether the value can be the name of a log file."""
    return _is_text(value) and value not in ("", ".", "..") and "/" not in str(value)


def _is_command(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_words(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


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


_EXIT_HOOK = (_is_command, _is_environment, _is_seconds)
_NAME = ("the name of a process", _is_name, True)
_COMMAND = ("a list of words", _is_command, True)
_ENV = ("an object of texts", _is_environment, True)
_BY = ("a process id", _is_process, True)
#: For each operation and argument: a description of valid values, their check, and whether the argument is required.
_OPERATIONS: dict[str, dict[str, tuple[str, Callable[[object], bool], bool]]] = {
    "spawn": {"name": _NAME, "command": _COMMAND, "env": _ENV, "cwd": ("a directory or null", _is_directory, False)},
    "status": {"name": _NAME},
    "stop": {"name": _NAME, "graceful": ("true or false", _is_flag, False)},
    "stop_for_now": {"name": _NAME, "by": _BY, "graceful": ("true or false", _is_flag, False)},
    "start": {"name": _NAME},
    "copy": {
        "name": _NAME,
        "like": _NAME,
        "more": ("a list of words", _is_words, True),
        "env": ("an object of texts", _is_environment, False),
    },
    "restart_on_exit": {"name": _NAME, "by": _BY},
    "end_restart_on_exit": {"name": _NAME},
    "keep": {},
    "describe": {},
    "pause": {"name": _NAME, "by": _BY},
    "resume": {"name": _NAME, "by": _BY},
    "at_end": {"command": _COMMAND, "env": _ENV, "limit": ("a number of seconds", _is_seconds, False)},
    "end": {},
}


class Clients:
    """Clients with an incomplete request. None of them can block the supervisor or another client.

    :param answer: returns the answer to a request.
    """

    def __init__(self, listener: socket.socket, answer: Callable[[bytes], dict[str, Any]]) -> None:
        self._listener = listener
        self._answer = answer
        # In the order of connection: the data that each client has sent, and its deadline.
        self._pending: dict[socket.socket, tuple[bytearray, float]] = {}

    @property
    def sources(self) -> list[socket.socket]:
        """The sockets to select for reading."""
        return [self._listener, *self._pending]

    @property
    def patience(self) -> float | None:
        """Seconds until the next deadline of a client; None if there is no client."""
        return max(0.0, min(limit for _, limit in self._pending.values()) - time.monotonic()) if self._pending else None

    def serve(self, readable: list[Any]) -> None:
        """Read from the readable clients, answer complete requests, and close the clients after their deadline."""
        for client in [client for client in self._pending if client in readable]:
            self._read(client)
        now = time.monotonic()
        for client in [client for client, (_, limit) in self._pending.items() if limit <= now]:
            self._refuse(client, f"no whole request within {PATIENCE:g} s")
        if self._listener in readable:
            self._accept()

    def close(self) -> None:
        """Close all clients."""
        for client in list(self._pending):
            self._close(client)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # the client is gone, or no descriptor is left: close the oldest client
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


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and what it started, also if it has ended itself.

    Hours after its end, as in a dev stack, its id may belong to another process. While others of its process group
    run, the system does not assign the id again: a process with the id is then a later one.
    """
    if process.poll() is not None and _exists(process.pid):
        return
    _signal_group(process.pid, signal.SIGKILL)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _signal_running(process: subprocess.Popen[bytes], number: int) -> None:
    # After a wait, the id of a process that has ended may belong to another process.
    if process.poll() is None:
        _signal_group(process.pid, number)


def _children() -> list[int]:
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    try:
        return [int(pid) for pid in path.read_text().split()]
    except OSError:  # without procfs, only process groups are known
        return []


def main(directory: Path, owner: int) -> None:
    """Serve until a client requests the end, the owner (if any) ends, or a signal arrives."""
    if os.fork():
        os._exit(0)  # the parent of the supervisor need not outlive it or wait for it
    os.setsid()  # a Ctrl-C in the owner's terminal must not reach the supervisor
    os.umask(0o077)
    import resource  # Windows, where the plugin is only imported, does not have it

    # A core dump of Vault or of a controller holds tokens and keys, and may outlive the session.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    supervisor = Supervisor(directory, owner)
    wake, waker = socket.socketpair()
    wake.setblocking(False)
    waker.setblocking(False)
    terminated: list[int] = []
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)  # the end of a process wakes the supervisor
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda number, _: terminated.append(number))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET))
        listener.listen(1024)  # the system refuses clients when the queue is full
        listener.setblocking(False)
        print("ready", flush=True)
        os.dup2(os.open(os.devnull, os.O_RDWR), sys.stdout.fileno())
        clients = Clients(listener, supervisor.answer)
        try:
            while not supervisor.ended and not terminated and not (supervisor.owner and supervisor.owner.gone()):
                _serve_once(supervisor, clients, wake)
        finally:
            clients.close()
            # Still listening: during the cleanup, other sessions must not take the resources for orphaned ones.
            # This also runs after an error of the supervisor itself.
            if not supervisor.ended:
                supervisor.end()


def _serve_once(supervisor: Supervisor, clients: Clients, wake: socket.socket) -> None:
    """Wait for the next event, and handle it."""
    supervisor.resume_after_end()
    supervisor.restart_ended()
    watched = supervisor.watched()
    descriptors = [other.descriptor for other in watched if other.descriptor is not None]
    # Without pidfd, the end of another process is no event: check once a second.
    limits = [clients.patience, supervisor.next_restart, None if len(descriptors) == len(watched) else 1.0]
    timeout = min((limit for limit in limits if limit is not None), default=None)
    sources: list[socket.socket | int] = [*clients.sources, wake, *descriptors]
    readable, _, _ = select.select(sources, [], [], timeout)
    if wake in readable:
        wake.recv(1 << 12)  # after the wait: the handler of each of these signals has run before the next one
    clients.serve(readable)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
