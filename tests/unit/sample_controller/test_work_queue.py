"""The sample controller's queue: one worker per key at a time, no lost keys, and retries after growing delays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_vault_issuer.sample_controller.work_queue import (
    LONGEST_PAUSE,
    TryAgainError,
    WorkQueue,
    pause_asked_for,
    start_workers,
)

#: Seconds after which an immediate event has not happened.
LIMIT = 10


@pytest.fixture
def queue() -> Iterator[WorkQueue[str]]:
    queue: WorkQueue[str] = WorkQueue(first_delay=0.01, longest_delay=0.05)
    yield queue
    queue.close()


def test_key_is_queued_once_however_often_it_is_added(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [queue.take(), queue.take()] == ["a", "b"]
    queue.close()
    assert queue.take() is None


def test_a_key_is_with_one_worker_at_a_time(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.take() == "b", "a worker has the other"
    queue.done("a")
    assert queue.take() == "a", "it was added before"


def test_key_with_the_shorter_delay_comes_first(queue: WorkQueue[str]) -> None:
    queue.add("later", delay=0.05)
    queue.add("sooner", delay=0.01)
    assert [queue.take(), queue.take()] == ["sooner", "later"]


def test_a_key_that_waits_for_a_retry_is_looked_at_at_once_when_it_is_added(queue: WorkQueue[str]) -> None:
    queue.add("a", delay=3600)
    queue.add("a")
    assert queue.take() == "a"


def test_delays_double_up_to_a_bound_and_begin_anew(queue: WorkQueue[str]) -> None:
    assert [queue.retry("a") for _ in range(5)] == [0.01, 0.02, 0.04, 0.05, 0.05]
    assert queue.retry("b") == 0.01
    queue.forget("a")
    assert queue.retry("a") == 0.01


def test_delays_can_be_set(queue: WorkQueue[str]) -> None:
    queue.set_delays(2.0, 3.0)
    assert [queue.retry("a") for _ in range(3)] == [2.0, 3.0, 3.0]


def test_closing_the_queue_ends_the_wait_for_a_key(queue: WorkQueue[str]) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(queue.take)
        queue.close()
        assert waiting.result(LIMIT) is None


@pytest.mark.parametrize("error", [TryAgainError("not yet"), ValueError("secret")])
def test_a_failure_is_tried_again_and_other_keys_go_on(
    queue: WorkQueue[str], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    done = threading.Event()

    def reconcile(key: str) -> None:
        seen.append(key)
        if key == "failing" and seen.count(key) < 3:
            raise error
        if seen.count("failing") == 3 and "other" in seen:
            done.set()

    start_workers(queue, reconcile, 1)
    queue.add("failing")
    queue.add("other")
    assert done.wait(LIMIT)
    assert sorted(seen) == ["failing", "failing", "failing", "other"]
    assert "secret" not in caplog.text, "what an unexpected error says may be what must not be logged"


class _RefusedError(Exception):
    retry_after = 7.0


def test_client_waits_as_long_as_the_server_requests(queue: WorkQueue[str]) -> None:
    assert [queue.retry("a", at_least=seconds) for seconds in (7.0, 0.0, 1e9)] == [7.0, 0.02, LONGEST_PAUSE]


def test_pause_is_that_of_the_cause_of_an_error() -> None:
    error = TryAgainError("it is limited")
    assert pause_asked_for(error) == 0.0
    error.__cause__ = _RefusedError()
    assert pause_asked_for(error) == 7.0
