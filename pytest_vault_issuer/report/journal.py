"""``report.jsonl``: the progress of a session, one line for each event.

The first line names the implementation, and the last line says how the session ended. The journal of an interrupted
session has no line of type ``end``.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ..errors import ConfigurationError
from ..inputs.files import read_regular
from ..text import plain

FILE = "report.jsonl"


@dataclass(frozen=True)
class Progress:
    """How far a session came.

    :ivar about: the implementation, with its version.
    :ivar tests: the number of tests that ended.
    :ivar last: the node id of the last of them; '' if none ended.
    :ivar ended: whether the session ran to its end.
    """

    about: str
    tests: int
    last: str
    ended: bool


def read(path: Path) -> Progress:
    """Read a journal. An incomplete last line is ignored.

    :raises ConfigurationError: for a file that is not a journal.
    """
    try:
        lines = read_regular(path).split(b"\n")[:-1]  # the last one is empty, or was cut
        entries = [json.loads(line) for line in lines]
        began = entries[0]["implementation"] if entries else {"name": "", "version": ""}
        tests = [str(entry["nodeid"]) for entry in entries if entry["type"] == "test"]
        ended = any(entry["type"] == "end" for entry in entries)
        return Progress(f"{began['name']} {began['version']}", len(tests), tests[-1] if tests else "", ended)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not a journal of a session: {error}", hint="name another report"
        ) from error


class Journal:
    """Writes one line for each event, immediately.

    :param directory: created if it does not exist. An older journal in it is replaced.
    :ivar problem: why the journal is not complete; '' if it is.
    :raises OSError: if the file cannot be created.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / FILE
        self._file: TextIO = self.path.open("w", encoding="utf-8")
        self.problem = ""

    def write(self, kind: str, **fields: Any) -> None:
        """Add a line: an object with ``type`` and these fields.

        A failed write, for example on a full disk, does not end the session: ``problem`` gives the reason, and nothing
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
        with contextlib.suppress(OSError):  # a full disk: the buffer cannot be written
            self._file.close()
