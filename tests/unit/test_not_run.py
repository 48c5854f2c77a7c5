"""A run of the project's own tests lists what it did not run, with the reason, at its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.reader import WITHOUT_HYPOTHESIS

TESTS = """
import pytest


@pytest.mark.full
def test_of_the_complete_run():
    pass


@pytest.mark.parametrize("number", [1, 2])
def test_that_lacks_something(number):
    pytest.skip("no browser: none is in PATH")


def test_that_is_run():
    pass


def test_that_fails():
    assert False


def test_after_it():
    pass
"""
SKIPPED = "NOT RUN: 2 tests: no browser: none is in PATH"
LEFT_OUT = "NOT RUN: 1 test: only in the complete run: tox run -e full"
UNREACHED = "NOT RUN: 1 test: the run ended before them"


def run(directory: Path, *options: str, full: str = "0") -> str:
    (directory / "test_some.py").write_text(TESTS)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TEST_FULL": full}
    command = [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider", "-p", "tests.conftest"]
    command += WITHOUT_HYPOTHESIS
    done = subprocess.run(
        [*command, *options], cwd=directory, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    return done.stdout


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_skipped_tests_are_counted_by_reason(tmp_path: Path, workers: str) -> None:
    shown = run(tmp_path, workers)
    assert [line for line in shown.splitlines() if line.startswith("NOT RUN")] == [SKIPPED, LEFT_OUT]


def test_full_tests_run_in_the_complete_run(tmp_path: Path) -> None:
    shown = run(tmp_path, full="1")
    assert LEFT_OUT not in shown
    assert "2 passed" not in shown
    assert "3 passed" in shown


def test_tests_after_an_early_end_are_counted(tmp_path: Path) -> None:
    assert UNREACHED in run(tmp_path, "-x")
