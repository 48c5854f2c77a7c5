"""Every MUST and SHOULD has a mutant, and each edit matches the current source of the sample controller."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from pytest_vault_issuer.requirements.catalogue import Catalogue

from .builds import Build, Mutant
from .load import MUTANTS, MutationFileError, mutants, variants

#: A mutant with more neighbors than this in other areas does not prove that its requirement is judged separately.
NEIGHBORS = 4
BUILDS: tuple[Build, ...] = (*mutants(), *variants())
VALID = """
[[mutant]]
name = "a"
requirement = "VI-SIGN-001"
reason = "The controller signs elsewhere."
file = "signing.py"
old = "a"
new = "b"
"""


def in_other_areas(mutant: Mutant) -> list[str]:
    """Return the neighbors that are not in the area of the mutant's requirement."""
    area = mutant.requirement.rpartition("-")[0]
    return [identifier for identifier in mutant.neighbors if not identifier.startswith(area)]


def test_names_are_unique() -> None:
    assert [name for name, times in Counter(build.name for build in BUILDS).items() if times > 1] == []


def test_no_two_builds_have_the_same_edits() -> None:
    times = Counter(frozenset(mutant.edits) for mutant in mutants())
    assert [mutant.name for mutant in mutants() if times[frozenset(mutant.edits)] > 1] == []


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_each_edit_occurs_once_and_compiles(build: Build) -> None:
    for file, text in build.sources().items():
        if file.endswith(".py"):
            compile(text, file, "exec")
        else:
            assert list(yaml.safe_load_all(text))


def test_reasons_are_sentences() -> None:
    assert [build.name for build in BUILDS if not (build.reason[0].isupper() and build.reason.endswith("."))] == []


def test_every_must_and_should_has_a_mutant() -> None:
    broken = {mutant.requirement for mutant in mutants() if len(in_other_areas(mutant)) <= NEIGHBORS}
    levels = ("MUST", "SHOULD")
    assert [r.id for r in Catalogue.load().requirements if r.level in levels and r.id not in broken] == []


def test_mutants_name_requirements() -> None:
    ids = set(Catalogue.load().ids)
    assert {identifier for m in mutants() for identifier in (m.requirement, *m.neighbors)} <= ids


def test_every_area_has_a_file() -> None:
    areas = {identifier.split("-")[1].lower() for identifier in Catalogue.load().ids}
    assert {file.stem for file in MUTANTS.glob("*.toml")} == areas


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VALID.replace('old = "a"\n', ""), "sign.toml: a: missing old"),
        (VALID + 'also = "c"\n', "sign.toml: a: unknown also"),
        (VALID.replace('"b"', "3"), "sign.toml: a: new must be a string, got 3"),
        (VALID.replace('name = "a"', "name = 3"), "sign.toml: every entry needs a name, got 3"),
        (VALID.replace("SIGN", "TLS"), "sign.toml: a: requirement must start with VI-SIGN-, got 'VI-TLS-001'"),
        (VALID + 'neighbors = ["VI-SIGN-001"]\n', "sign.toml: a: neighbors must be a list of other requirements"),
        ("[mutants]\n", "sign.toml: expected only [[mutant]], got ['mutants']"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "sign.toml").write_text(text)
    with pytest.raises(MutationFileError) as caught:
        mutants(tmp_path)
    assert str(caught.value) == message


def test_an_edit_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sign.toml").write_text(VALID)
    with pytest.raises(ValueError, match=r"a: expected once in signing.py, found \d+: a"):
        mutants(tmp_path)[0].sources()
