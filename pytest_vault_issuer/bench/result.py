"""Results of measurements, and their comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Phase:
    """One kind of object under a load.

    :ivar seconds: from the creation of each object until it was first seen Ready, sorted.
    :ivar elapsed: seconds from the first creation until the last object was Ready.
    :ivar asked: number of requests that reached Vault, by route: login, health, sign, other.
    """

    seconds: list[float]
    elapsed: float
    asked: dict[str, int]

    def percentile(self, percent: float) -> float:
        """Return the seconds within which `percent` of the objects were Ready (nearest rank)."""
        return self.seconds[max(0, math.ceil(len(self.seconds) * percent / 100) - 1)]

    @property
    def rate(self) -> float:
        """Objects per second."""
        return len(self.seconds) / self.elapsed

    @property
    def asked_each(self) -> float:
        """Requests to Vault per object."""
        return sum(self.asked.values()) / len(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return a value for JSON, with every single value so that readers can compute other percentiles."""
        return {
            "count": len(self.seconds),
            **{f"p{percent}_s": self.percentile(percent) for percent in PERCENTILES},
            "max_s": self.seconds[-1],
            "elapsed_s": self.elapsed,
            "per_second": self.rate,
            "vault_requests": self.asked,
            "vault_requests_each": self.asked_each,
            "seconds": [round(seconds, 6) for seconds in self.seconds],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Phase:
        """Return the object that :meth:`as_dict` described."""
        return cls(data["seconds"], data["elapsed_s"], data["vault_requests"])

    def merged(self, other: Phase) -> Phase:
        """Return this phase, merged with another round of it."""
        asked = {key: self.asked.get(key, 0) + other.asked.get(key, 0) for key in {*self.asked, *other.asked}}
        return Phase(sorted([*self.seconds, *other.seconds]), self.elapsed + other.elapsed, asked)


@dataclass(frozen=True)
class Result:
    """The measurements of one controller.

    :ivar name: name and version.
    :ivar ready: the phase of Issuers.
    :ivar signed: the phase of requests.
    """

    name: str
    ready: Phase
    signed: Phase

    def as_dict(self) -> dict[str, Any]:
        """Return a value for JSON."""
        return {"implementation": self.name, "issuers": self.ready.as_dict(), "requests": self.signed.as_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Result:
        """Return the object that :meth:`as_dict` described."""
        return cls(data["implementation"], Phase.from_dict(data["issuers"]), Phase.from_dict(data["requests"]))

    def merged(self, other: Result) -> Result:
        """Return this result, merged with another round of the same controller."""
        return Result(self.name, self.ready.merged(other.ready), self.signed.merged(other.signed))


#: Values of a comparison that are worse if larger, in words.
_COSTS = {
    "issuer_ready_p50": "the time until an Issuer is Ready",
    "request_signed_p50": "the time until a request is issued",
    "vault_requests_per_request": "the requests to Vault for a request",
}


def excesses(comparison: Sequence[dict[str, Any]], ratio: float) -> list[str]:
    """Return a sentence for each cost that is more than `ratio` times that of the first controller."""
    return [
        f"{entry['implementation']}: {what}: {entry[cost]:.2f} times that of {entry['against']}, the limit is {ratio:g}"
        for entry in comparison
        for cost, what in _COSTS.items()
        if entry[cost] > ratio
    ]


def compare(first: Result, others: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the ratio of each measurement of the others to that of the first."""
    return [
        {
            "implementation": other.name,
            "against": first.name,
            "issuer_ready_p50": other.ready.percentile(50) / first.ready.percentile(50),
            "request_signed_p50": other.signed.percentile(50) / first.signed.percentile(50),
            "requests_per_second": other.signed.rate / first.signed.rate,
            "vault_requests_per_request": other.signed.asked_each / first.signed.asked_each,
        }
        for other in others
    ]
