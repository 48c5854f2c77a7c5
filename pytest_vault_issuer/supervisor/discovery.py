"""Finds the sessions of this user on this machine: those under way, kept stacks, and orphaned ones."""

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

#: States of a session.
KEPT, UNDER_WAY, ORPHAN, IN_BETWEEN = "up", "under way", "orphan", "starting or ending"
#: Resources on the container engine whose owner, or whose session's end, is not proved.
UNATTRIBUTED = "not attributed"
#: Age in seconds after which a run directory without a supervisor is orphaned; before, it may still start.
_YOUNG = 10.0


@dataclass(frozen=True)
class FoundSession:
    """A run directory, or resources on the container engine, and their session.

    :ivar state: `KEPT` (runs until ``stack down``), `UNDER_WAY` (ends with its owner), `ORPHAN` (its supervisor was
        killed), `IN_BETWEEN`, or `UNATTRIBUTED`.
    :ivar owner: process id of the owner; 0 if there is none.
    :ivar processes: exit status by name, None while the process runs; empty for an orphan.
    :ivar paused: names of the paused processes.
    :ivar leftovers: ids of an orphan's processes.
    :ivar containers: names of an orphan's resources on the container engine; set by :mod:`~.stack.kind.cleanup`.
    :ivar whose: for `UNATTRIBUTED`: the owner according to the labels, for people.
    :ivar removal: for `UNATTRIBUTED`: the commands that remove the resources.
    """

    path: Path
    state: str
    owner: int = 0
    processes: dict[str, int | None] = field(default_factory=dict)
    paused: tuple[str, ...] = ()
    leftovers: tuple[int, ...] = ()
    containers: tuple[str, ...] = ()
    whose: str = ""
    removal: str = ""

    @property
    def directory(self) -> RunDirectory:
        """The run directory, with a client of its supervisor."""
        return RunDirectory(self.path, self.owner)


def find_sessions(parent: Path | None = None) -> list[FoundSession]:
    """Return this user's sessions, the oldest first.

    :param parent: parent of the run directories; default: the directory for temporary files.
    """
    parent = parent or Path(tempfile.gettempdir())
    found = []
    for path in parent.iterdir():
        if (changed := _changed(path)) is not None:
            found.append((changed, _look(path, changed)))
    return [run for _, run in sorted(found, key=lambda pair: pair[0])]


def find_session(path: Path) -> FoundSession | None:
    """Return the session of a directory; None if it is not a run directory of this user."""
    changed = _changed(path)
    return None if changed is None else _look(path, changed)


def remove(run: FoundSession) -> None:
    """End the processes of a session, run its exit hooks, and remove its directory.

    :raises StackError: if a process cannot be ended, so that the directory is kept; or if an exit hook fails.
    """
    if run.state == ORPHAN:
        run.directory.finish()
    else:
        run.directory.close()


def _changed(path: Path) -> float | None:
    """Return the time of the last change of a run directory; None if it is not a run directory of this user."""
    if re.fullmatch(PREFIX + "[0-9a-f]{12}", path.name):
        with contextlib.suppress(FileNotFoundError):  # it was removed in the meantime
            about = path.lstat()
            # Its files name commands that a cleanup runs: another user must not be able to write into it.
            others = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not others:
                return about.st_mtime
    return None


def _look(path: Path, changed: float) -> FoundSession:
    directory = RunDirectory(path, 0)
    if (path / supervisor.SOCKET).exists():
        try:
            described = directory.describe()
        except StackError as error:
            if not isinstance(error.__cause__, ConnectionRefusedError):
                return FoundSession(path, IN_BETWEEN)  # it closed the connection: it is ending
        else:
            owner = int(described["owner"])
            state = UNDER_WAY if owner else KEPT
            return FoundSession(path, state, owner, described["processes"], tuple(described["paused"]))
    elif time.time() - changed < _YOUNG:
        if not (path / "supervisor.lock").exists():
            return FoundSession(path, IN_BETWEEN)
        try:
            with directory.lock("supervisor").acquire(timeout=0):
                pass
        except Timeout:
            return FoundSession(path, IN_BETWEEN)
    return FoundSession(path, ORPHAN, leftovers=marked(path))
