"""Durations as Kubernetes objects write them."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.sample_controller.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1h", 3600), ("59m57s", 3597), ("2160h0m0s", 7776000), ("1.5h", 5400), ("250ms", 0.25), (".5s", 0.5)],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "1", "h", "1 h", "-1h", "1h x", "1d"])
def test_text_that_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)
