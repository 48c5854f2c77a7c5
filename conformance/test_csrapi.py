"""CertificateSigningRequests of Kubernetes: the same issuers, asked in another way."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pytest_vault_issuer.errors import NotRunnable
from pytest_vault_issuer.issuer import CertificateSigningRequest, Issuer, SigningRequest
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import Fault, Respond, Route
from pytest_vault_issuer.sandbox import FEATURES, Sandbox
from pytest_vault_issuer.vault import Pki

from .helpers import claimed, for_each_kind, picky_pki, with_secret
from .issued import (
    SHAPES,
    answered,
    assert_chain,
    assert_lifetime,
    chain_pki,
    expire,
    for_another_key,
    is_self_signed,
    subjects,
    without_roots,
)

DURATION = "experimental.cert-manager.io/request-duration"


def signed(sandbox: Sandbox, issuer: Issuer) -> CertificateSigningRequest:
    """A request for an issuer, approved and signed; also the barrier for what was done to requests before it."""
    request = sandbox.kubernetes_request(issuer.signer_name)
    request.wait_signed()
    return request


def assert_not_signed(sandbox: Sandbox, request: CertificateSigningRequest, why: str) -> None:
    assert not sandbox.signings(request), f"Vault was not to be asked to sign a request {why}"
    assert not request.certificates(), f"a request {why} was to have no certificate"


def decisions(request: CertificateSigningRequest) -> list[str]:
    return [entry["type"] for entry in request.conditions() if entry["type"] in ("Approved", "Denied")]


# -- signing and approval ---------------------------------------------------------------------


@requirement("VI-CSRAPI-001")
def test_approved_request_is_signed(sandbox: Sandbox, kind: str) -> None:
    request = signed(sandbox, sandbox.ready_issuer(kind))
    (leaf, *_) = request.certificates()
    assert request.signing.matches(leaf), "the certificate was to be for the request's key"
    assert leaf == answered(sandbox, request), "the certificate was to be the one Vault signed"


@requirement("VI-CSRAPI-002")
@pytest.mark.usefixtures("only_we_approve")
def test_approval_is_waited_for(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.kubernetes_request(issuer.signer_name, approve=False)
    request.touch()
    signed(sandbox, issuer)
    assert_not_signed(sandbox, request, "that is not approved")
    request.approve()
    request.wait_signed()


@requirement("VI-CSRAPI-003")
@pytest.mark.usefixtures("only_we_approve")
def test_denied_request_is_not_signed(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.kubernetes_request(issuer.signer_name, approve=False)
    request.deny()
    signed(sandbox, issuer)
    assert_not_signed(sandbox, request, "that was denied")


@requirement("VI-CSRAPI-004")
@pytest.mark.usefixtures("only_we_approve")
def test_approval_is_left_to_others(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.kubernetes_request(issuer.signer_name, approve=False)
    signed(sandbox, issuer)
    assert not decisions(request), f"the issuer was not to decide about a request, it set {decisions(request)}"


# -- the certificate -------------------------------------------------------------------------


@requirement("VI-CSRAPI-005")
@SHAPES
def test_intermediates_follow_the_certificate(sandbox: Sandbox, kind: str, authorities: int, root_known: bool) -> None:
    pki = chain_pki(sandbox, authorities, root_known=root_known)
    request = signed(sandbox, sandbox.ready_issuer(kind, pki=pki))
    above = pki.issuing.chain if root_known else [pki.issuing]
    expected = [answered(sandbox, request), *without_roots([authority.certificate for authority in above])]
    assert_chain(without_roots(request.certificates()), expected, "status.certificate")


@requirement("VI-CSRAPI-006")
@pytest.mark.parametrize(("kind", "authorities"), [("Issuer", 1), ("ClusterIssuer", 3)])
def test_root_is_left_out(sandbox: Sandbox, kind: str, authorities: int) -> None:
    request = signed(sandbox, sandbox.ready_issuer(kind, pki=chain_pki(sandbox, authorities)))
    roots = list(filter(is_self_signed, request.certificates()))
    assert not roots, f"status.certificate was to hold no self-signed root, it holds {subjects(roots)}"


@requirement("VI-CSRAPI-007")
def test_duration_is_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    seconds = 600 + secrets.randbelow(100_000)
    asked = sandbox.kubernetes_request(issuer.signer_name, expirationSeconds=seconds)
    default = sandbox.kubernetes_request(issuer.signer_name)
    for request, expected in ((asked, timedelta(seconds=seconds)), (default, timedelta(days=90))):
        request.wait_signed()
        assert_lifetime(request.certificates()[0], expected)


@requirement("VI-CSRAPI-008")
def test_duration_of_the_annotation_is_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    minutes = 60 + secrets.randbelow(10_000)
    request = sandbox.kubernetes_request(issuer.signer_name, annotations={DURATION: f"{minutes}m"})
    request.wait_signed()
    assert_lifetime(request.certificates()[0], timedelta(minutes=minutes))


def tampered(sandbox: Sandbox, kind: str, fault: Callable[[Pki], Fault]) -> CertificateSigningRequest:
    """A request whose answer is tampered with, signed or failed, or signed properly when it was tried again."""
    issuer = sandbox.ready_issuer(kind)
    injection = sandbox.proxy.inject(Route.SIGN, fault(sandbox.pki), times=1)
    request = sandbox.kubernetes_request(issuer.signer_name)
    request.wait_final()
    assert injection.hits == 1, "Vault was to be asked to sign"
    return request


@requirement("VI-CSRAPI-015")
def test_certificate_for_another_key_is_not_passed_on(sandbox: Sandbox, kind: str) -> None:
    request = tampered(sandbox, kind, for_another_key)
    for leaf in request.certificates()[:1]:
        assert request.signing.matches(leaf), "a certificate for another key was not to be passed on"


@requirement("VI-CSRAPI-015")
def test_expired_certificate_is_not_passed_on(sandbox: Sandbox, kind: str) -> None:
    for leaf in tampered(sandbox, kind, expire).certificates()[:1]:
        expiry = leaf.not_valid_after_utc
        assert expiry > datetime.now(UTC), "a certificate that has expired was not to be passed on"


# -- failure and finality ------------------------------------------------------------------


@requirement("VI-CSRAPI-009")
def test_refused_request_fails_for_good(sandbox: Sandbox, kind: str) -> None:
    pki, _ = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    name = f"{secrets.token_hex(4)}.refused.test"
    request = sandbox.kubernetes_request(issuer.signer_name, SigningRequest.build(name, dns=[name]))
    request.wait_failed()
    sandbox.vault.set_pki_role(pki)
    signed(sandbox, issuer)  # what an implementation writes may be in its own cache later than a test sees it
    asked = len(sandbox.signings(request))
    assert asked, "Vault was to be asked to sign"
    request.touch()
    signed(sandbox, issuer)
    assert len(sandbox.signings(request)) == asked, "a failed request was not to be sent to Vault again"
    assert not request.certificates(), "a failed request was to have no certificate"


@requirement("VI-CSRAPI-014")
def test_signed_request_is_not_signed_again(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = signed(sandbox, issuer)
    signed(sandbox, issuer)  # as above
    asked = len(sandbox.signings(request))
    request.touch()
    signed(sandbox, issuer)
    assert len(sandbox.signings(request)) == asked, "a signed request was not to be sent to Vault again"


# -- issuers that are not there, not Ready, or cannot log in -----------------------------------


@requirement("VI-CSRAPI-010")
def test_request_waits_for_its_issuer_to_be_created(sandbox: Sandbox, kind: str) -> None:
    present = sandbox.ready_issuer(kind)
    name = sandbox.issuer_name()
    request = sandbox.kubernetes_request(present.signer_name.replace(present.name, name))
    signed(sandbox, present)
    assert_not_signed(sandbox, request, "whose issuer is absent")
    sandbox.issuer(kind, name=name)
    request.wait_signed(timeout=sandbox.timeouts.retry)


@requirement("VI-CSRAPI-010")
def test_request_waits_for_its_issuer_to_be_ready(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    if not auth.secret_name:
        raise NotRunnable("the implementation supports no way of authenticating with a Secret")
    present = sandbox.ready_issuer(kind, auth)
    absent = f"absent-{secrets.token_hex(4)}"
    issuer = sandbox.issuer(kind, with_secret(auth, absent))
    issuer.wait_not_ready("its Secret is missing")
    request = sandbox.kubernetes_request(issuer.signer_name)
    signed(sandbox, present)
    assert_not_signed(sandbox, request, "whose issuer is not Ready")
    sandbox.secret({auth.secret_key: auth.credential}, namespace=auth.namespace, name=absent)
    request.wait_signed(timeout=sandbox.timeouts.retry)


@requirement("VI-CSRAPI-011")
@pytest.mark.slow
def test_outage_at_login_is_survived(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        logins = [feature for feature in claimed(sandbox, FEATURES) if feature != "token"]
        if not logins:
            raise NotRunnable("the implementation supports no way of authenticating with a login")
        proxy = sandbox.new_proxy()
        issuer = sandbox.ready_issuer(kind, sandbox.authenticate(logins[0], kind), proxy=proxy)
        signed(sandbox, issuer)  # by now the issuer has also looked at the change of its own status
        # Vault's client library tries three times: the outage outlasts that.
        injection = proxy.inject(Route.LOGIN, Respond(503, json={"errors": ["Vault is sealed"]}), times=3)
        sandbox.kubernetes_request(issuer.signer_name).wait_signed(timeout=sandbox.timeouts.retry)
        assert injection.hits, "the login was to be refused first"

    for_each_kind(sandbox, check)


# -- whose request it is, and whose it is not ----------------------------------------------------


@requirement("VI-CSRAPI-012")
def test_request_of_another_signer_is_left_alone(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    plural, _, _ = issuer.signer_name.partition(".")
    path = issuer.signer_name.partition("/")[2]
    foreign = [
        f"{plural}.{secrets.token_hex(4)}.example.invalid/{path}",
        f"{secrets.token_hex(4)}.example.invalid/{issuer.name}",
        f"others.{issuer.resource.group}/{path}",
    ]
    requests = {name: sandbox.kubernetes_request(name) for name in foreign}
    signed(sandbox, issuer)
    for name, request in requests.items():
        assert_not_signed(sandbox, request, f"of the signer {name}")
        added = [entry["type"] for entry in request.conditions() if entry["type"] != "Approved"]
        assert not added, f"a request of the signer {name} was to get no condition, it has {added}"


@requirement("VI-CSRAPI-013")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_requester_has_to_be_allowed_to_refer_to_the_issuer(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    stranger = sandbox.kubernetes_request(issuer.signer_name, requester=sandbox.requester())
    allowed = sandbox.requester(may_reference=issuer)
    sandbox.kubernetes_request(issuer.signer_name, requester=allowed).wait_signed()
    signed(sandbox, issuer)
    assert_not_signed(sandbox, stranger, "of somebody who may not refer to its issuer")
