"""CertificateSigningRequests of Kubernetes: the same issuer objects through another API."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pytest_vault_issuer import (
    CertificateSigningRequest,
    Fault,
    Issuer,
    NotRunnable,
    Pki,
    Respond,
    Route,
    Sandbox,
    SigningRequest,
    at_barrier,
    requirement,
    set_data,
)

from .helpers import (
    LOGINS,
    alternating,
    claimed,
    end_logins,
    for_each_kind,
    is_final,
    issuer_without_secret,
    login_in_outage,
    picky_pki,
    wait_final,
)
from .issued import (
    SHAPES,
    assert_chain,
    assert_lifetime,
    chain_pki,
    expire,
    for_another_key,
    is_self_signed,
    signed_certificate,
    subjects,
    without_roots,
)

DURATION = "experimental.cert-manager.io/request-duration"


def signed(sandbox: Sandbox, issuer: Issuer) -> CertificateSigningRequest:
    """Return an approved and signed request."""
    request = sandbox.kubernetes_request(issuer.signer_name)
    request.wait_signed()
    return request


def barrier(sandbox: Sandbox, issuer: Issuer) -> None:
    """Have a request signed: the controller has then also received earlier changes of requests."""
    with at_barrier():
        signed(sandbox, issuer)


def assert_not_signed(sandbox: Sandbox, request: CertificateSigningRequest, why: str) -> None:
    asked = len(sandbox.signings(request))
    assert not asked, f"expected no sign request for a CertificateSigningRequest {why}, saw {asked}"
    held = subjects(request.certificates())
    assert not held, f"expected no certificate in a CertificateSigningRequest {why}, saw {held}"


def decisions(request: CertificateSigningRequest) -> list[str]:
    return [entry["type"] for entry in request.conditions() if entry["type"] in ("Approved", "Denied")]


# -- signing and approval ---------------------------------------------------------------------


@requirement("VI-CSRAPI-001")
def test_approved_request_is_signed(sandbox: Sandbox, kind: str) -> None:
    # A signerName joins namespace and name by a dot, and the name may contain more of them.
    request = signed(sandbox, sandbox.ready_issuer(kind, name=f"{sandbox.issuer_name()}.of.a.team"))
    (leaf, *_) = request.certificates()
    assert request.signing.matches(leaf), "expected a certificate for the requested key, saw one for another key"
    assert leaf == signed_certificate(sandbox, request), "expected the certificate that Vault signed"


@requirement("VI-CSRAPI-002")
@pytest.mark.usefixtures("suite_approves")
def test_request_waits_for_approval(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.kubernetes_request(issuer.signer_name, approve=False)
    request.touch()
    barrier(sandbox, issuer)
    assert_not_signed(sandbox, request, "that is not approved")
    request.approve()
    request.wait_signed()


@requirement("VI-CSRAPI-003")
@pytest.mark.usefixtures("suite_approves")
def test_denied_request_is_not_signed(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.kubernetes_request(issuer.signer_name, approve=False)
    request.deny()
    barrier(sandbox, issuer)
    assert_not_signed(sandbox, request, "that is denied")


@requirement("VI-CSRAPI-004")
@pytest.mark.usefixtures("suite_approves")
def test_controller_does_not_approve_or_deny(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.kubernetes_request(issuer.signer_name, approve=False)
    barrier(sandbox, issuer)
    assert not decisions(request), f"expected no Approved or Denied condition, saw {decisions(request)}"


# -- the certificate -------------------------------------------------------------------------


@requirement("VI-CSRAPI-005")
@SHAPES
def test_intermediates_follow_the_certificate(sandbox: Sandbox, kind: str, authorities: int, root_known: bool) -> None:
    pki = chain_pki(sandbox, authorities, root_known=root_known)
    request = signed(sandbox, sandbox.ready_issuer(kind, pki=pki))
    above = pki.issuing.chain if root_known else [pki.issuing]
    expected = [signed_certificate(sandbox, request), *without_roots([authority.certificate for authority in above])]
    assert_chain(without_roots(request.certificates()), expected, "status.certificate")


@requirement("VI-CSRAPI-006")
@alternating(("kind", "authorities"), [("Issuer", 1), ("ClusterIssuer", 3)])
def test_root_is_left_out(sandbox: Sandbox, kind: str, authorities: int) -> None:
    request = signed(sandbox, sandbox.ready_issuer(kind, pki=chain_pki(sandbox, authorities)))
    roots = list(filter(is_self_signed, request.certificates()))
    assert not roots, f"expected no self-signed root in status.certificate, saw {subjects(roots)}"


@requirement("VI-CSRAPI-007")
def test_duration_is_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    seconds = 600 + secrets.randbelow(100_000)
    asked = sandbox.kubernetes_request(issuer.signer_name, expirationSeconds=seconds)
    more = int(timedelta(days=91 + secrets.randbelow(100)).total_seconds())
    longer = sandbox.kubernetes_request(issuer.signer_name, expirationSeconds=more)
    default = sandbox.kubernetes_request(issuer.signer_name)
    cases = [(asked, timedelta(seconds=seconds)), (longer, timedelta(seconds=more)), (default, timedelta(days=90))]
    for request, expected in cases:
        request.wait_signed()
        assert_lifetime(request.certificates()[0], expected)


@requirement("VI-CSRAPI-008")
def test_duration_in_the_annotation_is_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    minutes = 60 + secrets.randbelow(10_000)
    request = sandbox.kubernetes_request(issuer.signer_name, annotations={DURATION: f"{minutes}m"})
    request.wait_signed()
    assert_lifetime(request.certificates()[0], timedelta(minutes=minutes))


def tampered(sandbox: Sandbox, kind: str, fault: Callable[[Pki], Fault]) -> CertificateSigningRequest:
    """Return a request with one tampered response, after the controller had time to sign or fail it."""
    issuer = sandbox.ready_issuer(kind)
    injection = sandbox.proxy.inject(Route.SIGN, fault(sandbox.pki), times=1)
    request = sandbox.kubernetes_request(issuer.signer_name)
    injection.wait(sandbox.timeouts.wire)
    wait_final(request)
    return request


@requirement("VI-CSRAPI-015")
def test_certificate_for_another_key_is_not_passed_on(sandbox: Sandbox, kind: str) -> None:
    request = tampered(sandbox, kind, for_another_key)
    for leaf in request.certificates()[:1]:
        assert request.signing.matches(leaf), "expected no certificate for another key, saw one"


@requirement("VI-CSRAPI-016")
def test_expired_certificate_is_not_passed_on(sandbox: Sandbox, kind: str) -> None:
    for leaf in tampered(sandbox, kind, expire).certificates()[:1]:
        expiry = leaf.not_valid_after_utc
        assert expiry > datetime.now(UTC), "expected no expired certificate, saw one"


# -- final states --------------------------------------------------------------------------


@requirement("VI-CSRAPI-009")
def test_refused_request_fails_permanently(sandbox: Sandbox, kind: str) -> None:
    pki, _ = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    name = f"{secrets.token_hex(4)}.refused.test"
    request = sandbox.kubernetes_request(issuer.signer_name, SigningRequest.build(name, dns=[name]))
    request.wait_failed(timeout=sandbox.timeouts.retry)
    sandbox.vault.set_pki_role(pki)
    barrier(sandbox, issuer)  # the controller's cache may receive its own update later than the test does
    asked = len(sandbox.signings(request))
    assert asked, "expected a sign request to Vault, saw none"
    request.touch()
    barrier(sandbox, issuer)
    assert len(sandbox.signings(request)) == asked, "expected no further sign request after the failure"
    held = subjects(request.certificates())
    assert not held, f"expected no certificate in a failed CertificateSigningRequest, saw {held}"


@requirement("VI-CSRAPI-017")
@alternating(("kind",), [("Issuer",)])
def test_unusable_response_leads_to_a_result(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    sandbox.proxy.inject(Route.SIGN, set_data("certificate", "not a certificate"), times=1)
    request = sandbox.kubernetes_request(issuer.signer_name)
    request.wait(is_final, "to be signed or to fail after an unusable response", timeout=sandbox.timeouts.retry)


@requirement("VI-CSRAPI-014")
def test_signed_request_is_not_signed_again(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = signed(sandbox, issuer)
    barrier(sandbox, issuer)  # as above
    asked = len(sandbox.signings(request))
    request.touch()
    barrier(sandbox, issuer)
    again = len(sandbox.signings(request)) - asked
    assert again == 0, f"expected no further sign request after the certificate was issued, saw {again}"


# -- issuer objects that are missing, not Ready or cannot log in -------------------------------


@requirement("VI-CSRAPI-010")
def test_request_waits_for_its_issuer_to_be_created(sandbox: Sandbox, kind: str) -> None:
    present = sandbox.ready_issuer(kind)
    name = sandbox.issuer_name()
    request = sandbox.kubernetes_request(present.signer_name.replace(present.name, name))
    barrier(sandbox, present)
    assert_not_signed(sandbox, request, "whose issuer object is missing")
    sandbox.issuer(kind, name=name)
    request.wait_signed(timeout=sandbox.timeouts.retry)


@requirement("VI-CSRAPI-010")
def test_request_waits_for_its_issuer_to_be_ready(sandbox: Sandbox, kind: str) -> None:
    ready, issuer, create_secret = issuer_without_secret(sandbox, kind)
    request = sandbox.kubernetes_request(issuer.signer_name)
    barrier(sandbox, ready)
    assert_not_signed(sandbox, request, "whose issuer object is not Ready")
    create_secret()
    request.wait_signed(timeout=sandbox.timeouts.retry)


@requirement("VI-CSRAPI-011")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_outage_at_login_is_survived(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        logins = claimed(sandbox, LOGINS)
        if not logins:
            raise NotRunnable("the implementation claims no authentication method that logs in")
        proxy = sandbox.new_proxy()
        auth = sandbox.authenticate(logins[0], kind)
        issuer = sandbox.ready_issuer(kind, auth, proxy=proxy)
        barrier(sandbox, issuer)  # the controller has now also processed its own status update
        end_logins(sandbox, proxy, auth)
        # Vault's client library tries three times: the outage lasts longer.
        outage = proxy.inject(Route.LOGIN, Respond(503, json={"errors": ["Vault is sealed"]}), times=3)
        login_in_outage(sandbox, lambda: sandbox.kubernetes_request(issuer.signer_name), outage).wait_signed()

    for_each_kind(sandbox, check)


# -- signers and requesters ----------------------------------------------------------------------


@requirement("VI-CSRAPI-012")
def test_request_of_another_signer_is_ignored(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    plural, _, _ = issuer.signer_name.partition(".")
    path = issuer.signer_name.partition("/")[2]
    foreign = [
        f"{plural}.{secrets.token_hex(4)}.example.invalid/{path}",
        f"{secrets.token_hex(4)}.example.invalid/{issuer.name}",
        f"others.{issuer.resource.group}/{path}",
    ]
    requests = {name: sandbox.kubernetes_request(name) for name in foreign}
    barrier(sandbox, issuer)
    for name, request in requests.items():
        assert_not_signed(sandbox, request, f"of the signer {name}")
        added = [entry["type"] for entry in request.conditions() if entry["type"] != "Approved"]
        assert not added, f"expected no condition on a request of the signer {name}, saw {added}"


@requirement("VI-CSRAPI-013")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_requester_needs_permission_to_reference_the_issuer(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    unauthorized = sandbox.kubernetes_request(issuer.signer_name, requester=sandbox.requester())
    allowed = sandbox.requester(may_reference=issuer)
    sandbox.kubernetes_request(issuer.signer_name, requester=allowed).wait_signed()
    barrier(sandbox, issuer)
    assert_not_signed(sandbox, unauthorized, "of a requester without permission to reference the issuer object")
