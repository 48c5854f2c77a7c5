"""How fast a controller is, and how much it does at once: what the session has measured at its start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

#: With so many workers, a controller has some left while tests hold others.
AMPLE = 4
#: So many Issuers are held at once to count the workers: more are not told apart.
BATCH = 8
#: Seconds for a batch of Issuers to become Ready, from which on a controller is taken for slow. At client-go's default
#: of 5 calls per second after a burst of 10 it takes more, without a limit a fraction of it.
SLOW_BATCH = 2.0


@dataclass(frozen=True)
class Pace:
    """How fast a controller is, and how much it does at once.

    :ivar concurrency: how many Issuers it looks at at once; :data:`BATCH` means that many or more, None unknown.
    :ivar first_condition: seconds from the creation of an Issuer to its first condition, None unknown.
    :ivar ready: seconds from the creation of an Issuer until it is Ready, None unknown.
    :ivar batch: seconds until :data:`BATCH` Issuers whose requests are released at once are Ready, None when they are
        not in time.
    :ivar stated: whether the implementation file states the concurrency (``[run] concurrency``).
    """

    concurrency: int | None = None
    first_condition: float | None = None
    ready: float | None = None
    batch: float | None = None
    stated: bool = False

    @property
    def few_workers(self) -> bool:
        """Whether tests that hold a worker leave too few to others, so that they must run alone."""
        return self.concurrency is not None and self.concurrency < AMPLE

    @property
    def slow(self) -> bool:
        """Whether any sign of activity means that the controller may have no time for an object."""
        return self.concurrency is None or self.few_workers or (not self.stated and self._slow_batch)

    @property
    def _slow_batch(self) -> bool:
        return self.batch is None or self.batch >= SLOW_BATCH

    @property
    def level(self) -> int | None:
        """From how many requests in progress on the controller is busy; None when no number of them says so."""
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
        """Serialise."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Pace:
        """Return what :meth:`to_json` serialised."""
        return cls(**json.loads(text))

    @classmethod
    def of_report(cls, told: dict[str, Any]) -> Pace:
        """Return what :meth:`reported` returned, as far as the report has it."""
        return cls(told["concurrency"], told["first_condition_s"], told["ready_s"], stated=told["stated"])

    def reported(self) -> dict[str, Any]:
        """Return it as the report has it."""

        def rounded(seconds: float | None) -> float | None:
            return None if seconds is None else round(seconds, 3)

        return {
            "concurrency": self.concurrency,
            "stated": self.stated,
            "first_condition_s": rounded(self.first_condition),
            "ready_s": rounded(self.ready),
        }
