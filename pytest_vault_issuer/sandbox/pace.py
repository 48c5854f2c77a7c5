"""The speed and the concurrency of a controller, measured at the start of a session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

#: With this many workers, a controller has some left while tests hold others.
AMPLE = 4
#: Number of Issuers that are held at once to count the workers; the measurement ends there.
BATCH = 8
#: A controller is slow if a batch of Issuers takes at least so many seconds to become Ready. With client-go's default
#: rate limit (5 calls per second after a burst of 10) a batch takes longer, without a limit a fraction of it.
SLOW_BATCH = 2.0


@dataclass(frozen=True)
class Pace:
    """The speed and the concurrency of a controller.

    :ivar concurrency: number of Issuers that it handles at once; :data:`BATCH` means at least that many, None unknown.
    :ivar first_condition: seconds from the creation of an Issuer to its first condition, None unknown.
    :ivar ready: seconds from the creation of an Issuer until it is Ready, None unknown.
    :ivar batch: seconds until :data:`BATCH` Issuers are Ready whose requests are released at once, None if they are not
        Ready in time.
    :ivar problem: what the first issuer object or the first request did not do in time, '' if they did all.
    :ivar stated: whether the implementation file states the concurrency (``[run] concurrency``).
    """

    concurrency: int | None = None
    first_condition: float | None = None
    ready: float | None = None
    batch: float | None = None
    stated: bool = False
    problem: str = ""

    @property
    def few_workers(self) -> bool:
        """Whether tests that hold a worker leave too few workers for other tests, so that they must run alone."""
        return self.concurrency is not None and self.concurrency < AMPLE

    @property
    def slow(self) -> bool:
        """Whether any activity means that the controller may have no time for another object."""
        return self.concurrency is None or self.few_workers or (not self.stated and self._slow_batch)

    @property
    def _slow_batch(self) -> bool:
        return self.batch is None or self.batch >= SLOW_BATCH

    @property
    def level(self) -> int | None:
        """Number of requests in progress at which the controller counts as busy; None if no number proves it."""
        if self.slow:
            return 1
        assert self.concurrency is not None
        return self.concurrency if self.stated or self.concurrency < BATCH else None

    def __str__(self) -> str:
        return ", ".join(self._facts())

    def _facts(self) -> Iterator[str]:
        if self.concurrency is None:
            yield "concurrency unknown"
        elif self.stated:
            yield f"concurrency {self.concurrency} (stated)"
        else:
            yield f"concurrency {self.concurrency}{' or more' if self.concurrency == BATCH else ''}"
        if self.first_condition is not None:
            yield f"first condition after {self.first_condition:.2f} s"
        if self.ready is not None:
            yield f"Ready after {self.ready:.2f} s"
        if self.few_workers:
            yield "tests that hold the controller run alone"

    def to_json(self) -> str:
        """Serialize."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Pace:
        """Return what :meth:`to_json` serialized."""
        return cls(**json.loads(text))

    @classmethod
    def of_report(cls, entry: dict[str, Any]) -> Pace:
        """Return the pace that :meth:`reported` wrote into a report; `batch` is not part of it."""
        return cls(entry["concurrency"], entry["first_condition_s"], entry["ready_s"], stated=entry["stated"])

    def reported(self) -> dict[str, Any]:
        """Return its entry in the report."""

        def rounded(seconds: float | None) -> float | None:
            return None if seconds is None else round(seconds, 3)

        return {
            "concurrency": self.concurrency,
            "stated": self.stated,
            "first_condition_s": rounded(self.first_condition),
            "ready_s": rounded(self.ready),
        }
