"""Every wait of the project, by name, in one table.

A timeout bounds a wait for an event; nothing ever sleeps it out. The table is
multiplied by ``--vault-issuer-timeout-scale`` and by nothing else.

A bound of a wait for the controller counts idle time: time in which the
controller could have acted. See :class:`Bound`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from threading import Event
from typing import TypeVar

T = TypeVar("T")
_OF_IMPLEMENTATION = ("issuer", "request", "event", "certificate", "wire", "retry")
#: Seconds that a wait goes on at least, once it is clear that it goes on: less would only be asked for again.
_SHORTEST = 0.25

Busy = Callable[[], float]
"""Returns the seconds, since it was made, in which the controller was busy with other work."""


def never_busy() -> Busy:
    """Return the :data:`Busy` of an unknown controller."""
    return lambda: 0.0


class Bound:
    """How long one wait for the controller goes on; it begins when this object is made.

    It ends after so many seconds of idle time. While the controller is busy with other work, it could not have
    acted: that time does not count, up to a hard cap. A controller that does nothing gets no second more.

    :param seconds: of idle time.
    :param stretch: the most seconds that it goes on longer, however busy the controller is.
    :param observe: starts to observe the controller; asked only when `seconds` are over.
    """

    def __init__(self, seconds: float, *, stretch: float = 0.0, observe: Callable[[], Busy] = never_busy) -> None:
        self.seconds = seconds
        self._stretch = stretch
        self._busy = observe()
        self._counted = 0.0
        self._expired = False
        self._began = time.monotonic()

    def left(self) -> float:
        """Return for how many seconds to wait before asking again; 0 once the bound has expired."""
        if self._expired:
            return 0.0
        elapsed = time.monotonic() - self._began
        if elapsed < self.seconds:
            return self.seconds - elapsed
        self._counted = min(self._busy(), self._stretch, elapsed) if self._stretch else 0.0
        left = self.seconds + self._counted - elapsed
        self._expired = left <= 0
        return 0.0 if self._expired else max(left, _SHORTEST)

    def wait(self, event: Event) -> bool:
        """Wait for an event of this process; say whether it is set."""
        while not event.is_set() and (left := self.left()) > 0:
            event.wait(left)
        return event.is_set()

    def __str__(self) -> str:
        if self._counted < 1:
            return f"{self.seconds:g} s"
        return (
            f"{self.seconds + self._counted:.0f} s ({self._counted:.0f} s of them while the controller was busy with "
            "other work)"
        )


@dataclass(frozen=True)
class Timeouts:
    """Named upper bounds, in seconds."""

    #: One call to the Kubernetes or Vault API by the harness itself.
    api: float = 15.0
    #: A component of the stack answers its health endpoint.
    component_start: float = 60.0
    #: A Vault that has joined a raft cluster unseals itself with the key that it got; then it gets the key again.
    raft_join: float = 15.0
    #: A kind cluster is made, its image being there.
    cluster_start: float = 240.0
    #: An image is loaded into a cluster's nodes.
    image: float = 120.0
    #: A packet goes from a pod to this machine and back.
    route: float = 5.0
    #: The implementation's process or workload reports that it is ready.
    implementation_start: float = 60.0
    #: The implementation writes any condition on the first issuer it ever sees.
    first_answer: float = 20.0
    #: An issuer's Ready condition gets the expected status.
    issuer: float = 20.0
    #: A CertificateRequest reaches the expected state.
    request: float = 20.0
    #: An event is recorded. An issuer may limit its calls, events among them: 20 a second in cert-manager 1.20.
    event: float = 60.0
    #: A Certificate is issued, or says that it failed: a key, a request, a signature and a Secret.
    certificate: float = 30.0
    #: A request of the implementation arrives at the proxy.
    wire: float = 20.0
    #: A failed start-up is tried again and succeeds; cert-manager waits 5 s, then 10 s, then 20 s.
    retry: float = 60.0
    #: A record of the API server's audit log is on disk.
    audit: float = 10.0
    #: A deleted namespace is gone.
    deletion: float = 60.0
    #: A wait for the implementation goes on at most this much longer while it is busy with other work.
    stretch: float = 120.0
    #: Starts to observe how busy the implementation is; no bound.
    observe: Callable[[], Busy] = field(default=never_busy, compare=False, repr=False)

    def bound(self, seconds: float) -> Bound:
        """Return a fair bound of a wait for the implementation, which begins now."""
        return Bound(seconds, stretch=self.stretch, observe=self.observe)

    def strict(self, seconds: float) -> Bound:
        """Return a bound that other work does not prolong, for a wait after a barrier."""
        return Bound(seconds)

    def scaled(self, factor: float) -> Timeouts:
        """Return the table with every bound multiplied by `factor` (> 0)."""
        return replace(self, **{f.name: getattr(self, f.name) * factor for f in fields(self) if f.name != "observe"})

    def shortened(self, limit: float) -> Timeouts:
        """Return the table with every wait for the implementation cut to `limit` seconds.

        Used where the implementation answered nothing at all when it started:
        two hundred full waits would only delay the same verdict.
        """
        return replace(
            self,
            **{name: min(getattr(self, name), limit) for name in _OF_IMPLEMENTATION},
        )


def poll(probe: Callable[[], T | None], *, timeout: float | Bound, interval: float = 0.02) -> T | None:
    """Call `probe` until it returns something other than None, at most `timeout` seconds.

    Only for what offers no event to wait on: a port that does not listen yet,
    a file another process appends to.
    """
    bound = timeout if isinstance(timeout, Bound) else Bound(timeout)
    pause = Event()
    while True:
        result = probe()
        if result is not None or bound.left() <= 0:
            return result
        pause.wait(interval)
