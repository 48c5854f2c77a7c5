"""``vault-issuer judge`` on a real stack, and ``--failed`` after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytest_vault_issuer.report import rerun
from tests.e2e import faulty
from tests.e2e.conftest import LIMIT, user_environment
from tests.support import written_report

FAILING, PASSING = "VI-APPROLE-001", "VI-SIGN-001"
#: Half the timeouts, because the failure waits for an event that never occurs.
HALF = ("--workers", "2", "--timeout-scale", "0.5")


def judge(directory: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("vault-issuer")), "judge", *words]
    return subprocess.run(
        command,
        cwd=directory,
        env=user_environment(**environment),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def test_failed_repeats_only_what_failed_and_keeps_the_report(tmp_path: Path, joining: dict[str, str]) -> None:
    (tmp_path / "issuer").mkdir()
    described = faulty.write(tmp_path / "issuer")
    assert FAILING in faulty.BROKEN.values()
    first = judge(tmp_path, joining, str(described), "--select", FAILING, "--select", PASSING, *HALF)
    assert first.returncode == 1, first.stdout + first.stderr
    assert "vault-issuer: running: pytest --pyargs" in first.stderr
    assert "profile core: non-conformant" in first.stdout
    assert "to repeat what failed: vault-issuer judge --failed --report report" in first.stdout
    report = written_report.load(tmp_path / "report")
    failed = set(rerun.failed(report))
    second = judge(tmp_path, joining, "--failed")
    assert second.returncode == 1, second.stdout + second.stderr
    repeated = written_report.load(tmp_path / "report/failed")
    ran = {test["nodeid"] for entry in repeated["requirements"] for test in entry["tests"]}
    assert ran == failed
    assert any(entry["outcome"] == "passed" for entry in report["requirements"])
    assert written_report.load(tmp_path / "report") == report
