"""A controller that is described by its Helm chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.scope import selecting

EXAMPLE = Path(__file__).parents[2] / "examples/sample-controller/chart.toml"
#: A requirement for requests and one for Certificates: only with the values of the file, the chart grants permissions
#: for Certificates.
SELECTED = ("VI-SIGN-001", "VI-CERTIFICATE-001")


def test_controller_with_the_rbac_of_its_chart_is_judged(suite: Any, shared: str) -> None:
    profiles = [f"--vault-issuer-profile={profile}" for profile in ("core", "extended")]
    run = suite.run(f"--vault-issuer={EXAMPLE}", shared, *profiles, *selecting(SELECTED))
    assert run.status == 0, run.output
    assert run.outcomes(SELECTED) == dict.fromkeys(SELECTED, "passed")
