"""A monotonic clock that the test controls."""

from __future__ import annotations


class Clock:
    """Replaces :func:`time.monotonic`.

    :ivar now: the time in seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
