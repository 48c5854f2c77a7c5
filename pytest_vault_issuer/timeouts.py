"""Every wait of the project, by name, in one table.

A timeout bounds a wait for an event; nothing ever sleeps it out. The table is
multiplied by ``--vault-issuer-timeout-scale`` and by nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from threading import Event
from typing import TypeVar

T = TypeVar("T")
_OF_IMPLEMENTATION = ("issuer", "request", "event", "certificate", "wire", "retry")


@dataclass(frozen=True)
class Timeouts:
    """Named upper bounds, in seconds."""

    #: One call to the Kubernetes or Vault API by the harness itself.
    api: float = 15.0
    #: A component of the stack answers its health endpoint.
    component_start: float = 60.0
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

    def scaled(self, factor: float) -> Timeouts:
        """Return the table with every bound multiplied by `factor` (> 0)."""
        return replace(self, **{f.name: getattr(self, f.name) * factor for f in fields(self)})

    def shortened(self, limit: float) -> Timeouts:
        """Return the table with every wait for the implementation cut to `limit` seconds.

        Used where the implementation answered nothing at all when it started:
        two hundred full waits would only delay the same verdict.
        """
        return replace(
            self,
            **{name: min(getattr(self, name), limit) for name in _OF_IMPLEMENTATION},
        )


def poll(probe: Callable[[], T | None], *, timeout: float, interval: float = 0.02) -> T | None:
    """Call `probe` until it returns something other than None, at most `timeout` seconds.

    Only for what offers no event to wait on: a port that does not listen yet,
    a file another process appends to.
    """
    deadline = time.monotonic() + timeout
    pause = Event()
    while True:
        result = probe()
        if result is not None or time.monotonic() >= deadline:
            return result
        pause.wait(interval)
