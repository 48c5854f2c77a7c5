"""Tests that hold the controller run alone, and start eventually."""

from __future__ import annotations

import fcntl
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_vault_issuer.judge.schedule import EXCLUSIVE, HOLDS, Schedule, turn
from pytest_vault_issuer.sandbox.pace import Pace
from pytest_vault_issuer.timeouts import poll

#: Seconds in which a thread gets its turn.
LIMIT = 20.0


class Test:
    """A test that runs in a thread from :meth:`start` until :meth:`end`."""

    __test__ = False

    def __init__(self, pool: ThreadPoolExecutor, directory: Path, *, alone: bool) -> None:
        self.runs, self._over = threading.Event(), threading.Event()
        self._future: Future[None] = pool.submit(self._run, directory, alone)

    def _run(self, directory: Path, alone: bool) -> None:
        with turn(directory, alone=alone):
            self.runs.set()
            self._over.wait(LIMIT)

    def end(self) -> None:
        self._over.set()
        self._future.result(LIMIT)


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_tests_that_hold_nothing_run_side_by_side(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    tests = [Test(pool, tmp_path, alone=False) for _ in range(3)]
    assert all(test.runs.wait(LIMIT) for test in tests)
    for test in tests:
        test.end()


def test_a_holder_runs_alone_and_next(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """Tests that arrive later wait behind it, so that it starts eventually."""
    first = Test(pool, tmp_path, alone=False)
    assert first.runs.wait(LIMIT)
    holder = Test(pool, tmp_path, alone=True)
    assert poll(lambda: waits_at_gate(tmp_path) or None, timeout=LIMIT)
    later = Test(pool, tmp_path, alone=False)
    assert not holder.runs.is_set()
    first.end()
    assert holder.runs.wait(LIMIT)
    assert not later.runs.is_set()
    holder.end()
    assert later.runs.wait(LIMIT)
    later.end()


def waits_at_gate(directory: Path) -> bool:
    with (directory / "gate.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


FEW, ENOUGH = Pace(concurrency=1), Pace(concurrency=8)


@pytest.mark.parametrize(
    ("marker", "pace", "worker", "alone"),
    [
        (HOLDS, FEW, True, True),
        (HOLDS, ENOUGH, True, False),
        (HOLDS, Pace(), True, False),
        (HOLDS, None, True, False),
        (HOLDS, FEW, False, None),
        (EXCLUSIVE, FEW, True, True),
        (EXCLUSIVE, ENOUGH, True, True),
        (EXCLUSIVE, None, True, True),
        (EXCLUSIVE, ENOUGH, False, None),
        ("", FEW, True, False),
        ("", ENOUGH, True, False),
    ],
)
def test_tests_run_alone_if_they_need_the_controller_or_the_stack_for_themselves(
    tmp_path: Path, marker: str, pace: Pace | None, worker: bool, alone: bool | None
) -> None:
    """A single process needs no lock: None."""
    run: Any = SimpleNamespace(pace=pace, has_stack=True, directory=SimpleNamespace(path=tmp_path))
    config = SimpleNamespace(workerinput={}) if worker else SimpleNamespace()
    item: Any = SimpleNamespace(config=config, get_closest_marker=lambda name: name == marker or None)
    protocol = Schedule(run).pytest_runtest_protocol(item)
    next(protocol)
    assert others_may_run(tmp_path) == (None if alone is None else not alone)
    with pytest.raises(StopIteration):
        protocol.send(True)


def others_may_run(directory: Path) -> bool | None:
    """Return whether a test that needs nothing exclusively gets a turn; None if no test has run yet."""
    if not (directory / "turn.lock").exists():
        return None
    with (directory / "turn.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
