"""Keeps the processes of one run and ends them with the run, however it ends.

The keeper is a small process of its own. It starts what it is told to start,
each in a session of its own with its output in a log file, and ends all of it
and removes the run directory when it is told to, when its owner (the pytest
process) is gone, even by SIGKILL, or when it is terminated itself. Where Linux
offers it, children also die with the keeper, and their orphans come to it.
A stack that is to stay without an owner is kept from then on.

Run as ``python -I keeper.py RUN_DIRECTORY OWNER_PID``; only the standard
library is imported, so that it starts in a few dozen ms. One request is one
JSON line over a Unix socket in the run directory (mode 0700).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOCKET = "keeper.sock"
LOGS = "logs"
#: In the environment of everything that a keeper starts: the run directory. By it is found what outlived its keeper.
MARK = "VAULT_ISSUER_RUN"
#: Seconds for each command at the end; removing a kind cluster takes a few.
FAREWELL_LIMIT = 120.0
#: Seconds a process gets between SIGTERM and SIGKILL when a graceful stop is asked for.
GRACE = 3.0
_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with_keeper() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Other:
    """A process that is not the keeper's own, and whether it is gone.

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
        except ProcessLookupError:
            return True
        return False

    def forget(self) -> None:
        """Watch it no longer."""
        if self.descriptor is not None:
            os.close(self.descriptor)


class Keeper:
    """The processes of one run, by name.

    :ivar owner: with whom it all ends; None for a stack that is kept.
    :ivar holders: who wants a process to stand still, by its name.
    """

    def __init__(self, directory: Path, owner: int) -> None:
        self.directory = directory
        self.owner: Other | None = Other(owner)
        self.holders: dict[str, list[Other]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.farewells: list[tuple[list[str], dict[str, str]]] = []
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
                preexec_fn=_die_with_keeper if _LINUX else None,
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
            self.owner.forget()
            self.owner = None
            os.chdir("/")
            log = os.open(self.logs / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, sys.stderr.fileno())
            os.close(log)
        return {}

    def describe(self) -> dict[str, Any]:
        """Say whose this is (0: nobody's), and what runs (None) or has ended (its exit status)."""
        return {
            "owner": self.owner.pid if self.owner else 0,
            "processes": {name: process.poll() for name, process in self.processes.items()},
            "held": sorted(self.holders),
        }

    def hold(self, name: str, holder: int) -> dict[str, Any]:
        """Have a process stand still until :meth:`release`, or until the holder is gone."""
        process = self.processes[name]
        self.holders.setdefault(name, []).append(Other(holder))
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

    def at_end(self, argv: list[str], env: dict[str, str]) -> dict[str, Any]:
        """Have a command run at the end, when no process is left: for what is not on this machine's process table."""
        self.farewells.append((argv, env))
        return {}

    def end(self) -> dict[str, Any]:
        """End everything and remove the run directory; say which commands for the end have failed, and how."""
        self.ended = True
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
        failed = [text for argv, env in self.farewells if (text := self._run_farewell(argv, env))]
        shutil.rmtree(self.directory, ignore_errors=True)
        return {"failed": failed}

    def _run_farewell(self, argv: list[str], env: dict[str, str]) -> str:
        try:
            done = subprocess.run(
                argv,
                env=env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=FAREWELL_LIMIT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{type(error).__name__}: {error}"
        return done.stderr.decode(errors="replace").strip() or "it failed" if done.returncode else ""

    def handle(self, connection: socket.socket) -> None:
        """Answer one request."""
        connection.settimeout(10)
        with connection, connection.makefile("rw") as stream:
            request = json.loads(stream.readline())
            operations: dict[str, Callable[..., dict[str, Any]]] = {
                "spawn": self.spawn,
                "status": self.status,
                "stop": self.stop,
                "keep": self.keep,
                "describe": self.describe,
                "hold": self.hold,
                "release": self.release,
                "at_end": self.at_end,
            }
            operation = request.pop("operation")
            if operation == "end":
                answer = self.end()
            else:
                try:
                    answer = operations[operation](**request)
                except (OSError, ValueError, KeyError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


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
    """Serve until the end is asked for, the owner (if any) is gone, or SIGTERM or SIGINT arrives."""
    if os.fork():
        os._exit(0)  # whoever started the keeper need not outlive it, nor wait for it
    os.setsid()  # a Ctrl-C in the owner's terminal must not reach the keeper
    os.umask(0o077)
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    keeper = Keeper(directory, owner)
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    terminated = []
    signal.set_wakeup_fd(waker.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: terminated.append(True))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET))
        listener.listen(64)
        print("ready", flush=True)
        os.dup2(os.open(os.devnull, os.O_RDWR), sys.stdout.fileno())
        while not keeper.ended and not terminated and not (keeper.owner and keeper.owner.gone()):
            keeper.release_of_the_gone()
            watched = keeper.watched()
            descriptors = [other.descriptor for other in watched if other.descriptor is not None]
            # Without pidfd there is no event for the end of others: look once a second.
            timeout = None if len(descriptors) == len(watched) else 1.0
            sources: list[socket.socket | int] = [listener, wake, *descriptors]
            readable, _, _ = select.select(sources, [], [], timeout)
            if listener in readable:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError, ValueError, KeyError):
                    keeper.handle(connection)
        # Still listening: as long as it removes what is the run's, nobody else is to take that for left behind.
        if not keeper.ended:
            keeper.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
