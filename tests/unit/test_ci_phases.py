"""The phases of CI: each is timed, failures are remembered, and the last line counts all tests as pytest does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CI = Path(__file__).parents[2] / ".ci"
PASSES = "echo '===== 3 passed, 1 skipped in 2.50s ====='; echo 'NOT RUN: 1 test: no browser'"
FAILS = "echo '===== 1 failed, 4 passed, 2 errors in 61.00s (0:01:01) ====='; exit 1"


def run(directory: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with the phases, and the summary at its end."""
    whole = f"set -euo pipefail\n. {CI}/phases\ntrap 'python3 {CI}/summary \"$PHASES\"' EXIT\n{script}"
    return subprocess.run(
        ["bash", "-c", whole],
        env=os.environ | {"PHASES": str(directory)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


def summary(directory: Path) -> subprocess.CompletedProcess[str]:
    command = ["python3", str(CI / "summary"), str(directory)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)


def test_session_without_failures_ends_with_the_passed_requirements(tmp_path: Path) -> None:
    done = run(tmp_path, f'beside style true\nphase tests sh -c "{PASSES}"\ntogether')
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "===== 3 passed, 1 skipped in 2.50s ====="
    assert "NOT RUN: 1 test: no browser (tests)" in lines
    assert {line.split()[0] for line in lines if " ok" in line} == {"style", "tests"}


def test_a_failing_phase_fails_the_run_and_the_next_one_runs(tmp_path: Path) -> None:
    done = run(tmp_path, f'phase kind sh -c "{FAILS}" || true\nphase tests sh -c "{PASSES}"')
    assert "FAILED: kind" in done.stdout
    assert "FAILED (exit status 1)" in done.stdout
    assert done.stdout.splitlines()[-1] == "===== 1 failed, 7 passed, 1 skipped, 2 errors in 63.50s ====="
    assert summary(tmp_path).returncode == 1


def test_output_of_a_parallel_phase_is_printed_and_its_failure_counts(tmp_path: Path) -> None:
    done = run(tmp_path, 'beside style sh -c "echo too long; exit 3"\ntogether')
    assert "too long" in done.stdout
    assert "FAILED: style" in done.stdout
    assert summary(tmp_path).returncode == 1


def test_what_runs_beside_in_turn_goes_on_whatever_fails(tmp_path: Path) -> None:
    images, kind, matrix = f"test ! -e {tmp_path}/results", f"sh -c 'cat {tmp_path}/results; exit 3'", "echo a cell"
    done = run(tmp_path, f"beside images {images} then kind {kind} then matrix {matrix}\ntogether")
    results = (tmp_path / "results").read_text().splitlines()
    assert [line.split()[:2] for line in results] == [["images", "0"], ["kind", "3"], ["matrix", "0"]]
    assert (tmp_path / "kind.log").read_text().startswith("images 0 ")
    headings = [line for line in done.stdout.splitlines() if line.startswith("#####")]
    assert headings == [f"##### {name}, which ran beside" for name in ("images", "kind", "matrix")]
    assert "a cell" in done.stdout
    assert "FAILED: kind" in done.stdout


def test_a_run_that_came_to_no_phase_fails(tmp_path: Path) -> None:
    assert summary(tmp_path).returncode == 1
