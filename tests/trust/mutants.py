"""Mutants of the miniature: its source with one small change."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest_vault_issuer

MINIATURE = Path(pytest_vault_issuer.__file__).parent / "miniature"
#: What a copy of the miniature is called, so that it runs as ``python -m`` this.
PACKAGE = "miniature"


@dataclass(frozen=True)
class Edit:
    """One change of one file; `old` occurs there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """The miniature with some edits.

    :ivar name: what is different, as a short name.
    :ivar why: how somebody comes to write it, or why it is right all the same.
    """

    name: str
    edits: tuple[Edit, ...]
    why: str

    def write(self, directory: Path) -> Path:
        """Write the changed source into a new folder of `directory` and return what has to be in PYTHONPATH.

        :raises ValueError: when an edit does not fit the source.
        """
        shutil.copytree(MINIATURE, directory / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        for edit in self.edits:
            path = directory / PACKAGE / edit.file
            text = path.read_text()
            if text.count(edit.old) != 1:
                raise ValueError(f"{self.name}: {edit.file} has {text.count(edit.old)} times: {edit.old}")
            path.write_text(text.replace(edit.old, edit.new))
        return directory


@dataclass(frozen=True)
class Defect(Mutant):
    """A mutant that breaks a requirement.

    :ivar breaks: the requirement that has to fail.
    :ivar also: its near neighbours: those that may fail with it, and no others.
    """

    breaks: str = ""
    also: tuple[str, ...] = field(default=())


def defect(
    name: str, breaks: str, file: str, old: str, new: str, why: str, *more: Edit, also: tuple[str, ...] = ()
) -> Defect:
    """Return a defect of one edit, or of several."""
    return Defect(name, (Edit(file, old, new), *more), why, breaks, also)
