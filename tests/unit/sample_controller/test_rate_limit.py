"""The limit of calls per second to the API server."""

from __future__ import annotations

import time

import pytest

from pytest_vault_issuer.sample_controller.cluster import RateLimit


def test_calls_after_the_burst_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    limit = RateLimit(5.0, burst=2)
    assert [round(limit.reserve(), 3) for _ in range(4)] == [0, 0, 0.2, 0.4]
    now = 100.5
    assert round(limit.reserve(), 3) == 0.1
    now = 200.0
    assert [round(limit.reserve(), 3) for _ in range(3)] == [0, 0, 0.2]
