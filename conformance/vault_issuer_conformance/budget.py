"""Bounds of what a controller may ask while its attempts fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pytest_vault_issuer import CertificateRequest, Issuer, Route, Sandbox, retry_later

#: Number of consecutive requests of another issuer object, and seconds, that a window has at least.
REQUESTS, SHORTEST = 10, 3.0
#: The attempts of a controller that pauses between them: some at first, then so many per second.
FIRST, PER_SECOND = 15, 1


@dataclass(frozen=True)
class Window:
    """The time in which attempts were counted.

    A retry storm makes dozens of attempts per second, and ten on a busy machine. client-go's default backoff begins
    with milliseconds, and makes ten attempts in the first 3 seconds and twelve in the first 20. Vault's client sends an
    attempt up to three times, with pauses of a second.

    :ivar seconds: its duration.
    """

    seconds: float

    @property
    def budget(self) -> int:
        """The most attempts of a controller that pauses between them."""
        return FIRST + int(PER_SECOND * self.seconds)

    def check(self, count: int, what: str, *, each: int = 1) -> None:
        """Check a number of calls.

        :param what: the calls, in the plural.
        :param each: calls of one attempt.
        :raises AssertionError: if it exceeds the budget.
        """
        most = each * self.budget
        assert count <= most, f"expected at most {most} {what} in {self.seconds:.1f} s, saw {count}"


def being_refused(sandbox: Sandbox, kind: str) -> tuple[CertificateRequest, Issuer]:
    """Return a request that Vault refuses to sign for the moment, and another Issuer whose Vault works."""
    issuer = sandbox.ready_issuer(kind)
    other = sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    sandbox.proxy.inject(Route.SIGN, retry_later(503))
    request = sandbox.request(issuer)
    sandbox.proxy.wait_for(Route.SIGN, timeout=sandbox.timeouts.wire, what="a sign request")
    return request, other


def window(
    other: Issuer, sandbox: Sandbox, *, namespace: str | None = None, before_each: Callable[[], object] | None = None
) -> Window:
    """Let time pass in which the controller works: it issues requests of another issuer object, one after the other.

    :param namespace: of these requests; default that of the issuer object.
    :param before_each: called before each of them.
    """
    began, issued = time.monotonic(), 0
    while issued < REQUESTS or time.monotonic() - began < SHORTEST:
        if before_each:
            before_each()
        sandbox.barrier(other, namespace=namespace)
        issued += 1
    return Window(time.monotonic() - began)
