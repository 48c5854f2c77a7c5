"""The matrix: every defect is caught by the requirement it breaks, and by no others than its near neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .defects import DEFECTS
from .judging import Bench
from .mutants import Defect, Mutant
from .variants import VARIANTS

RIGHT = Mutant("right", (), "the miniature as it is")


def area(identifier: str) -> str:
    return identifier.split("-")[1]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_caught(
    defect: Defect, bench: Bench, tmp_path: Path, full: bool, record_property: Any, built: None
) -> None:
    selection = () if full else sorted({area(identifier) for identifier in (defect.breaks, *defect.also)})
    judgement = bench.judge(defect, tmp_path, selection)
    failed = judgement.of("failed")
    record_property("defect", [defect.name, defect.breaks, sorted(failed), full])
    assert not judgement.of("error"), judgement.output
    assert defect.breaks in failed, f"{defect.breaks} does not see it: {defect.why}\n{judgement.output}"
    assert failed <= {defect.breaks, *defect.also}, judgement.output


@pytest.mark.parametrize("variant", [RIGHT, *VARIANTS], ids=lambda variant: variant.name)
def test_a_right_issuer_passes(variant: Mutant, bench: Bench, tmp_path: Path, built: None) -> None:
    judgement = bench.judge(variant, tmp_path)
    assert judgement.of("failed", "error", "known-failure") == set(), judgement.output
    assert judgement.of("passed")
