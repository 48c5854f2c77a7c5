"""Every wait of the project, by name, in one table.

A timeout bounds a wait for an event; nothing sleeps until it is over. Only ``--vault-issuer-timeout-scale`` scales the
table.

A bound of a wait for the controller counts idle time: time in which the controller could have acted. See
:class:`Bound`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from threading import Event
from typing import TypeVar

T = TypeVar("T")
#: The hint of an error about a wait for Vault or Kubernetes.
SLOW_MACHINE = "on a slow machine, set --vault-issuer-timeout-scale=3"
_OF_IMPLEMENTATION = ("issuer", "request", "event", "certificate", "wire", "retry")
#: The shortest extension of a wait, in seconds: a shorter one would only be extended again.
_SHORTEST = 0.25

Busy = Callable[[], float]
"""Returns for how many seconds since its creation the controller was busy with other work."""


def never_busy() -> Busy:
    """Return the :data:`Busy` of an unknown controller."""
    return lambda: 0.0


class Bound:
    """The bound of one wait for the controller; the wait begins when this object is created.

    It ends after a number of seconds of idle time. While the controller is busy with other work, it cannot act: that
    time does not count, up to a hard limit. A controller that does nothing gets no extra time.

    :param seconds: of idle time.
    :param stretch: maximum extension of the wait in seconds, however busy the controller is.
    :param observe: starts to observe the controller; its result is called only when `seconds` are over.
    """

    def __init__(self, seconds: float, *, stretch: float = 0.0, observe: Callable[[], Busy] = never_busy) -> None:
        self.seconds = seconds
        self._stretch = stretch
        self._busy = observe()
        self._counted = 0.0
        self._expired = False
        self._began = time.monotonic()

    def left(self) -> float:
        """Return the number of seconds to wait before the next call; 0 when the bound has expired."""
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
        """Wait for an event of this process; return whether it is set."""
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

    #: One call of the suite to the Kubernetes or Vault API.
    api: float = 15.0
    #: A component of the stack answers its health endpoint.
    component_start: float = 60.0
    #: A Vault that has joined a raft cluster unseals itself with the given key; afterwards it gets the key again.
    raft_join: float = 15.0
    #: A kind cluster starts, after its image is pulled.
    cluster_start: float = 240.0
    #: An image is loaded into a cluster's nodes.
    image: float = 120.0
    #: A packet travels from a pod to this machine and back.
    route: float = 5.0
    #: The implementation's process or workload reports that it is ready.
    implementation_start: float = 60.0
    #: The implementation writes the first condition on its first issuer object.
    first_answer: float = 20.0
    #: An issuer's Ready condition gets the expected status.
    issuer: float = 20.0
    #: A CertificateRequest reaches the expected state.
    request: float = 20.0
    #: An event is recorded. A controller may limit its API calls, including events: 20 per second in cert-manager 1.20.
    event: float = 60.0
    #: A Certificate is issued or its failure is reported: a key, a request, a signature and a Secret.
    certificate: float = 30.0
    #: A request of the implementation arrives at the proxy.
    wire: float = 20.0
    #: A failed operation is retried and succeeds; cert-manager waits 5 s, then 10 s, then 20 s.
    retry: float = 60.0
    #: A record of the API server's audit log is on disk.
    audit: float = 10.0
    #: A deleted namespace or object is gone.
    deletion: float = 60.0
    #: Maximum extension of a wait while the implementation is busy with other work.
    stretch: float = 120.0
    #: Returns a function that counts the busy seconds of the implementation; not a bound.
    observe: Callable[[], Busy] = field(default=never_busy, compare=False, repr=False)

    def bound(self, seconds: float) -> Bound:
        """Return a bound of a wait for the implementation, which starts now."""
        return Bound(seconds, stretch=self.stretch, observe=self.observe)

    def strict(self, seconds: float) -> Bound:
        """Return a bound for a wait after a barrier. Other work of the controller does not extend it."""
        return Bound(seconds)

    def scaled(self, factor: float) -> Timeouts:
        """Return the table with every bound multiplied by `factor` (> 0)."""
        return replace(self, **{f.name: getattr(self, f.name) * factor for f in fields(self) if f.name != "observe"})

    def shortened(self, limit: float) -> Timeouts:
        """Return the table with every wait for the implementation cut to `limit` seconds.

        Used if the implementation did not answer at all when it started:
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
