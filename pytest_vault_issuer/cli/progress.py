"""Progress of long work: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from types import TracebackType
from typing import TextIO

from ..text import one_line

#: Seconds between two frames of the moving line.
_FRAME = 0.2
_SPINNER = "|/-\\"


class Progress:
    """Prints lines of progress to standard error; a context manager around the work.

    On a terminal, the latest line shows its duration. It stays when another line follows. Progress that cannot be
    written is lost: it must not end the work.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._moves = self._stream.isatty()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._line = ""
        self._since = 0.0
        self._thread = threading.Thread(target=self._move, daemon=True)

    def __call__(self, line: str) -> None:
        """Print what happens now."""
        line = one_line(line)
        with self._lock:
            if not self._moves:
                self._write(f"{line}\n")
                return
            self._settle()
            self._line, self._since = line, time.monotonic()
            self._draw(0)

    def __enter__(self) -> Progress:
        if self._moves:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._moves:
            self._done.set()
            self._thread.join()
            self._settle()

    def _settle(self) -> None:
        """End the moving line and keep it."""
        if self._line:
            self._write(f"\r\x1b[K{self._line} ({self._seconds:.1f} s)\n")
            self._line = ""

    def _move(self) -> None:
        count = 0
        while not self._done.wait(_FRAME):
            with self._lock:
                if self._line:
                    count += 1
                    self._draw(count)

    def _draw(self, count: int) -> None:
        line = f"{_SPINNER[count % len(_SPINNER)]} {self._line} {self._seconds:.0f} s"
        # A line that wraps could not be overwritten.
        self._write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._since
