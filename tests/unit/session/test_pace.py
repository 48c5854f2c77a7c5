"""How a session counts the workers of a controller."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.sandbox.pace import BATCH
from pytest_vault_issuer.session import pace
from pytest_vault_issuer.session.pace import _count


@pytest.mark.parametrize(
    ("arrivals", "count"), [((0, 1), 1), ((2, 3, 5), 5), ((4, BATCH), BATCH), ((4, BATCH + 2), BATCH)]
)
def test_requests_that_arrive_while_all_are_held_are_counted(arrivals: tuple[int, ...], count: int) -> None:
    left = list(arrivals)

    def hits() -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    assert _count(hits, 0.05) == count


def test_no_request_at_all_is_no_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_READY", 0.0)
    assert _count(lambda: 0, 0.05) == 0


class _Unclosable:
    """A sandbox whose setup is interrupted, and whose cleanup then fails."""

    def __init__(self, environment: object) -> None:
        pass

    def default_authentication(self, kind: str) -> None:
        raise KeyboardInterrupt

    def close(self) -> None:
        raise StackError("cannot remove a namespace", hint="")


def test_interrupt_is_not_lost_in_an_error_of_the_cleanup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "Sandbox", _Unclosable)
    environment: Any = SimpleNamespace(kinds=("Issuer",))
    with pytest.raises((KeyboardInterrupt, StackError)):
        pace.measure(environment, 0)
