"""Activity of the controller: requests at the proxies of all processes of a session, and calls to the API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_vault_issuer.proxy.exchange import Route
from pytest_vault_issuer.sandbox import activity as module
from pytest_vault_issuer.sandbox.activity import RECENT, Activity, covered
from pytest_vault_issuer.sandbox.pace import Pace
from tests.support.clock import Clock

SERIAL = Pace(concurrency=1, batch=1.0)
FAST = Pace(concurrency=8, batch=0.1)
USER = "system:serviceaccount:a:b"


def test_periods_that_overlap_count_once() -> None:
    assert covered([(0, 4), (2, 6), (8, 20), (-5, -1)], 1, 10) == 7
    assert covered([(0, 4), (2, 6), (3, 5)], 0, 10, level=2) == 3
    assert covered([], 0, 10) == 0


def test_a_request_held_at_a_proxy_of_another_process_keeps_a_serial_controller_busy(
    tmp_path: Path, clock: Clock
) -> None:
    mine, other = Activity(tmp_path, pace=SERIAL), Activity(tmp_path)
    with other.request(Route.LOGIN):
        busy = mine.observe()
        clock.now += 30
        assert busy() == 30
    clock.now += 30
    assert busy() == 30 + RECENT


def test_a_fast_controller_is_not_busy_with_a_few_requests(tmp_path: Path, clock: Clock) -> None:
    mine, other = Activity(tmp_path, pace=FAST), Activity(tmp_path)
    busy = mine.observe()
    with other.request(Route.LOGIN):
        clock.now += 30
        assert busy() == 0


def test_a_controller_is_busy_when_all_its_workers_are_held(tmp_path: Path, clock: Clock) -> None:
    mine, other = Activity(tmp_path, pace=Pace(concurrency=4, batch=0.1)), Activity(tmp_path)
    busy = mine.observe()
    with other.request(Route.LOGIN), other.request(Route.SIGN), other.request(Route.HEALTH):
        clock.now += 10
        assert busy() == 0
        with other.request(Route.HEALTH):
            clock.now += 10
            assert busy() == 10


def test_request_that_the_waiting_test_holds_does_not_count(tmp_path: Path, clock: Clock) -> None:
    mine = Activity(tmp_path, pace=SERIAL)
    busy = mine.observe()
    with mine.request(Route.LOGIN):
        clock.now += 30
        assert busy() == 2 * RECENT


def test_without_a_measured_pace_nothing_is_busy(tmp_path: Path, clock: Clock) -> None:
    mine = Activity(tmp_path)
    busy = mine.observe()
    with Activity(tmp_path).request(Route.LOGIN):
        clock.now += 30
        assert busy() == 0


def test_an_idle_stack_is_not_busy(tmp_path: Path, clock: Clock) -> None:
    busy = Activity(tmp_path, pace=SERIAL).observe()
    clock.now += 30
    assert busy() == 0


def test_a_request_of_a_process_that_crashed_is_over(tmp_path: Path, clock: Clock) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f"{ended.pid}-x.jsonl").write_text(json.dumps([0, clock.now, "login", "test"]) + "\n")
    (tmp_path / f"{os.getpid()}-x.jsonl").write_text('[0, 900, "login", "test"]\n[0, 901]\n[1, 9')
    busy = Activity(tmp_path, pace=SERIAL).observe()
    clock.now += 30
    assert busy() == 0


def call(user: str, resource: str, at: float) -> str:
    stamp = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"user": {"username": user}, "objectRef": {"resource": resource}, "stageTimestamp": stamp}) + "\n"


@pytest.mark.parametrize(
    ("user", "resource", "seconds"),
    [(USER, "issuers", RECENT), (USER, "leases", 0), ("system:admin", "issuers", 0)],
    ids=["a call of the controller", "a lease that is renewed", "a call of the suite"],
)
def test_calls_of_a_slow_controller_count(
    tmp_path: Path, clock: Clock, user: str, resource: str, seconds: float
) -> None:
    audit = tmp_path / "audit.log"
    now = time.time()
    audit.write_text(call(USER, "issuers", now + 1))
    busy = Activity(tmp_path / "activity", pace=SERIAL, audit=(audit, USER)).observe()
    with audit.open("a") as file:
        file.write(call(user, resource, now + 10))
    clock.now += 30
    module.time.time, real = lambda: now + 30, module.time.time
    try:
        assert busy() == pytest.approx(seconds, abs=0.01)
    finally:
        module.time.time = real


class GrowingLog:
    """A log that has new lines at each read."""

    def mark(self) -> str:
        return "1"

    def since(self, mark: str) -> str:
        return "a line"


def test_log_lines_count_without_an_audit_log(tmp_path: Path, clock: Clock) -> None:
    busy = Activity(tmp_path, pace=SERIAL, log=GrowingLog()).observe()
    clock.now += 20
    assert busy() == 0, "there is nothing yet to compare with"
    clock.now += 5
    assert busy() == RECENT


def test_a_failure_names_the_tests_that_kept_the_controller_busy(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = Activity(tmp_path, pace=SERIAL), Activity(tmp_path)
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "some/where/test_a.py::test_long_ago[x/y] (call)")
    with other.request(Route.SIGN):
        clock.now += 1
    clock.now += 10
    since = clock.now
    with other.request(Route.SIGN):
        clock.now += 5
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "some/where/test_b.py::test_hang[x/y] (call)")
    with other.request(Route.LOGIN), mine.request(Route.HEALTH):
        clock.now += 2
        seen = [(r.test, r.route, (r.ended or clock.now) - r.began) for r in mine.others(since)]
    assert seen == [("test_b.py::test_hang[x/y]", "login", 2), ("test_a.py::test_long_ago[x/y]", "sign", 5)]


def test_a_directory_that_is_gone_fails_no_request(tmp_path: Path) -> None:
    with Activity(tmp_path / "is" / "gone").request(Route.LOGIN):
        pass
