"""Mutants of the sample controller: its source with one small change."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest_vault_issuer

SAMPLE_CONTROLLER = Path(pytest_vault_issuer.__file__).parent / "sample_controller"
#: What a copy of the sample controller is called, so that it runs as ``python -m`` this.
PACKAGE = "sample_controller"
#: What an edit calls the built-in sample controller's rights: some mistakes need more of them.
RBAC = "rbac.yaml"
#: The sample controller in a group of its own: what its CRDs refuse is edited there.
EXAMPLE = Path(__file__).parents[2] / "examples" / "sample-controller"


@dataclass(frozen=True)
class Edit:
    """One change of one file; `old` occurs there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """The sample controller with some edits.

    :ivar name: what is different, as a short name.
    :ivar why: how somebody comes to write it, or why it is right all the same.
    """

    name: str
    edits: tuple[Edit, ...]
    why: str

    @property
    def own_group(self) -> bool:
        """Whether it is the sample controller in a group of its own, with other CRDs."""
        return any(edit.file.startswith("crds/") for edit in self.edits)

    def sources(self) -> dict[str, str]:
        """Return the text of each file that differs from the sample controller's.

        :raises ValueError: when an edit does not fit the source.
        """
        texts: dict[str, str] = {}
        for edit in self.edits:
            text = texts.get(edit.file) or self._original(edit.file).read_text()
            if text.count(edit.old) != 1:
                raise ValueError(f"{self.name}: {edit.file} has {text.count(edit.old)} times: {edit.old}")
            texts[edit.file] = text.replace(edit.old, edit.new)
        return texts

    def _original(self, file: str) -> Path:
        if file == RBAC:
            return SAMPLE_CONTROLLER.parent / "implementation" / "builtin" / "sample-controller-rbac.yaml"
        return (EXAMPLE if self.own_group else SAMPLE_CONTROLLER) / file

    def write(self, directory: Path) -> Path:
        """Write the changed package, or the changed example, into a folder and return that folder."""
        shutil.copytree(
            EXAMPLE if self.own_group else SAMPLE_CONTROLLER,
            directory / PACKAGE,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for file, text in self.sources().items():
            (directory / PACKAGE / file).write_text(text)
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
