"""The standard streams of a process: missing ones, and output that cannot be written."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO

#: Names of the streams in :mod:`sys`, and their modes, in the order of their descriptors.
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_missing() -> None:
    """Open the null device for each standard stream that is closed, as after ``>&-`` in a shell.

    The next files and sockets would get their descriptors, and the output of other programs would go into them.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free descriptor, which is this
        if getattr(sys, name) is None:
            stream = os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class LosableOutput(io.TextIOBase):
    """An output that a command can write to after its reader, such as ``head``, has closed it.

    The rest is discarded, and the command ends with its own exit status.

    :param stream: the output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the output."""
        return self._stream.encoding

    def fileno(self) -> int:
        """Return the descriptor of the output."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether the output is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            discard_output()
            return len(text)

    def flush(self) -> None:
        """Write what is in the buffer."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            discard_output()


def output_problem(probe: str = "") -> str:
    """Return why standard output cannot be written, such as "Broken pipe"; '' if it can.

    :param probe: written first: an unbuffered stream keeps nothing that shows whether an earlier write failed.
    """
    try:
        sys.stdout.write(probe)
        sys.stdout.flush()
    except OSError as error:
        return error.strerror or str(error)
    return "Broken pipe" if _has_no_reader() else ""


def discard_output() -> None:
    """Send what this process has not yet written to standard output, and all later output, to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _has_no_reader() -> bool:
    """Whether standard output is a pipe without a reader, or a terminal that is gone."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # pytest's own capture of a test
        return False
    if not hasattr(select, "poll"):
        return False
    watched = select.poll()
    watched.register(number, 0)
    return bool(watched.poll(0))
