"""Replicas of the controller: one works at a time, or they share the work; no request gets lost or is signed twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from pytest_vault_issuer import (
    CertificateRequest,
    Control,
    Controller,
    HoldResponse,
    Issuer,
    Sandbox,
    Session,
    requirement,
)

from .interrupted import interrupted_signing, one_kind

pytestmark = [pytest.mark.exclusive, pytest.mark.slow]
#: Number of requests of which each is signed once.
REQUESTS = 5
#: Seconds in which the second replica starts. It is invisible while it waits for the first one.
START = 5.0


@pytest.fixture
def lease(vault_issuer_session: Session) -> float:
    """Return the seconds of a lease."""
    return vault_issuer_session.implementation.timing.lease_seconds * vault_issuer_session.settings.timeout_scale


@pytest.fixture
def takeover(sandbox: Sandbox, lease: float) -> float:
    """Return the seconds in which a replica replaces another one and serves."""
    return lease + sandbox.timeouts.retry


@contextlib.contextmanager
def two_replicas(
    sandbox: Sandbox, control: Control, takeover: float
) -> Iterator[tuple[Controller, Controller, Issuer]]:
    """Let two replicas run during the block. The first one serves an Issuer, which is Ready; the second one starts.

    Not a fixture: a replica that does not serve is a failure of the controller. The lease of an earlier test may have
    to expire first.
    """
    with control.replicas() as (first, second):
        first.start()
        issuer = sandbox.issuer(one_kind(sandbox))
        issuer.wait_ready(timeout=takeover)
        second.start()
        yield first, second, issuer


def issued_during(sandbox: Sandbox, issuer: Issuer, seconds: float) -> list[CertificateRequest]:
    """Have requests issued, one after the other, for some seconds."""
    requests: list[CertificateRequest] = []
    until = time.monotonic() + seconds
    while len(requests) < REQUESTS or time.monotonic() < until:
        requests.append(sandbox.issued(issuer))
    return requests


def assert_signed_once(sandbox: Sandbox, issuer: Issuer, seconds: float) -> None:
    """Have requests issued for some seconds, and check that each is signed once."""
    for request in issued_during(sandbox, issuer, seconds):
        signed = len(sandbox.signings(request))
        assert signed == 1, f"expected one sign request for {request}, saw {signed}"


@requirement("VI-HA-001")
def test_replicas_sign_each_request_once(sandbox: Sandbox, control: Control, takeover: float) -> None:
    with two_replicas(sandbox, control, takeover) as (_, _, issuer):
        assert_signed_once(sandbox, issuer, START)


@requirement("VI-HA-001")
def test_resumed_replica_does_not_sign_beside_another(
    sandbox: Sandbox, control: Control, lease: float, takeover: float
) -> None:
    with two_replicas(sandbox, control, takeover) as (first, _, issuer):
        first.pause()
        sandbox.request(issuer).wait_issued(timeout=takeover)
        first.resume()
        # client-go gives up a lost lease only at its deadline for renewals, which is shorter than the lease.
        issued_during(sandbox, issuer, lease)
        assert_signed_once(sandbox, issuer, 0)


@requirement("VI-HA-002")
def test_other_replica_serves_after_a_kill(sandbox: Sandbox, control: Control, takeover: float) -> None:
    with two_replicas(sandbox, control, takeover) as (first, _, issuer):
        first.kill()
        sandbox.request(issuer).wait_issued(timeout=takeover)


@requirement("VI-HA-003")
def test_request_is_issued_once_after_its_replica_was_killed(
    sandbox: Sandbox, control: Control, takeover: float
) -> None:
    with two_replicas(sandbox, control, takeover) as (first, _, issuer):
        held = HoldResponse()
        with interrupted_signing(sandbox, issuer, held) as request:
            first.kill()
            held.release()
            request.wait_issued(timeout=takeover)


@requirement("VI-HA-004")
def test_resumed_replica_leaves_an_issued_request_alone(sandbox: Sandbox, control: Control, takeover: float) -> None:
    with two_replicas(sandbox, control, takeover) as (first, _, issuer):
        held = HoldResponse()
        with interrupted_signing(sandbox, issuer, held) as request:
            first.pause()
            request.wait_issued(timeout=takeover)
            first.resume()
            held.release()
            for _ in range(REQUESTS - 1):  # with the one after the block
                sandbox.barrier(issuer)
