"""Reads mutants and variants from their TOML files."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from .builds import Edit, Mutant, Variant

HERE = Path(__file__).parent
#: One file for each area of requirements.
MUTANTS = HERE / "mutants"
#: Implementation files of the sample controller with other options.
VARIANTS = HERE / "variants"
#: Examples of other shapes, which are variants, too: ``<shape>/controller.toml``.
SHAPES = HERE.parents[1] / "examples" / "shapes"
#: The sample controller as its Helm chart installs it.
CHART = HERE.parents[1] / "examples" / "sample-controller" / "chart.toml"
#: Correct builds that no option can express.
PATCHED_VARIANTS = HERE / "patched_variants.toml"
EDIT = {"file", "old", "new"}


class MutationFileError(ValueError):
    """A file of mutants or variants is invalid; the message names the file, the entry and the key."""


@cache
def mutants(directory: Path = MUTANTS) -> tuple[Mutant, ...]:
    """Return the mutants of all files, by area.

    :raises MutationFileError: if an entry is invalid.
    """
    return tuple(mutant for file in sorted(directory.glob("*.toml")) for mutant in _mutants(file))


@cache
def variants(directory: Path = VARIANTS, patched: Path = PATCHED_VARIANTS) -> tuple[Variant, ...]:
    """Return the correct builds: the sample controller itself, those with other options, and those with edits.

    :raises MutationFileError: if an entry is invalid.
    """
    described = [Variant(file.stem, (), _summary(file), file) for file in sorted(directory.glob("*.toml"))]
    shapes = [Variant(file.parent.name, (), _summary(file), file) for file in sorted(SHAPES.glob("*/controller.toml"))]
    return (
        Variant("unchanged", (), "The sample controller itself."),
        *described,
        *shapes,
        Variant("chart", (), _summary(CHART), CHART),
        *(Variant(*_build(patched, entry, set())) for entry in _entries(patched, "variant")),
    )


def _summary(file: Path) -> str:
    """Return the first line of an implementation file, a comment, as a sentence."""
    return file.read_text().splitlines()[0].removeprefix("#").strip().rstrip(".:") + "."


def _mutants(file: Path) -> list[Mutant]:
    area = f"VI-{file.stem.upper()}-"
    found = []
    for entry in _entries(file, "mutant"):
        name, edits, reason = _build(file, entry, {"requirement", "neighbors"})
        requirement, neighbors = entry.get("requirement", ""), entry.get("neighbors", [])
        if not isinstance(requirement, str) or not requirement.startswith(area):
            raise MutationFileError(f"{file.name}: {name}: requirement must start with {area}, got {requirement!r}")
        if not isinstance(neighbors, list) or requirement in neighbors:
            raise MutationFileError(f"{file.name}: {name}: neighbors must be a list of other requirements")
        found.append(Mutant(name, edits, reason, requirement, tuple(neighbors)))
    return found


def _entries(file: Path, table: str) -> list[dict[str, Any]]:
    content = tomllib.loads(file.read_text())
    if list(content) != [table]:
        raise MutationFileError(f"{file.name}: expected only [[{table}]], got {sorted(content)}")
    return list(content[table])


def _build(file: Path, entry: dict[str, Any], more: set[str]) -> tuple[str, tuple[Edit, ...], str]:
    """Return the name, the edits and the reason of an entry."""
    name = entry.get("name")
    if not name or not isinstance(name, str):
        raise MutationFileError(f"{file.name}: every entry needs a name, got {name!r}")
    where = f"{file.name}: {name}"
    several = "edits" in entry
    _check(where, entry, {"name", "reason", *({"edits"} if several else EDIT)}, more)
    edits = entry["edits"] if several else [{key: entry[key] for key in EDIT}]
    for edit in edits:
        _check(f"{where}: edits", edit, EDIT, set())
    return name, tuple(Edit(**edit) for edit in edits), entry["reason"]


def _check(where: str, table: dict[str, Any], required: set[str], optional: set[str]) -> None:
    if missing := required - set(table):
        raise MutationFileError(f"{where}: missing {', '.join(sorted(missing))}")
    if unknown := set(table) - required - optional:
        raise MutationFileError(f"{where}: unknown {', '.join(sorted(unknown))}")
    for key in required - {"edits"}:
        if not isinstance(table[key], str):
            raise MutationFileError(f"{where}: {key} must be a string, got {table[key]!r}")
