"""A session that ends early reports what it judged."""

from __future__ import annotations

from pathlib import Path

from tests.e2e import faulty
from tests.e2e.conftest import Suite
from tests.support.scope import few_or

#: The second one fails, so the third one is not judged. The complete run selects their whole area.
SELECTED = ("VI-HEALTH-001", "VI-HEALTH-003", "VI-HEALTH-004")


def test_exit_at_the_first_failure_writes_an_incomplete_report(suite: Suite, shared: str, tmp_path: Path) -> None:
    (tmp_path / "issuer").mkdir()
    described = faulty.write(tmp_path / "issuer")
    run = suite.run(f"--vault-issuer={described}", shared, *few_or(SELECTED, "HEALTH"), "-x")
    assert run.status == 1, run.output
    assert run.verdict == "incomplete"
    assert run.report["incomplete"] == "stopping after 1 failures"
    failed = [identifier for identifier, outcome in run.outcomes().items() if outcome == "failed"]
    assert failed
    assert set(failed) <= set(faulty.BROKEN.values())
    assert "profile core: incomplete" in run.output
    page = (suite.directory / "report/report.html").read_text()
    assert "profile core: <strong>incomplete</strong>" in page
    assert "stopping after 1 failures" in page
    assert "**incomplete**" in (suite.directory / "report/report.md").read_text()
