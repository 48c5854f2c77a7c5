"""The verdict on a second implementation: the suite judges behavior, not similarity to cert-manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_vault_issuer.requirements.features import DOCUMENTED
from tests.support.scope import scopes, selecting

EXAMPLE = Path(__file__).parents[2] / "examples/sample-controller/sample-controller.toml"


@scopes(*DOCUMENTED)
def test_sample_controller_passes_every_requirement(suite: Any, shared: str, selected: tuple[str, ...]) -> None:
    """In cert-manager's group; the test below covers its own group."""
    profiles = [f"--vault-issuer-profile={profile}" for profile in DOCUMENTED]
    workers = "-n2" if selected else "-n4"
    run = suite.run("--vault-issuer=sample-controller", *profiles, workers, shared, *selecting(selected))
    assert run.status == 0, run.output
    assert run.verdict == ("partial" if selected else "conformant")
    # The session does not judge features that it does not claim.
    assert set(run.outcomes(selected).values()) <= {"passed", "unsupported"}


def test_sample_controller_in_its_own_group_is_certified(suite: Any) -> None:
    """Certify mode judges everything that the implementation claims, and only *conformant* passes."""
    run = suite.run(f"--vault-issuer={EXAMPLE}", "-n4", "--vault-issuer-certify")
    assert run.status == 0, run.output
    assert {profile["verdict"] for profile in run.report["profiles"].values()} == {"conformant"}
    assert run.report["profiles"].keys() == {"core", "extended"}
    assert run.report["options"]["certify"]
    assert set(run.outcomes().values()) == {"passed"}
