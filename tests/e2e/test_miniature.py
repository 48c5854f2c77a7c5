"""The verdict on the second implementation: the suite judges behaviour, not likeness to cert-manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples/miniature/miniature.toml"


def test_the_miniature_does_all_that_is_asked(suite: Any) -> None:
    run = suite.run("--vault-issuer=miniature", "--vault-issuer-profile=core", "--vault-issuer-profile=extended", "-n4")
    assert run.status == 0, run.output
    assert run.verdict == "conformant"
    # What it does not claim, of the extended profile, is not asked.
    assert set(run.outcomes().values()) <= {"passed", "unsupported"}


def test_its_file_in_a_group_of_its_own_is_certified(suite: Any) -> None:
    """A certified run judges all that is claimed, and nothing less than conformant passes it."""
    run = suite.run(f"--vault-issuer={EXAMPLE}", "-n4", "--vault-issuer-certify")
    assert run.status == 0, run.output
    assert {profile["verdict"] for profile in run.report["profiles"].values()} == {"conformant"}
    assert run.report["profiles"].keys() == {"core", "extended"}
    assert run.report["options"]["certify"]
    assert set(run.outcomes().values()) == {"passed"}
