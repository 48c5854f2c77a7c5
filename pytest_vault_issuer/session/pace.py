"""Measures how fast the controller is and how much it does at once, before the first test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from ..errors import NotRunnable, Unmet, UnsupportedError, VaultIssuerError
from ..kube.client import has_condition
from ..proxy.faults import Hold
from ..sandbox import Environment, Sandbox
from ..sandbox.handles import Issuer, RefusedError
from ..sandbox.pace import BATCH, Pace
from ..timeouts import Bound, poll

#: Seconds for the first Issuer to become Ready, and for the first request of a batch to arrive.
_READY = 10.0
#: Seconds without a further request after which no more are expected while the others are held: as many times what a
#: first Issuer takes, within these limits.
_QUIET, _SHORTEST_QUIET, _LONGEST_QUIET = 3.0, 0.25, 1.0
#: Seconds for a batch of Issuers to become Ready: a controller that takes longer is slow, and how slow is not asked.
_BATCH_READY = 2.5


def measure(environment: Environment, stated: int) -> Pace:
    """Measure with a few Issuers at a proxy.

    What cannot be measured stays unknown. What the first Issuer and its first request do not do is stated once, because
    every test that needs it fails.

    :param stated: the concurrency that the implementation file states, 0 for none.
    """
    pace = Pace(concurrency=stated or None, stated=bool(stated))
    # In this order: an error of close() must not be suppressed, because it may have replaced an interrupt by a signal.
    with contextlib.closing(Sandbox(environment)) as sandbox, contextlib.suppress(Unmet, VaultIssuerError):
        kind = next(iter(environment.kinds))
        try:
            auth = sandbox.default_authentication(kind)
            began = time.monotonic()
            first = sandbox.issuer(kind, auth)
            first.wait(has_condition, "to get a condition", timeout=_READY)
            pace = replace(pace, first_condition=time.monotonic() - began)
            first.wait_ready(timeout=_READY)
            ready = time.monotonic() - began
            pace = replace(pace, ready=ready)
        except (Unmet, NotRunnable) as error:
            return replace(pace, problem=str(error))
        pace = replace(pace, problem=_problem(sandbox, first))
        if stated:
            return pace
        proxy, hold = sandbox.new_proxy(), Hold()
        injection = proxy.inject(None, hold)
        issuers = [sandbox.issuer(kind, auth, proxy=proxy) for _ in range(BATCH)]
        quiet = min(max(_QUIET * ready, _SHORTEST_QUIET), _LONGEST_QUIET)
        concurrency = _count(lambda: injection.hits, quiet)
        pace = replace(pace, concurrency=concurrency or None)
        hold.release()
        pace = replace(pace, batch=_until_ready(issuers))
    return pace


def _problem(sandbox: Sandbox, first: Issuer) -> str:
    """Return what an issuer object of another kind, or a first request of each kind, does not do; '' for nothing."""
    try:
        sandbox.request(first).wait_issued(timeout=_READY)
        for kind in list(sandbox.environment.kinds)[1:]:
            other = sandbox.issuer(kind, sandbox.default_authentication(kind))
            other.wait_ready(timeout=_READY)
            sandbox.request(other).wait_issued(timeout=_READY)
    except UnsupportedError:
        return ""
    except (Unmet, RefusedError) as error:
        return str(error)
    return ""


def answers(environment: Environment) -> bool:
    """Whether the controller sets a condition on an issuer object with a working configuration.

    :raises ConfigurationError: if the API server refuses this object.
    """
    kind = next(iter(environment.kinds))
    refused = None
    with contextlib.closing(Sandbox(environment)) as sandbox, contextlib.suppress(Unmet, VaultIssuerError):
        try:
            issuer = sandbox.issuer(kind, sandbox.default_authentication(kind))
        except RefusedError as error:
            refused = error
            raise
        issuer.wait(has_condition, "to get a condition", timeout=_READY)
        return True
    if refused:
        raise refused.of_every(environment.kinds[kind].kind) from refused
    return False


def _count(hits: Callable[[], int], quiet: float) -> int:
    """Return how many requests have arrived, all of them held, when no more do."""
    seen = 0

    def more() -> int | None:
        arrived = hits()
        return arrived if arrived > seen else None

    while seen < BATCH and (arrived := poll(more, timeout=quiet if seen else _READY)):
        seen = arrived
    return min(seen, BATCH)


def _until_ready(issuers: list[Issuer]) -> float | None:
    """Return the seconds until all are Ready, None when they are not in time."""
    began, bound = time.monotonic(), Bound(_BATCH_READY)
    for issuer in issuers:
        try:
            issuer.wait_ready(timeout=bound.left() or 0.01)
        except Unmet:
            return None
    return time.monotonic() - began
