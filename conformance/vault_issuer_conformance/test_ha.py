"""Replicas of the controller: one works at a time, or they share the work; no request gets lost or is signed twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pytest_vault_issuer import (
    CertificateRequest,
    Control,
    Controller,
    HoldAnswer,
    Route,
    Sandbox,
    Session,
    requirement,
)

from .helpers import wait_held
from .interrupted import assert_issued_once, one_kind

pytestmark = [pytest.mark.exclusive, pytest.mark.slow]
#: Number of requests of which each is signed once.
REQUESTS = 5


@dataclass(frozen=True)
class Replicas:
    """Two replicas.

    :ivar start_seconds: from the start of the first one until it served.
    """

    first: Controller
    second: Controller
    start_seconds: float


@pytest.fixture
def replicas(sandbox: Sandbox, control: Control) -> Iterator[Replicas]:
    """Return two replicas. The first one serves; the second one starts."""
    with control.replicas() as (first, second):
        began = time.monotonic()
        first.start()
        sandbox.ready_issuer(one_kind(sandbox))
        started = time.monotonic() - began
        second.start()
        yield Replicas(first, second, started)


@pytest.fixture
def takeover(sandbox: Sandbox, vault_issuer_session: Session) -> float:
    """Return the seconds in which a replica replaces another one and serves."""
    lease = vault_issuer_session.implementation.timing.lease_seconds
    return lease * vault_issuer_session.settings.timeout_scale + sandbox.timeouts.retry


@requirement("VI-HA-001")
def test_replicas_sign_each_request_once(sandbox: Sandbox, replicas: Replicas, takeover: float) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    requests: list[CertificateRequest] = []
    # The second replica is invisible while it waits for the first one: give it three times as long to start.
    until = time.monotonic() + 3 * replicas.start_seconds
    while len(requests) < REQUESTS or time.monotonic() < until:
        requests.append(sandbox.issued(issuer))
    for request in requests:
        signed = len(sandbox.signings(request))
        assert signed == 1, f"expected one sign request for {request}, saw {signed}"


@requirement("VI-HA-002")
def test_other_replica_serves_after_a_kill(sandbox: Sandbox, replicas: Replicas, takeover: float) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    replicas.first.kill()
    sandbox.request(issuer).wait_issued(timeout=takeover)


@requirement("VI-HA-003")
def test_request_is_issued_once_after_its_replica_was_killed(
    sandbox: Sandbox, replicas: Replicas, takeover: float
) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    held = HoldAnswer()
    sandbox.proxy.inject(Route.SIGN, held, times=1)
    request = sandbox.request(issuer)
    with request.recorded() as states:
        wait_held(sandbox, held, "a sign request to Vault")
        replicas.first.kill()
        held.release()
        request.wait_issued(timeout=takeover)
        sandbox.barrier(issuer)
    assert_issued_once(states, request)


@requirement("VI-HA-004")
def test_resumed_replica_leaves_an_issued_request_alone(sandbox: Sandbox, replicas: Replicas, takeover: float) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    held = HoldAnswer()
    sandbox.proxy.inject(Route.SIGN, held, times=1)
    request = sandbox.request(issuer)
    with request.recorded() as states:
        wait_held(sandbox, held, "a sign request to Vault")
        replicas.first.pause()
        request.wait_issued(timeout=takeover)
        replicas.first.resume()
        held.release()
        for _ in range(REQUESTS):
            sandbox.barrier(issuer)
    assert_issued_once(states, request)
