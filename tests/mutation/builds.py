"""Builds of the sample controller: its source with a few small changes, wrong or correct."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest_vault_issuer

SAMPLE_CONTROLLER = Path(pytest_vault_issuer.__file__).parent / "sample_controller"
#: The name of a copy of the sample controller's package, for ``python -m``.
PACKAGE = "sample_controller"
#: The name in edits of the RBAC manifest of the built-in sample controller: some mutants need more permissions.
RBAC = "rbac.yaml"
#: The sample controller in its own API group: edits of ``crds/`` change its CRDs.
EXAMPLE = Path(__file__).parents[2] / "examples" / "sample-controller"


@dataclass(frozen=True)
class Edit:
    """One change of one file.

    :ivar file: a module of the sample controller, ``rbac.yaml``, or a file of the example, as ``crds/issuers.yaml``.
    :ivar old: text that occurs exactly once in the file.
    """

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Build:
    """The sample controller with some edits.

    :ivar reason: one sentence: what the controller does differently.
    """

    name: str
    edits: tuple[Edit, ...]
    reason: str

    @property
    def own_group(self) -> bool:
        """Whether this is the sample controller in its own API group, with its own CRDs."""
        return any(edit.file.startswith("crds/") for edit in self.edits)

    def sources(self) -> dict[str, str]:
        """Return the text of each file that differs from the sample controller's, by the file's name.

        :raises ValueError: if the old text of an edit does not occur exactly once.
        """
        texts: dict[str, str] = {}
        for edit in self.edits:
            text = texts.get(edit.file) or self._original(edit.file).read_text()
            if text.count(edit.old) != 1:
                raise ValueError(f"{self.name}: expected once in {edit.file}, found {text.count(edit.old)}: {edit.old}")
            texts[edit.file] = text.replace(edit.old, edit.new)
        return texts

    def _original(self, file: str) -> Path:
        if file == RBAC:
            return SAMPLE_CONTROLLER.parent / "implementation" / "builtin" / "sample-controller-rbac.yaml"
        return (EXAMPLE if self.own_group else SAMPLE_CONTROLLER) / file

    def write(self, directory: Path) -> Path:
        """Write the changed package, or the changed example, into a directory and return that directory."""
        shutil.copytree(
            EXAMPLE if self.own_group else SAMPLE_CONTROLLER,
            directory / PACKAGE,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for file, text in self.sources().items():
            (directory / PACKAGE / file).write_text(text)
        return directory


@dataclass(frozen=True)
class Mutant(Build):
    """A wrong build.

    :ivar requirement: the id of the requirement that must fail.
    :ivar neighbors: the ids of the only other requirements that may fail.
    """

    requirement: str = ""
    neighbors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant(Build):
    """A correct build.

    :ivar file: its implementation file; None for the built-in sample controller with edits.
    """

    file: Path | None = None
