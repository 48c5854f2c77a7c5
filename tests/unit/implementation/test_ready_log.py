"""A controller has started when its log matches ready_log; an expression that backtracks does not block the session."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ConfigurationError, ImplementationError
from pytest_vault_issuer.implementation import load_implementation, ready_log
from pytest_vault_issuer.implementation import process as running
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
from pytest_vault_issuer.timeouts import Timeouts, poll
from tests.unit.conftest import LIMIT, Watch

#: Has 2**40 ways to fail.
SLOW = r"^(a+)+$"
ENOUGH = "a" * 40 + "!\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "implementation.log"
    path.write_text("")
    return path


def seen(process: subprocess.Popen[bytes]) -> str:
    """Wait until the time is more than `WAITING`."""

    def probe() -> str | None:
        state = ready_log.state(process)
        return None if state == ready_log.WAITING else state

    return poll(probe, timeout=LIMIT) or ready_log.WAITING


def test_line_that_comes_later_is_seen(log: Path) -> None:
    with ready_log.waiting("^started", log, LIMIT) as process:
        assert ready_log.state(process) == ready_log.WAITING
        with log.open("ab") as file:
            file.write(b"not started \xff\nstarted at last\n")
        assert seen(process) == ready_log.MATCHED


@pytest.mark.parametrize("expression", [SLOW, r"(x+x+)+y|" + SLOW, r"^(a|a)*$"])
def test_expression_that_backtracks_for_ever_is_ended(log: Path, expression: str) -> None:
    log.write_text(ENOUGH)
    with ready_log.waiting(expression, log, 1) as process:
        assert seen(process) == ready_log.TOO_LONG
    assert process.returncode == -signal.SIGALRM


def test_nothing_stays_when_it_is_waited_for_no_longer(log: Path) -> None:
    log.write_text(ENOUGH)
    with ready_log.waiting(SLOW, log, LIMIT) as process:
        pass
    assert process.returncode == -signal.SIGKILL


def test_build_ends_with_the_process_that_started_it(log: Path, watch: Watch) -> None:
    asks = f"""
import os, pathlib, signal, sys
from pytest_vault_issuer.implementation import ready_log
with ready_log.waiting("never", pathlib.Path({str(log)!r}), 60) as process:
    print(process.pid, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", asks], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        watch.add(int(asking.stdout.readline()))
        asking.kill()
    assert watch.left() == []


def test_error_names_the_expression(short_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MATCHING_LIMIT", 1)
    run = RunDirectory(short_directory / "run", os.getpid())
    run.open()
    try:
        run.spawn(running.PROCESS, ["sh", "-c", f"printf '{ENOUGH}'; sleep 1000"])
        with pytest.raises(ConfigurationError) as caught:
            running._wait_started(load_implementation("sample-controller").with_run(ready_log=SLOW), run, Timeouts())
    finally:
        run.close()
    assert caught.value.message == f"[run] ready_log: {SLOW!r} takes longer than 1 s on the log of sample-controller"
    assert "repetition" in caught.value.hint


@pytest.mark.parametrize(("script", "error"), [("echo started", ""), ("echo no; exit 3", "exit status 3")])
def test_controller_that_starts_or_ends(short_directory: Path, script: str, error: str) -> None:
    run = RunDirectory(short_directory / "run", os.getpid())
    run.open()
    try:
        run.spawn(running.PROCESS, ["sh", "-c", f"{script}; sleep 1000"])
        with pytest.raises(ImplementationError, match=error) if error else contextlib.nullcontext():
            running._wait_started(
                load_implementation("sample-controller").with_run(ready_log="^started$"), run, Timeouts()
            )
    finally:
        run.close()
