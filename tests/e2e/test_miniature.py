"""The verdict on the second implementation: the suite judges behaviour, not likeness to cert-manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/miniature/miniature.toml"


@pytest.mark.parametrize("implementation", ["miniature", str(EXAMPLE)], ids=["built-in", "own-group"])
def test_the_miniature_does_all_that_is_asked(suite: Any, implementation: str) -> None:
    profiles = ["--vault-issuer-profile=core", "--vault-issuer-profile=extended"]
    run = suite.run(f"--vault-issuer={implementation}", *profiles, "-n4")
    assert run.status == 0, run.output
    assert run.verdict == "conformant"
    # What it does not claim, of the extended profile, is not asked.
    assert set(run.outcomes().values()) <= {"passed", "unsupported"}
