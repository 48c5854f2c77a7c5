"""Bounds of what a controller may ask while its attempts fail."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pytest_vault_issuer import Issuer, Sandbox

#: Number of consecutive requests of another issuer object that are issued while attempts are counted.
MEANWHILE = 20


@dataclass(frozen=True)
class Window:
    """The time in which attempts were counted.

    A retry storm makes dozens of attempts per second. client-go's default backoff begins with milliseconds, and makes
    twelve attempts in the first 20 seconds; Vault's client sends each attempt up to three times.

    :ivar seconds: its duration.
    """

    seconds: float

    @property
    def budget(self) -> int:
        """The most attempts of a controller that pauses between them."""
        return 2 * MEANWHILE + int(2 * self.seconds)

    def check(self, count: int, what: str) -> None:
        """Check a number of attempts.

        :param what: the attempts, in the plural.
        :raises AssertionError: if it exceeds the budget.
        """
        assert count <= self.budget, f"expected at most {self.budget} {what} in {self.seconds:.1f} s, saw {count}"


def window(other: Issuer, sandbox: Sandbox, **options: str) -> Window:
    """Let time pass in which the controller works: it issues requests of another issuer object, one after the other.

    :param options: of these requests, such as their namespace.
    """
    began = time.monotonic()
    for _ in range(MEANWHILE):
        sandbox.barrier(other, **options)
    return Window(time.monotonic() - began)
