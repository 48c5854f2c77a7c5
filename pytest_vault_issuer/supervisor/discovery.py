"""Finds the runs of this user on this machine: those under way, stacks that were kept, and what killed runs left."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from filelock import Timeout

from ..errors import StackError
from . import daemon as supervisor
from .marked import marked
from .run_directory import PREFIX, RunDirectory

#: States of a run.
KEPT, UNDER_WAY, ORPHAN, IN_BETWEEN = "up", "under way", "orphan", "starting or ending"
#: Something is on the container engine, but nothing proves whose it is, or that its run has ended.
UNATTRIBUTED = "not attributed"
#: Seconds after which a run directory without a supervisor is no longer one that is just being made.
_YOUNG = 10.0


@dataclass(frozen=True)
class FoundRun:
    """A run directory and what is known of it.

    :ivar state: `KEPT` (stays until it is taken down), `UNDER_WAY` (ends with its owner), `ORPHAN` (its supervisor is
        gone), `IN_BETWEEN`, or `UNATTRIBUTED`.
    :ivar owner: process id of who started it, 0 where nobody waits for it.
    :ivar processes: by name, None or the exit status; empty for an orphan.
    :ivar held: names of the processes that stand still for somebody.
    :ivar leftovers: process ids of an orphan's processes.
    :ivar containers: what an orphan has left on the container engine, by name; :mod:`~.cleanup` knows.
    :ivar whose: of what is not attributed: what its labels say, for people.
    :ivar removal: of what is not attributed: the commands that remove it.
    """

    path: Path
    state: str
    owner: int = 0
    processes: dict[str, int | None] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    leftovers: tuple[int, ...] = ()
    containers: tuple[str, ...] = ()
    whose: str = ""
    removal: str = ""

    @property
    def directory(self) -> RunDirectory:
        """The directory, with its supervisor's client."""
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
    """End what runs of it, run its commands for the end, and remove its directory.

    :raises StackError: when a process cannot be ended, so that the directory stays; or when a command fails.
    """
    if run.state == ORPHAN:
        run.directory.finish()
    else:
        run.directory.close()


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
    if (path / supervisor.SOCKET).exists():
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
        if not (path / "supervisor.lock").exists():
            return FoundRun(path, IN_BETWEEN)
        try:
            with directory.lock("supervisor").acquire(timeout=0):
                pass
        except Timeout:
            return FoundRun(path, IN_BETWEEN)
    return FoundRun(path, ORPHAN, leftovers=marked(path))
