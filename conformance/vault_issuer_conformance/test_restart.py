"""Restarts of the controller: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import contextlib

import pytest

from pytest_vault_issuer import Controller, Hold, HoldResponse, Respond, Sandbox, condition, requirement

from .interrupted import interrupted_signing, one_kind
from .issued import assert_same, barrier

pytestmark = pytest.mark.exclusive


@requirement("VI-RESTART-001")
def test_request_approved_while_the_controller_was_down_is_issued(sandbox: Sandbox, controller: Controller) -> None:
    issuers = [sandbox.ready_issuer(kind) for kind in sandbox.environment.kinds]
    controller.stop()
    requests = [sandbox.request(issuer) for issuer in issuers]
    controller.start()
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-RESTART-002")
@pytest.mark.parametrize("hold", [Hold, HoldResponse], ids=["before Vault signed", "after Vault signed"])
def test_request_is_issued_once_after_a_kill_in_mid_request(
    sandbox: Sandbox, controller: Controller, hold: type[Hold]
) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    held = hold()
    with interrupted_signing(sandbox, issuer, held) as request:
        controller.kill()
        held.release()
        controller.start()
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-RESTART-003")
def test_request_in_flight_survives_a_stop(sandbox: Sandbox, controller: Controller) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    held = Hold()
    with interrupted_signing(sandbox, issuer, held) as request:
        controller.stop()
        held.release()
        controller.start()
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-RESTART-004")
def test_issuer_stays_ready_over_a_restart(sandbox: Sandbox, controller: Controller) -> None:
    issuers = [sandbox.ready_issuer(kind) for kind in sandbox.environment.kinds]
    with contextlib.ExitStack() as stack:
        recorded = [stack.enter_context(issuer.recorded()) for issuer in issuers]
        controller.stop()
        controller.start()
        for issuer in issuers:
            sandbox.ready_issuer(one_kind(sandbox))
            sandbox.barrier(issuer)
    for issuer, states in zip(issuers, recorded, strict=True):
        lost = [ready for item in states if (ready := condition(item, "Ready")).get("status") == "False"]
        assert not lost, (
            f"expected {issuer} to stay Ready over the restart, saw Ready=False: {lost[0].get('message')!r}"
        )


@requirement("VI-RESTART-005")
def test_changes_while_the_controller_was_down_are_noticed(sandbox: Sandbox, controller: Controller) -> None:
    kind = one_kind(sandbox)
    auth = sandbox.default_authentication(kind)
    failing = sandbox.new_proxy()
    failing.inject(None, Respond(501, json={"errors": ["not initialized"]}))
    recovering = sandbox.issuer(kind, auth, proxy=failing)
    nowhere = sandbox.proxy.url.rpartition(":")[0] + f":{sandbox.closed_port()}"
    corrected = sandbox.issuer(kind, auth, server=nowhere)
    for issuer in (recovering, corrected):
        issuer.wait_not_ready("its Vault does not work")
    controller.stop()
    failing.clear_faults()
    corrected.change(lambda vault: vault.update(server=sandbox.proxy.url))
    controller.start()
    recovering.wait_ready("its Vault recovered before the start", timeout=sandbox.timeouts.retry)
    corrected.wait_ready("its server was corrected before the start", timeout=sandbox.timeouts.retry)


@requirement("VI-RESTART-006")
def test_issued_request_is_not_signed_again_after_a_restart(sandbox: Sandbox, controller: Controller) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    request = sandbox.issued(issuer)
    certificates, signed = request.certificates(), len(sandbox.signings(request))
    controller.stop()
    controller.start()
    sandbox.barrier(issuer)
    again = len(sandbox.signings(request)) - signed
    assert not again, f"expected no further sign request for {request} after the restart, saw {again}"
    assert request.certificates() == certificates, f"expected {request} to keep its certificate, saw another one"


@requirement("VI-RESTART-007")
def test_valid_certificate_is_not_reissued_after_a_restart(sandbox: Sandbox, controller: Controller) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    certificate, before = sandbox.issued_certificate(issuer)
    controller.stop()
    controller.start()
    barrier(sandbox, issuer)
    assert_same(certificate, before)


@requirement("VI-RESTART-008")
def test_certificate_is_renewed_when_it_is_due_after_a_restart(sandbox: Sandbox, controller: Controller) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    # Due some seconds after the restart. A controller that needs longer to start finds it due.
    due = 20
    certificate, before = sandbox.issued_certificate(issuer, duration="1h", renewBefore=f"{3600 - due}s")
    controller.stop()
    controller.start()
    certificate.wait_new_certificate(before, due=due)
