"""Bounds of waits count idle time, and not the time of a busy controller, up to a hard limit."""

from __future__ import annotations

import threading

from pytest_vault_issuer.timeouts import Bound, Busy, Timeouts, poll
from tests.support.clock import Clock


def test_an_idle_controller_gets_no_second_more(clock: Clock) -> None:
    bound = Bound(20.0, stretch=120.0, observe=lambda: lambda: 0.0)
    clock.now += 15
    assert bound.left() == 5
    clock.now += 5
    assert bound.left() == 0
    assert str(bound) == "20 s"


def test_busy_time_does_not_count(clock: Clock) -> None:
    bound = Bound(20.0, stretch=120.0, observe=lambda: lambda: 8.0)
    clock.now += 20
    assert bound.left() == 8
    clock.now += 8
    assert bound.left() == 0
    assert str(bound) == "28 s (8 s of them while the controller was busy with other work)"


def test_a_controller_that_is_always_busy_reaches_the_hard_cap(clock: Clock) -> None:
    began = clock.now
    bound = Bound(20.0, stretch=30.0, observe=lambda: lambda: clock.now - began)
    while (left := bound.left()) > 0:
        clock.now += left
    assert clock.now - began == 50


def test_an_expired_bound_stays_expired(clock: Clock) -> None:
    busy = 0.0
    bound = Bound(20.0, stretch=120.0, observe=lambda: lambda: busy)
    clock.now += 20
    assert bound.left() == 0
    busy = 10.0
    assert bound.left() == 0


def test_the_controller_is_observed_from_the_beginning_and_asked_only_at_the_end(clock: Clock) -> None:
    asked: list[str] = []

    def observe() -> Busy:
        asked.append("observe")
        return lambda: asked.append("busy") or 0.0  # type: ignore[func-returns-value]

    bound = Bound(20.0, stretch=120.0, observe=observe)
    bound.left()
    assert asked == ["observe"]
    clock.now += 20
    bound.left()
    assert asked == ["observe", "busy"]


def test_other_work_does_not_prolong_a_strict_bound(clock: Clock) -> None:
    bound = Timeouts(observe=lambda: lambda: 60.0).strict(20.0)
    clock.now += 20
    assert bound.left() == 0


def test_an_event_ends_a_wait() -> None:
    event = threading.Event()
    assert not Bound(0.0).wait(event)
    event.set()
    assert Bound(0.0).wait(event)


def test_polling_continues_while_the_controller_is_busy(clock: Clock) -> None:
    tries = 0

    def probe() -> bool | None:
        nonlocal tries
        tries += 1
        clock.now += 10
        return True if tries == 3 else None

    assert poll(probe, timeout=Bound(5.0), interval=0) is None
    tries = 0
    assert poll(probe, timeout=Bound(5.0, stretch=60.0, observe=lambda: lambda: 60.0), interval=0)


def test_the_hard_cap_is_scaled_and_the_observer_kept() -> None:
    observe = lambda: lambda: 1.0  # noqa: E731
    scaled = Timeouts(observe=observe).scaled(2.0)
    assert (scaled.stretch, scaled.issuer, scaled.observe) == (2 * Timeouts().stretch, 2 * Timeouts().issuer, observe)
