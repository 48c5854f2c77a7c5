"""The end of a process that a test starts does not hide why the test failed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import killed_at_end, output_of


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def refuse(process: subprocess.Popen[str]) -> None:
    with killed_at_end(process):
        process.wait()
        raise AssertionError(output_of(process))


def test_failure_with_the_output_of_an_ended_process_is_reported() -> None:
    with pytest.raises(AssertionError, match="no such option"):
        refuse(start("print('no such option')"))


def test_process_is_killed_after_a_failure() -> None:
    with (
        pytest.raises(AssertionError, match="too late"),
        killed_at_end(start("import signal; signal.pause()")) as waiting,
    ):
        raise AssertionError("too late")
    assert waiting.returncode is not None
