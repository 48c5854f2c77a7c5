"""How a measured pace affects waits and the order of tests."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.sandbox.pace import Pace


@pytest.mark.parametrize(
    ("pace", "level", "few"),
    [
        (Pace(concurrency=8, batch=0.2), None, False),
        (Pace(concurrency=5, batch=0.2), 5, False),
        (Pace(concurrency=8, batch=2.4), 1, False),
        (Pace(concurrency=8, batch=None), 1, False),
        (Pace(concurrency=1, batch=0.2), 1, True),
        (Pace(concurrency=None), 1, False),
        (Pace(concurrency=1, stated=True), 1, True),
        (Pace(concurrency=8, stated=True), 8, False),
    ],
    ids=["fast", "five workers", "slow", "very slow", "serial", "unknown", "stated serial", "stated fast"],
)
def test_pace_determines_busy_level_and_tests_that_run_alone(pace: Pace, level: int | None, few: bool) -> None:
    assert (pace.level, pace.few_workers) == (level, few)


def test_pace_in_words_and_in_the_report() -> None:
    pace = Pace(concurrency=1, first_condition=0.1234, ready=0.5, batch=1.0)
    stated = "concurrency 1, first condition after 0.12 s, Ready after 0.50 s, tests that hold the controller run alone"
    assert str(pace) == str(Pace.of_report(pace.reported())) == stated
    assert str(Pace(concurrency=8)) == "concurrency 8 or more"
    assert str(Pace(concurrency=8, stated=True)) == "concurrency 8 (stated)"
    assert str(Pace()) == "concurrency unknown"
    assert Pace.from_json(pace.to_json()) == pace
