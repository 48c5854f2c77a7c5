"""Leader election: of several replicas, only the one that holds a Lease works.

The same rules as in client-go (k8s.io/client-go/tools/leaderelection): another replica takes a lease over that it has
seen unchanged for its duration, by its own clock; a leader that cannot renew its lease stops before that.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from .cluster import LEASES, Cluster, ClusterError, Object

NAME = "sample-controller"
#: Part of the duration of a lease after which it is renewed, and after which a leader that could not renew it stops.
RENEW, STOP = 1 / 6, 2 / 3

log = logging.getLogger(__name__)


class LeaderElection:
    """Acquires and renews one lease.

    :param namespace: of the lease.
    :param duration: of the lease, in seconds.
    """

    def __init__(self, cluster: Cluster, namespace: str, duration: float) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._duration = duration
        self._identity = secrets.token_hex(8)
        self._renewed = 0.0
        self._seen: tuple[Object, float] | None = None

    def acquire(self, stop: threading.Event) -> None:
        """Wait until this replica holds the lease, or until it stops."""
        while not stop.is_set() and not self._attempt():
            stop.wait(self._duration * RENEW)

    def keep(self, lost: Callable[[], None]) -> None:
        """Renew the lease in a thread of its own; call `lost` when it is lost."""
        threading.Thread(target=self._renew, args=(lost,), name="lease", daemon=True).start()

    @property
    def leads(self) -> bool:
        """Whether this replica holds the lease; false soon enough before another one may take it over."""
        return time.monotonic() - self._renewed < self._duration * STOP

    def _renew(self, lost: Callable[[], None]) -> None:
        pause = threading.Event()
        while self.leads:
            pause.wait(self._duration * RENEW)
            if self.leads:
                self._attempt()
        log.error("the lease is lost")
        lost()

    def _attempt(self) -> bool:
        """Take or renew the lease, if it is free; return whether this replica holds it."""
        began = time.monotonic()
        try:
            lease = self._cluster.find(LEASES, self._namespace, NAME)
            if lease is None:
                body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": {"name": NAME}}
                self._cluster.create(LEASES, self._namespace, body | {"spec": self._spec()})
            elif lease["spec"].get("holderIdentity") == self._identity or self._expired(lease):
                self._cluster.replace(LEASES, lease | {"spec": self._spec()})
            else:
                return False
        except ClusterError as error:  # unreachable, or another replica was faster
            log.info("the lease: %s", error)
            return False
        self._renewed = began
        return True

    def _expired(self, lease: Object) -> bool:
        spec, now = lease["spec"], time.monotonic()
        if self._seen is None or self._seen[0] != spec:
            self._seen = spec, now
        return now - self._seen[1] >= float(spec.get("leaseDurationSeconds") or 0)

    def _spec(self) -> Object:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._duration),
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
