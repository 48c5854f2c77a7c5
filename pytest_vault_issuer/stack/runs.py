"""Finds the runs of this user on this machine: those under way, stacks that were kept, and what killed runs left."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import Timeout

from ..errors import StackError
from ..timeouts import poll
from . import keeper
from .run_directory import PREFIX, RunDirectory

#: States of a run.
KEPT, UNDER_WAY, ORPHAN, IN_BETWEEN = "up", "under way", "orphan", "starting or ending"
#: Seconds after which a run directory without a keeper is no longer one that is just being made.
_YOUNG = 10.0
#: Seconds in which what was killed is gone.
_LIMIT = 10.0


@dataclass(frozen=True)
class FoundRun:
    """A run directory and what is known of it.

    :ivar state: `KEPT` (stays until it is taken down), `UNDER_WAY` (ends with its owner), `ORPHAN` (its keeper is
        gone), or `IN_BETWEEN`.
    :ivar owner: process id of who started it, 0 where nobody waits for it.
    :ivar processes: by name, None or the exit status; empty for an orphan.
    :ivar held: names of the processes that stand still for somebody.
    :ivar leftovers: process ids of an orphan's processes.
    :ivar containers: what an orphan has left on the container engine, by name; :mod:`~.cleanup` knows.
    """

    path: Path
    state: str
    owner: int = 0
    processes: dict[str, int | None] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    leftovers: tuple[int, ...] = ()
    containers: tuple[str, ...] = ()

    @property
    def directory(self) -> RunDirectory:
        """The directory, with its keeper's client."""
        return RunDirectory(self.path, self.owner)


def find_runs(parent: Path | None = None) -> list[FoundRun]:
    """Return this user's runs, the oldest first.

    :param parent: where run directories are, default the directory for temporary files.
    """
    parent = parent or Path(tempfile.gettempdir())
    found = []
    for path in parent.iterdir():
        if (changed := _changed(path)) is not None:
            found.append((changed, _look(path, changed)))
    return [run for _, run in sorted(found, key=lambda pair: pair[0])]


def find_run(path: Path) -> FoundRun | None:
    """Return this user's run of a directory; None where that is none."""
    changed = _changed(path)
    return None if changed is None else _look(path, changed)


def remove(run: FoundRun) -> None:
    """End what runs of it, and remove its directory.

    :raises StackError: when a process cannot be ended; the directory stays.
    """
    if run.state != ORPHAN:
        run.directory.close()
        return
    # Killed ones may have started others meanwhile: look until there are none.
    if poll(lambda: None if _kill(marked(run.path)) else True, timeout=_LIMIT) is None:
        raise StackError(
            f"processes of {run.path} cannot be ended: {', '.join(map(str, marked(run.path)))}", hint="look at them: ps"
        )
    with contextlib.suppress(FileNotFoundError):  # somebody else removes it, too
        shutil.rmtree(run.path)


def marked(path: Path) -> tuple[int, ...]:
    """Return the ids of this user's processes that the keeper of a run directory has started, or their children.

    They are told by the mark in their environment: nothing else has it, whatever its arguments and directory are.
    """
    wanted = f"{keeper.MARK}={path}"
    return tuple(pid for pid, has in _environments() if pid != os.getpid() and has(wanted))


def _changed(path: Path) -> float | None:
    """Return when a run directory of this user was last changed; None where it is none."""
    if re.fullmatch(PREFIX + "[0-9a-f]{12}", path.name):
        with contextlib.suppress(FileNotFoundError):  # it went while it was looked at
            about = path.lstat()
            if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid():
                return about.st_mtime
    return None


def _look(path: Path, changed: float) -> FoundRun:
    directory = RunDirectory(path, 0)
    if (path / keeper.SOCKET).exists():
        try:
            told = directory.describe()
        except StackError as error:
            if not isinstance(error.__cause__, ConnectionRefusedError):
                return FoundRun(path, IN_BETWEEN)  # it hung up, or answered nothing: it is ending
        else:
            owner = int(told["owner"])
            state = UNDER_WAY if owner else KEPT
            return FoundRun(path, state, owner, told["processes"], tuple(told["held"]))
    elif time.time() - changed < _YOUNG:
        if not (path / "keeper.lock").exists():
            return FoundRun(path, IN_BETWEEN)
        try:
            with directory.lock("keeper").acquire(timeout=0):
                pass
        except Timeout:
            return FoundRun(path, IN_BETWEEN)
    return FoundRun(path, ORPHAN, leftovers=marked(path))


def _kill(pids: tuple[int, ...]) -> bool:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def _environments() -> Iterator[tuple[int, Callable[[str], bool]]]:
    """Yield each process of this user that can be looked at, and whether a variable is in its environment."""
    if Path("/proc/self/environ").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # another user's, or gone
                    if entry.stat().st_uid == os.getuid():
                        variables = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                        yield int(entry.name), variables.__contains__
        return
    listing = subprocess.run(
        ["ps", "eww", "-U", str(os.getuid()), "-o", "pid=,command="],  # noqa: S607 (where it is differs)
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listing.stdout.splitlines():
        pid, _, words = line.strip().partition(" ")
        yield int(pid), words.split().__contains__
