"""An API server that is away, and objects that change or vanish while Vault signs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from pytest_vault_issuer import (
    API_SERVER,
    SECRETS,
    CertificateRequest,
    Control,
    Controller,
    ControlPlane,
    Hold,
    Issuer,
    NotRunnable,
    Respond,
    Route,
    Sandbox,
    Session,
    Unmet,
    condition,
    requirement,
)

from .helpers import wait_held
from .interrupted import assert_issued_once, one_kind

#: Seconds without an API server: longer than the keep-alive and the retries of usual clients.
AWAY = 30.0


def outage(control_plane: ControlPlane, seconds: float) -> None:
    """Kill the API server, and start it again after some time."""
    control_plane.stop(API_SERVER)
    threading.Event().wait(seconds)
    control_plane.restore()


def assert_serves(sandbox: Sandbox, before: Issuer, waiting: CertificateRequest, seconds: float) -> None:
    """Check that requests and Issuers from before and after an outage are handled.

    client-go waits up to a minute before it lists again after half a minute of failures, for each watch on its own.
    """
    waiting.approve()
    waiting.wait_issued(timeout=seconds)
    sandbox.issued(before)
    wait_watches(sandbox, seconds)


def wait_watches(sandbox: Sandbox, seconds: float) -> None:
    """Check that the controller sees new Issuers, their Secrets and new requests again."""
    issuer = sandbox.issuer(one_kind(sandbox))
    issuer.wait_ready(timeout=seconds)
    sandbox.request(issuer).wait_issued(timeout=seconds)


@requirement("VI-OUTAGE-001")
@pytest.mark.exclusive
@pytest.mark.slow
def test_controller_serves_after_an_outage_of_the_api_server(
    sandbox: Sandbox, controller: Controller, control_plane: ControlPlane
) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    waiting = sandbox.request(issuer, approve=False)
    with controller.restarting():
        outage(control_plane, AWAY)
        assert_serves(sandbox, issuer, waiting, 2 * sandbox.timeouts.retry)


@requirement("VI-OUTAGE-002")
@pytest.mark.exclusive
@pytest.mark.slow
def test_replica_serves_after_an_outage_that_outlasts_its_lease(
    sandbox: Sandbox, control: Control, control_plane: ControlPlane, vault_issuer_session: Session
) -> None:
    lease = vault_issuer_session.implementation.timing.lease_seconds
    with control.replicas() as (replica, _):
        replica.start()
        issuer = sandbox.ready_issuer(one_kind(sandbox))
        waiting = sandbox.request(issuer, approve=False)
        with replica.restarting():
            outage(control_plane, lease + AWAY / 3)
            assert_serves(sandbox, issuer, waiting, 2 * sandbox.timeouts.retry + lease)


@requirement("VI-OUTAGE-003")
@pytest.mark.exclusive
@pytest.mark.slow
def test_changes_after_an_expired_watch_are_noticed(
    sandbox: Sandbox, controller: Controller, control_plane: ControlPlane
) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    sandbox.issued(issuer)  # the watches are established
    controller.pause()
    # The first restart ends the controller's connections, so that it does not get the next events. The second one
    # empties the watch cache of the API server, and the compaction etcd's: the events are gone.
    control_plane.stop(API_SERVER)
    control_plane.restore()
    requests = [sandbox.request(issuer) for _ in range(3)]
    control_plane.compact()
    control_plane.stop(API_SERVER)
    control_plane.restore()
    with controller.restarting():
        controller.resume()
        for request in requests:
            request.wait_issued(timeout=2 * sandbox.timeouts.retry)
        wait_watches(sandbox, 2 * sandbox.timeouts.retry)


# -- objects change while Vault signs -------------------------------------------------------------------------


@contextlib.contextmanager
def signing(sandbox: Sandbox, issuer: Issuer) -> Iterator[CertificateRequest]:
    """Hold the sign request of a new request during the block."""
    held = Hold()
    sandbox.proxy.inject(Route.SIGN, held, times=1)
    request = sandbox.request(issuer)
    wait_held(sandbox, held, "a sign request to Vault")
    try:
        yield request
    finally:
        held.release()


@requirement("VI-OUTAGE-004")
@pytest.mark.holds_controller
def test_request_that_others_change_is_issued(sandbox: Sandbox) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    with contextlib.ExitStack() as stack:
        with signing(sandbox, issuer) as request:
            states = stack.enter_context(request.recorded())
            request.touch()  # the controller has read the request before
        request.wait_issued(timeout=sandbox.timeouts.retry)
    assert_issued_once(states, request)


@requirement("VI-OUTAGE-008")
@pytest.mark.holds_controller
def test_request_that_others_change_is_not_signed_twice_at_a_time(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = sandbox.default_authentication(kind)
    other = sandbox.ready_issuer(kind, auth, proxy=sandbox.new_proxy())
    issuer = sandbox.ready_issuer(kind, auth)
    with signing(sandbox, issuer) as request:
        request.touch()
        with contextlib.suppress(Unmet):  # a controller with one worker waits for Vault
            sandbox.barrier(other)
        signed = [exchange for exchange in sandbox.signings(request) if exchange.status == 200]
    assert not signed, f"expected one sign request at a time for {request}, saw {len(signed)} beside the first"


@requirement("VI-OUTAGE-005")
@pytest.mark.holds_controller
@pytest.mark.exclusive
@pytest.mark.parametrize("what", ["Issuer", "Secret", "request"])
def test_object_deleted_while_vault_signs_harms_no_others(
    sandbox: Sandbox, vault_issuer_session: Session, what: str
) -> None:
    kind = one_kind(sandbox)
    auth = sandbox.default_authentication(kind)
    other = sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    issuer = sandbox.ready_issuer(kind, auth)
    with signing(sandbox, issuer) as request:
        deleted = {
            "Issuer": (issuer.resource, issuer.name, issuer.namespace),
            "Secret": (SECRETS, auth.secret_name, auth.namespace),
            "request": (request.resource, request.name, request.namespace),
        }[what]
        if not deleted[1]:
            raise NotRunnable(f"the authentication method {auth.feature} uses no Secret", hint="claim token")
        sandbox.cluster.delete(*deleted)
    sandbox.barrier(other)
    assert not (end := vault_issuer_session.implementation_end()), (
        f"expected the controller to keep running, saw that {end}"
    )
    limit = sandbox.timeouts.deletion
    gone = sandbox.cluster.wait_gone(*deleted, timeout=limit)
    assert gone, f"expected the deleted {what} to be gone within {limit:g} s, saw it present"


@requirement("VI-OUTAGE-006")
@pytest.mark.holds_controller
def test_certificate_of_a_deleted_request_is_not_given_to_another(sandbox: Sandbox) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    with signing(sandbox, issuer) as request:
        request.delete()
        successor = sandbox.request(issuer, name=request.name, namespace=request.namespace, approve=False)
    sandbox.barrier(issuer)
    found = successor.certificates()
    assert not found, f"expected no certificate in the unapproved {successor}, saw that of its deleted predecessor"


@requirement("VI-OUTAGE-007")
@pytest.mark.holds_controller
def test_result_of_a_deleted_issuer_is_not_given_to_another(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = sandbox.default_authentication(kind)
    other = sandbox.ready_issuer(kind, auth, proxy=sandbox.new_proxy())
    uninitialized = sandbox.new_proxy()
    uninitialized.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    held = Hold()
    sandbox.proxy.inject(Route.HEALTH, held, times=1)
    issuer = sandbox.issuer(kind, auth)
    wait_held(sandbox, held, "a health query")
    issuer.delete()
    limit = sandbox.timeouts.deletion
    gone = sandbox.cluster.wait_gone(issuer.resource, issuer.name, issuer.namespace, timeout=limit)
    assert gone, f"expected the deleted {issuer} to be gone within {limit:g} s, saw it present"
    successor = sandbox.issuer(kind, auth, name=issuer.name, proxy=uninitialized)
    with successor.recorded() as states:
        held.release()
        successor.wait_not_ready("its Vault is not initialized", timeout=sandbox.timeouts.retry)
        sandbox.barrier(other)
    ready = [item for item in states if condition(item, "Ready").get("status") == "True"]
    assert not ready, f"expected {successor} never to be Ready, saw the result of its deleted predecessor"
