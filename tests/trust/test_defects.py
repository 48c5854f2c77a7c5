"""The table of defects: complete, and each an edit that fits the sample controller as it is."""

from __future__ import annotations

from collections import Counter

import pytest
import yaml

from pytest_vault_issuer.requirements.catalogue import Catalogue

from .defects import DEFECTS
from .mutants import Defect, Mutant
from .variants import RIGHT_ISSUERS

#: A defect that breaks more than this in other areas does not show that its requirement is judged by itself.
NEIGHBOURS = 4
MUTANTS = (*DEFECTS, *RIGHT_ISSUERS)


def far(defect: Defect) -> list[str]:
    """What a defect breaks in other areas than that of its requirement."""
    area = defect.breaks.rpartition("-")[0]
    return [identifier for identifier in defect.also if not identifier.startswith(area)]


def test_names_are_unique() -> None:
    assert [name for name, times in Counter(mutant.name for mutant in MUTANTS).items() if times > 1] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_and_compiles(mutant: Mutant) -> None:
    for file, text in mutant.sources().items():
        if file.endswith(".py"):
            compile(text, file, "exec")
        else:
            assert list(yaml.safe_load_all(text))
    assert mutant.why


def test_every_must_and_should_has_a_defect() -> None:
    broken = {defect.breaks for defect in DEFECTS if len(far(defect)) <= NEIGHBOURS}
    asked = [r.id for r in Catalogue.load().requirements if r.level in ("MUST", "SHOULD")]
    assert [identifier for identifier in asked if identifier not in broken] == []


def test_defects_name_requirements() -> None:
    ids = set(Catalogue.load().ids)
    assert {identifier for d in DEFECTS for identifier in (d.breaks, *d.also)} <= ids
