"""Waits for a line of a log in a separate process, because a user's regular expression may backtrack forever.

Run as ``python -I ready_log.py EXPRESSION LOG SECONDS PARENT``; only the standard library is imported.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: Seconds between two looks at the log.
_INTERVAL = 0.05
#: The states of the search: a line matches, no line matches yet, or the expression takes too long.
MATCHED, WAITING, TOO_LONG = "matched", "waiting", "too long"


@contextlib.contextmanager
def waiting(expression: str, log: Path, limit: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that searches a log until a line matches; yield the process, for :func:`state`.

    :param limit: seconds for one search.
    """
    command = [sys.executable, "-I", __file__, expression, str(log), str(limit), str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def state(process: subprocess.Popen[bytes]) -> str:
    """Return `MATCHED`, `WAITING`, or `TOO_LONG`."""
    status = process.poll()
    if status is None:
        return WAITING
    return TOO_LONG if status else MATCHED


def main(expression: str, log: Path, limit: int, parent: int) -> None:
    """End when a line matches, when the parent process has ended, or by SIGALRM when one search takes too long."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # Python runs no signal handlers while an expression matches
    signal.alarm(limit)
    wanted = re.compile(expression, re.MULTILINE)
    while os.getppid() == parent:
        text = log.read_text(errors="replace")
        signal.alarm(limit)
        if wanted.search(text):
            return
        signal.alarm(0)
        time.sleep(_INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
