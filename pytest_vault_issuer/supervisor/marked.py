"""Finds the processes of a session by the mark that its supervisor adds to their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from ..timeouts import poll
from . import daemon as supervisor

#: Seconds for killed processes to end.
_LIMIT = 10.0


def marked(path: Path) -> tuple[int, ...]:
    """Return the ids of this user's processes that the supervisor of a run directory started, and of their children.

    The mark in their environment identifies them, not their arguments or their directory.
    """
    wanted = f"{supervisor.MARK}={path}"
    return tuple(pid for pid, has in _environments() if pid != os.getpid() and has(wanted))


def end_marked(path: Path) -> tuple[int, ...]:
    """Kill these processes, and those that they start meanwhile; return the ids of those that do not end."""
    ended = poll(lambda: None if _kill(marked(path)) else True, timeout=_LIMIT)
    return () if ended else marked(path)


def _kill(pids: tuple[int, ...]) -> bool:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def _environments() -> Iterator[tuple[int, Callable[[str], bool]]]:
    """Yield the id of each readable process of this user, and a function that checks its environment."""
    if Path("/proc/self/environ").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # of another user, or ended
                    if entry.stat().st_uid == os.getuid():
                        variables = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                        yield int(entry.name), variables.__contains__
        return
    listing = subprocess.run(
        ["ps", "eww", "-U", str(os.getuid()), "-o", "pid=,command="],  # noqa: S607 (its path differs between systems)
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listing.stdout.splitlines():
        pid, _, words = line.strip().partition(" ")
        yield int(pid), words.split().__contains__
