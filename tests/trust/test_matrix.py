"""The matrix: every defect is caught by the requirement it breaks, and by no others than its near neighbours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import PROFILES
from tests.support.scope import one_per_area

from .defects import DEFECTS
from .judging import Bench, share
from .mutants import Defect, Mutant
from .variants import RIGHT_ISSUERS


def what_it_can_touch(defect: Defect) -> list[str]:
    """Its requirement and that one's neighbours, or, where TRUST_SCOPE=areas, all of their areas."""
    named = {defect.breaks, *defect.also}
    if os.environ.get("TRUST_SCOPE") != "areas":
        return sorted(named)
    areas = {identifier.split("-")[1] for identifier in named}
    return [identifier for identifier in Catalogue.load().ids if identifier.split("-")[1] in areas]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_caught(
    defect: Defect, bench: Bench, tmp_path: Path, full: bool, record_property: Any, built: None
) -> None:
    judgement = bench.judge(defect, tmp_path, () if full else what_it_can_touch(defect))
    failed = judgement.of("failed")
    record_property("defect", [defect.name, defect.breaks, sorted(failed), full])
    assert not judgement.of("error"), judgement.output
    assert defect.breaks in failed, f"{defect.breaks} does not see it: {defect.why}\n{judgement.output}"
    assert failed <= {defect.breaks, *defect.also}, judgement.output


@pytest.mark.parametrize("variant", RIGHT_ISSUERS, ids=lambda variant: variant.name)
def test_a_right_issuer_passes(variant: Mutant, bench: Bench, tmp_path: Path, built: None) -> None:
    """As a whole, or where only a share is judged, by one requirement of each area."""
    judgement = bench.judge(variant, tmp_path, one_per_area(*PROFILES) if share() < 1 else ())
    assert judgement.of("failed", "error", "known-failure") == set(), judgement.output
    assert judgement.of("passed")
