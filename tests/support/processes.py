"""The processes of this machine, as Linux shows them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def killed_at_end(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill a process at the end, also if it ended, its output was read, or the test failed."""
    with process:  # closes its pipes; to read them again would raise an error that hides that of the test
        try:
            yield process
        finally:
            process.kill()


def output_of(process: subprocess.Popen[str]) -> str:
    """Kill a process and return what it printed."""
    process.kill()
    return process.communicate()[0]


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Yield the id and the arguments of every process except this one."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it has just ended
                continue
            yield int(entry.name), words


def processes_of(directory: Path) -> list[str]:
    """Return the command lines of processes that have a directory in their arguments."""
    return [" ".join(words) for _, words in command_lines() if any(str(directory) in word for word in words)]


def supervisor_of(directory: Path) -> int:
    """Return the process id of the supervisor of a session."""
    for number, words in command_lines():
        if str(directory) in words and any(word.endswith("daemon.py") for word in words):
            return number
    raise LookupError(f"{directory} has no supervisor")
