"""The verdicts of the profile resilience: of cert-manager in CI, of the others in the complete run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import RESILIENCE

ASKED = Catalogue.load().select((RESILIENCE,))
SAMPLE_CONTROLLER = Path(__file__).parents[2] / "examples/sample-controller/sample-controller.toml"

pytestmark = pytest.mark.skipif(not ASKED, reason="the profile resilience has no requirements yet")


@pytest.mark.parametrize(
    "implementation", ["cert-manager", pytest.param(str(SAMPLE_CONTROLLER), id="sample", marks=pytest.mark.full)]
)
def test_profile_resilience_is_conformant(suite: Any, implementation: str) -> None:
    """Exactly the known failures fail, and exactly what is not claimed is unsupported."""
    described = load_implementation(implementation)
    run = suite.run(f"--vault-issuer={implementation}", f"--vault-issuer-profile={RESILIENCE}", "-n2")
    assert run.status == 0, run.output
    assert run.report["profiles"][RESILIENCE]["verdict"] == "conformant", run.output
    outcomes = run.outcomes()
    not_claimed = {r.id for r in ASKED if r.feature and r.feature not in described.features}
    known = described.known_failures.keys() & {requirement.id for requirement in ASKED}
    assert {i for i, outcome in outcomes.items() if outcome == "unsupported"} == not_claimed, run.output
    assert {i for i, outcome in outcomes.items() if outcome == "known-failure"} == known, run.output
    assert set(outcomes.values()) <= {"passed", "known-failure", "unsupported"}, run.output
