"""Measures one controller under a load, through a proxy that counts its requests to Vault."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..errors import ConfigurationError, ImplementationError
from ..kube.client import CERTIFICATE_REQUESTS, Cluster, Interrupt, Object, Resource, condition
from ..proxy.server import Proxy
from ..sandbox import FEATURES, Sandbox
from ..sandbox.csr import SigningRequest
from ..sandbox.handles import Issuer
from ..session.session import Session
from .result import Phase, Result


@dataclass(frozen=True)
class Load:
    """The load.

    :ivar issuers: number of Issuers to create.
    :ivar requests: number of CertificateRequests to create, for each Issuer in turn.
    :ivar concurrency: number of objects in progress at a time.
    :ivar auth: auth method of all Issuers, as a feature's name. They share one credential.
    """

    issuers: int
    requests: int
    concurrency: int
    auth: str = FEATURES[0]


def measure(session: Session, load: Load, progress: Callable[[str], None]) -> Result:
    """Start a stack and a controller, put the load on it, and end the session.

    :param session: of this process, not started.
    :raises ConfigurationError: when the implementation does not claim the auth method of the load.
    :raises ImplementationError: when an Issuer is not Ready, or a request is not issued, within its timeout.
    :raises VaultIssuerError: when something does not start.
    """
    implementation = session.implementation
    name = f"{implementation.name} {implementation.version}"
    if load.auth not in implementation.features:
        raise ConfigurationError(
            f"{name} does not claim {load.auth}", hint="choose an auth method that all of them claim with --auth"
        )
    try:
        progress(f"{name}: starting")
        session.build()
        with contextlib.closing(Sandbox(session.environment())) as sandbox:
            progress(f"{name}: {load.issuers} Issuers")
            issuers, ready = _issuers(sandbox, load)
            progress(f"{name}: {load.requests} requests")
            signed = _requests(sandbox, load, issuers)
    finally:
        session.close()
    return Result(name, ready, signed)


class _Watched:
    """The times at which objects of a namespace were first seen Ready, from one watch for all of them."""

    def __init__(self, cluster: Cluster, resource: Resource, namespace: str) -> None:
        self._watch = (cluster, resource, namespace)
        self._changed = threading.Condition()
        self._ready: dict[str, float] = {}
        self._last: dict[str, str] = {}
        self._interrupt = Interrupt()

    @contextlib.contextmanager
    def watching(self, timeout: float) -> Iterator[None]:
        """Watch during the context, for at most `timeout` seconds."""
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(self._read, timeout)
            try:
                yield
            finally:
                self._interrupt.set()
                reading.result()

    def _read(self, timeout: float) -> None:
        cluster, resource, namespace = self._watch
        for _, item in cluster.watch(resource, namespace, None, timeout=timeout, interrupt=self._interrupt):
            self._note(item, time.perf_counter())

    def _note(self, item: Object, now: float) -> None:
        name, seen = item["metadata"]["name"], condition(item, "Ready")
        with self._changed:
            self._last[name] = f"Ready {seen.get('status', 'not set')}: {seen.get('message', '')}"
            if seen.get("status") == "True":
                self._ready.setdefault(name, now)
                self._changed.notify_all()

    def when(self, name: str, timeout: float) -> float:
        """Wait until an object is Ready, and return the time at which it was first seen so.

        :raises ImplementationError: when it is not Ready within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: name in self._ready, timeout):
                raise ImplementationError(
                    f"{name} was not Ready within {timeout:g} s; {self._last.get(name, 'no watch event for it')}",
                    hint="judge the implementation first, or use a lower --concurrency or a higher --timeout-scale",
                )
            return self._ready[name]


def _issuers(sandbox: Sandbox, load: Load) -> tuple[list[Issuer], Phase]:
    auth = sandbox.authenticate(load.auth, "Issuer")
    kind = sandbox.kind("Issuer")

    def one(watched: _Watched) -> tuple[Issuer, float]:
        began = time.perf_counter()
        issuer = sandbox.issuer("Issuer", auth)
        return issuer, watched.when(issuer.name, sandbox.timeouts.issuer) - began

    watched = _Watched(sandbox.cluster, kind.resource, sandbox.namespace)
    phase = _Clock(sandbox.proxy)
    with watched.watching(_bound(sandbox, load.issuers)):
        with ThreadPoolExecutor(load.concurrency) as pool:
            done = list(pool.map(lambda _: one(watched), range(load.issuers)))
        phase.end()
    return [issuer for issuer, _ in done], phase.result([seconds for _, seconds in done])


def _requests(sandbox: Sandbox, load: Load, issuers: list[Issuer]) -> Phase:
    signings = [sandbox.new_signing() for _ in range(load.requests)]

    def one(number: int, signing: SigningRequest) -> float:
        began = time.perf_counter()
        request = sandbox.request(issuers[number % len(issuers)], signing)
        return watched.when(request.name, sandbox.timeouts.request) - began

    watched = _Watched(sandbox.cluster, CERTIFICATE_REQUESTS, sandbox.namespace)
    phase = _Clock(sandbox.proxy)
    with watched.watching(_bound(sandbox, load.requests)):
        with ThreadPoolExecutor(load.concurrency) as pool:
            seconds = list(pool.map(one, range(load.requests), signings))
        phase.end()
    return phase.result(seconds)


def _bound(sandbox: Sandbox, count: int) -> float:
    """Return seconds after which a phase has ended: each of its objects has its own timeout."""
    return count * max(sandbox.timeouts.issuer, sandbox.timeouts.request)


class _Clock:
    """Measures a phase: its duration, and the requests that the proxy saw."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._mark = proxy.mark()
        self._began = time.perf_counter()
        self._seconds = 0.0

    def end(self) -> None:
        """Note that the last object is Ready."""
        self._seconds = time.perf_counter() - self._began

    def result(self, seconds: list[float]) -> Phase:
        """Return the measurement, with the seconds of each object."""
        asked = Counter(exchange.route.value for exchange in self._proxy.seen(since=self._mark))
        return Phase(sorted(seconds), self._seconds, dict(asked))
