"""The requirement that a mutant breaks catches it, and no requirement except its neighbors fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.requirements.catalogue import Catalogue

from .builds import Mutant
from .judging import Bench
from .load import mutants

#: `areas`: judge each mutant by all requirements of the areas that it can affect.
SCOPE = "MUTATION_SCOPE"


def affected_requirements(mutant: Mutant) -> list[str]:
    """Return the mutant's requirement and its neighbors, or all requirements of their areas."""
    named = {mutant.requirement, *mutant.neighbors}
    if os.environ.get(SCOPE) != "areas":
        return sorted(named)
    areas = {identifier.split("-")[1] for identifier in named}
    return [identifier for identifier in Catalogue.load().ids if identifier.split("-")[1] in areas]


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(
    mutant: Mutant, bench: Bench, tmp_path: Path, full: bool, record_property: Any, built: None
) -> None:
    judgement = bench.judge(mutant, tmp_path, () if full else affected_requirements(mutant))
    failed = judgement.of("failed")
    record_property("mutant", [mutant.name, mutant.requirement, sorted(failed), full])
    assert not judgement.of("error"), judgement.output
    assert mutant.requirement in failed, f"{mutant.requirement} misses it: {mutant.reason}\n{judgement.output}"
    assert failed <= {mutant.requirement, *mutant.neighbors}, judgement.output
