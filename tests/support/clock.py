"""A monotonic clock that the test moves."""

from __future__ import annotations


class Clock:
    """Stands for :func:`time.monotonic`.

    :ivar now: seconds that the clock shows.
    """

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
