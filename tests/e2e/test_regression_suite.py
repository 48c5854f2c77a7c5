"""The example of a regression suite: a team's own tests, on the plugin's fixtures alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/regression-suite"


def run_in(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=directory, env=kept, capture_output=True, text=True)


@pytest.fixture
def suite_of_a_team(tmp_path: Path) -> Path:
    """A copy of it outside this project."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "suite"))


def test_it_passes_from_a_directory_of_its_own(suite_of_a_team: Path) -> None:
    run = run_in(suite_of_a_team)
    assert run.returncode == pytest.ExitCode.OK, run.stdout + run.stderr
    assert re.search(r"\b10 passed", run.stdout)
    assert "profile" not in run.stdout.splitlines()[-1]


def test_a_policy_that_allows_too_much_is_seen(suite_of_a_team: Path) -> None:
    policy = suite_of_a_team / "vault/policy.hcl"
    policy.write_text(policy.read_text().replace("/sign/web", "/*"))
    run = run_in(suite_of_a_team, "test_vault.py")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    failed = set(re.findall(r"^FAILED test_vault.py::(\w+)", run.stdout, re.MULTILINE))
    assert failed == {"test_other_roles_of_our_pki_are_closed", "test_roles_cannot_be_changed"}
