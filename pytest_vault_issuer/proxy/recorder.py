"""The exchanges of one proxy, and the faults that it injects: shared by its threads and those of the test."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from ..errors import BarrierUnmet, Unmet
from ..timeouts import Bound
from .exchange import Exchange, HandshakeFailure, Route
from .faults import Fault

Where = Callable[[Exchange], bool]
"""A condition on a request; for an injection the response's fields are not filled in yet."""


class Observer:
    """Sees the requests of every proxy of a session, and returns the bounds of waits for them.

    This one is for a proxy without a session: it does nothing, and extends no bound.
    """

    def request(self, route: Route) -> AbstractContextManager[object]:
        """Return a context that lasts as long as a request is in progress."""
        return contextlib.nullcontext()

    def bound(self, seconds: float) -> Bound:
        """Return the bound of a wait, which begins now."""
        return Bound(seconds)


def _wait(changed: threading.Condition, until: Callable[[], bool], bound: Bound) -> bool:
    """Wait until a condition is true, and check it after every change; the caller holds the condition variable."""
    while not until():
        if (left := bound.left()) <= 0:
            return False
        changed.wait(left)
    return True


class Injection:
    """One declared fault; made by :meth:`Proxy.inject`."""

    def __init__(
        self,
        changed: threading.Condition,
        route: Route | None,
        fault: Fault,
        *,
        times: int | None,
        where: Where | None,
        skip: int,
        every: int,
        observer: Observer,
    ) -> None:
        if every < 1:
            raise ValueError(f"a fault applies to every 1st, 2nd, … request, got every={every}")
        self.fault = fault
        self._changed = changed
        self._observer = observer
        self._route = route
        self._times = times
        self._where = where
        self._skip = skip
        self._every = every
        self._turn = 0
        self._hits = 0
        self._removed = False

    @property
    def hits(self) -> int:
        """The number of requests to which it was applied."""
        with self._changed:
            return self._hits

    @property
    def exhausted(self) -> bool:
        """Whether it was applied ``times`` times; false without ``times``."""
        with self._changed:
            return self._times is not None and self._hits >= self._times

    def remove(self) -> None:
        """Stop applying it to new requests. Requests that are held or delayed stay so."""
        with self._changed:
            self._removed = True

    def wait(self, timeout: float) -> None:
        """Wait until it was applied ``times`` times; once without ``times``.

        :param timeout: seconds.
        :raises BarrierUnmet: if it was never applied, so that nothing shows how the controller handles it.
        :raises Unmet: if it was applied less often.
        """
        wanted = self._times if self._times is not None else 1
        bound = self._observer.bound(timeout)
        with self._changed:
            if not _wait(self._changed, lambda: self._hits >= wanted, bound):
                route = self._route.name if self._route else "any"
                raise (Unmet if self._hits else BarrierUnmet)(
                    f"expected the fault {self.fault.name!r} to apply to {wanted} request(s) of route {route} "
                    f"within {bound}, it applied to {self._hits}"
                )

    def take(self, exchange: Exchange) -> bool:
        """Return whether it applies to this exchange, and count it; the caller holds the condition variable."""
        if self._removed or (self._times is not None and self._hits >= self._times):
            return False
        if self._route not in (None, exchange.route) or (self._where is not None and not self._where(exchange)):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        self._turn += 1
        if (self._turn - 1) % self._every:
            return False
        self._hits += 1
        self._changed.notify_all()
        return True


