"""``report.jsonl``: what happened, line by line, as it happens.

The first line says whom the run judges, the last one how it ended: a run that
was cut off has no line of type ``end``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ..errors import ConfigurationError

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
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        entries = [json.loads(line) for line in lines if line.endswith("\n")]
        began = entries[0]["implementation"] if entries else {"name": "", "version": ""}
        tests = [entry["nodeid"] for entry in entries if entry["type"] == "test"]
        ended = any(entry["type"] == "end" for entry in entries)
        return Progress(f"{began['name']} {began['version']}", len(tests), tests[-1] if tests else "", ended)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is no journal of a run: {error}", hint="name another report") from error


class Journal:
    """Writes one line for each thing that happens, at once.

    :param directory: created where it is missing; an older journal in it is replaced.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / FILE
        self._file: TextIO = self.path.open("w", encoding="utf-8")

    def write(self, kind: str, **fields: Any) -> None:
        """Add a line: an object with ``type`` and these fields."""
        self._file.write(json.dumps({"type": kind, **fields}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
