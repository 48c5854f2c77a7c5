"""The profile resilience: in CI, one requirement of each area on cert-manager; in the complete run, all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import RESILIENCE
from tests.support.scope import scopes, selecting

SAMPLE_CONTROLLER = Path(__file__).parents[2] / "examples/sample-controller/sample-controller.toml"


@scopes(RESILIENCE)
@pytest.mark.parametrize(
    "implementation", ["cert-manager", pytest.param(str(SAMPLE_CONTROLLER), id="sample", marks=pytest.mark.full)]
)
def test_profile_resilience_has_the_claimed_outcomes(
    suite: Any, implementation: str, selected: tuple[str, ...]
) -> None:
    """Exactly the known failures fail, and exactly what the implementation does not claim is unsupported."""
    described = load_implementation(implementation)
    run = suite.run(
        f"--vault-issuer={implementation}", f"--vault-issuer-profile={RESILIENCE}", "-n2", *selecting(selected)
    )
    assert run.status == 0, run.output
    assert run.report["profiles"][RESILIENCE]["verdict"] == ("partial" if selected else "conformant"), run.output
    outcomes = run.outcomes(selected)
    asked = [r for r in Catalogue.load().select((RESILIENCE,)) if not selected or r.id in selected]
    assert outcomes.keys() == {r.id for r in asked}
    not_claimed = {r.id for r in asked if r.feature and r.feature not in described.features}
    known = described.known_failures.keys() & outcomes.keys()
    assert {i for i, outcome in outcomes.items() if outcome == "unsupported"} == not_claimed, run.output
    assert {i for i, outcome in outcomes.items() if outcome == "known-failure"} == known, run.output
    assert set(outcomes.values()) <= {"passed", "known-failure", "unsupported"}, run.output