class Recorder:
    """The exchanges, handshake failures and injections of a proxy, under one condition variable.

    :param observer: sees the requests, and bounds the waits for them.
    """

    def __init__(self, observer: Observer | None = None) -> None:
        self.observer = observer or Observer()
        self._changed = threading.Condition()
        self._next = 0
        self._exchanges: dict[int, Exchange] = {}
        self._failures: list[HandshakeFailure] = []
        self._injections: list[Injection] = []
        self._troubles: dict[str, int] = {}

    # --- for the threads of the proxy

    def arrive(self) -> int:
        """Return the number of a request whose first byte arrives. An invalid request leaves its number unused."""
        with self._changed:
            self._next += 1
            return self._next - 1

    def record(self, exchange: Exchange) -> None:
        """Add a finished exchange, or correct it if its response could not be delivered."""
        with self._changed:
            self._exchanges[exchange.number] = exchange
            self._changed.notify_all()

    def handshake_failed(self, reason: str, server_name: str) -> None:
        """Add a handshake failure with the current time."""
        with self._changed:
            self._failures.append(HandshakeFailure(time.time(), reason, server_name))
            self._changed.notify_all()

    def in_trouble(self, what: str) -> None:
        """Record that the proxy itself failed, so that no client is blamed for the consequences."""
        with self._changed:
            self._troubles[what] = self._troubles.get(what, 0) + 1
            self._changed.notify_all()

    def fault_for(self, exchange: Exchange) -> Fault | None:
        """Return the fault of the earliest injection that applies."""
        with self._changed:
            return next((injection.fault for injection in self._injections if injection.take(exchange)), None)

    # --- the record

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The finished exchanges, in the order in which their requests arrived."""
        with self._changed:
            return tuple(self._exchanges[number] for number in sorted(self._exchanges))

    def seen(self, route: Route | None = None, *, since: int = 0, where: Where | None = None) -> list[Exchange]:
        """Return the finished exchanges of a route, or of all.

        :param since: a position from :meth:`mark`.
        :param where: only exchanges for which this is true.
        """
        return [
            exchange
            for exchange in self.exchanges
            if exchange.number >= since and route in (None, exchange.route) and (where is None or where(exchange))
        ]

    def mark(self) -> int:
        """Return a position: all later requests have this number or a higher one."""
        with self._changed:
            return self._next

    def wait_for(
        self,
        route: Route | None,
        *,
        count: int = 1,
        since: int = 0,
        where: Where | None = None,
        timeout: float,
        what: str = "",
    ) -> list[Exchange]:
        """Wait until `count` exchanges have finished, and return all that match.

        :param route: None for any.
        :param since: a position from :meth:`mark`.
        :param where: only exchanges for which this is true.
        :param timeout: seconds.
        :param what: description of the exchanges, for the message.
        :raises Unmet: if there are fewer in that time; the message lists the exchanges that were seen.
        """
        found: list[Exchange] = []

        def enough() -> bool:
            found[:] = self.seen(route, since=since, where=where)
            return len(found) >= count

        bound = self.observer.bound(timeout)
        with self._changed:
            if not _wait(self._changed, enough, bound):
                name = route.name if route else "any"
                raise Unmet(
                    f"expected {what or f'{count} request(s) of route {name}'} within {bound}, "
                    f"saw {len(found)} of {count}\n{self._listing(since)}"
                )
        return found

    @property
    def handshake_failures(self) -> tuple[HandshakeFailure, ...]:
        """The TLS handshakes that failed, in order."""
        with self._changed:
            return tuple(self._failures)

    def wait_for_handshake_failure(self, timeout: float, since: int = 0) -> HandshakeFailure:
        """Wait until a TLS handshake fails.

        :param timeout: seconds.
        :param since: number of earlier failures to skip: an earlier ``len(proxy.handshake_failures)``.
        :raises Unmet: if none fails.
        """
        bound = self.observer.bound(timeout)
        with self._changed:
            if not _wait(self._changed, lambda: len(self._failures) > since, bound):
                raise Unmet(f"expected a failed TLS handshake within {bound}, saw none\n{self._listing(0)}")
            return self._failures[since]

    @property
    def troubles(self) -> dict[str, int]:
        """Failures of the proxy itself, such as a connection that it could not accept, and how often each occurred."""
        with self._changed:
            return dict(self._troubles)

    def _listing(self, since: int) -> str:
        lines = [f"  {exchange.summary}" for exchange in self.seen(since=since)] or ["  nothing"]
        unfinished = sum(number not in self._exchanges for number in range(since, self._next))
        if unfinished:
            lines.append(f"  and {unfinished} request(s) not answered")
        lines += [f"  TLS handshake failed: {failure.reason}" for failure in self._failures]
        lines += [f"  the proxy itself failed: {what} ({times} times)" for what, times in self._troubles.items()]
        return "the proxy saw:\n" + "\n".join(lines)

    # --- faults

    def inject(
        self,
        route: Route | None,
        fault: Fault,
        *,
        times: int | None = None,
        where: Where | None = None,
        skip: int = 0,
        every: int = 1,
    ) -> Injection:
        """Declare a fault. If several apply to a request, the proxy uses the one that was declared first.

        :param route: None for any.
        :param times: number of requests to which it applies; None for all.
        :param where: only requests for which this is true; it gets an exchange without a response.
        :param skip: number of matching requests that pass before.
        :param every: 2 for every second matching request, beginning with the first; 1 for all.
        :raises ValueError: if `every` is less than 1.
        """
        injection = Injection(
            self._changed, route, fault, times=times, where=where, skip=skip, every=every, observer=self.observer
        )
        with self._changed:
            self._injections.append(injection)
        return injection

    def clear_faults(self) -> None:
        """Remove all faults. Requests that are held or delayed stay so."""
        with self._changed:
            for injection in self._injections:
                injection.remove()
            self._injections.clear()
