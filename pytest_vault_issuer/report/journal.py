"""``report.jsonl``: what happened, line by line, as it happens.

The first line says whom the run judges, the last one how it ended: a run that
was cut off has no line of type ``end``.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

FILE = "report.jsonl"


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
