"""``report.jsonl``: what happened, line by line, as it happens.

The first line says whom the run judges, the last one how it ended: a run that
was cut off has no line of type ``end``.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ..errors import ConfigurationError
from ..text import plain

FILE = "report.jsonl"


@dataclass(frozen=True)
class Progress:
    """How far a run got.

    :ivar about: the implementation, with its version; :ivar tests: how many ended; :ivar last: the node id of the
        last of them, '' where none did; :ivar ended: whether the run came to its end.
    """

    about: str
    tests: int
    last: str
    ended: bool


def read(path: Path) -> Progress:
    """Read a journal back; a last line that was cut is left out.

    :raises ConfigurationError: when it is none.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # the last one is empty, or was cut
        entries = [json.loads(line) for line in lines]
        began = entries[0]["implementation"] if entries else {"name": "", "version": ""}
        tests = [str(entry["nodeid"]) for entry in entries if entry["type"] == "test"]
        ended = any(entry["type"] == "end" for entry in entries)
        return Progress(f"{began['name']} {began['version']}", len(tests), tests[-1] if tests else "", ended)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no journal of a run: {error}", hint="name another report") from error


class Journal:
    """Writes one line for each thing that happens, at once.

    :param directory: created where it is missing; an older journal in it is replaced.
    :ivar problem: why it is not complete; '' where it is.
    :raises OSError: when the file cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / FILE
        self._file: TextIO = self.path.open("w", encoding="utf-8")
        self.problem = ""

    def write(self, kind: str, **fields: Any) -> None:
        """Add a line: an object with ``type`` and these fields.

        What cannot be written, such as on a full disk, is no reason to end a run: ``problem`` says why, and nothing
        more is written.
        """
        if self.problem:
            return
        try:
            self._file.write(json.dumps(plain({"type": kind, **fields}), allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            self.problem = f"{self.path} cannot be written: {error.strerror}"

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # what is left in its buffer
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
