"""The verdict on the second implementation: the suite judges behaviour, not likeness to cert-manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_vault_issuer.requirements.features import DOCUMENTED
from tests.support.scope import scopes, selecting

EXAMPLE = Path(__file__).parents[2] / "examples/sample-controller/sample-controller.toml"


@scopes(*DOCUMENTED)
def test_sample_controller_passes_every_requirement(suite: Any, shared: str, selected: tuple[str, ...]) -> None:
    """In cert-manager's group: what it is asked in a group of its own is below."""
    profiles = [f"--vault-issuer-profile={profile}" for profile in DOCUMENTED]
    run = suite.run("--vault-issuer=sample-controller", *profiles, "-n4", shared, *selecting(selected))
    assert run.status == 0, run.output
    assert run.verdict == ("partial" if selected else "conformant")
    # What it does not claim, of the extended profile, is not asked.
    assert set(run.outcomes(selected).values()) <= {"passed", "unsupported"}


def test_sample_controller_in_its_own_group_is_certified(suite: Any) -> None:
    """A certified run judges all that is claimed, and nothing less than conformant passes it."""
    run = suite.run(f"--vault-issuer={EXAMPLE}", "-n4", "--vault-issuer-certify")
    assert run.status == 0, run.output
    assert {profile["verdict"] for profile in run.report["profiles"].values()} == {"conformant"}
    assert run.report["profiles"].keys() == {"core", "extended"}
    assert run.report["options"]["certify"]
    assert set(run.outcomes().values()) == {"passed"}
