"""Certificates of cert-manager.io, end to end: from the Certificate to its Secret."""

from __future__ import annotations

import ipaddress
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from pytest_vault_issuer.cluster.api import Object, condition
from pytest_vault_issuer.issuer import Certificate, Issuer, KeyPair
from pytest_vault_issuer.issuer.csr import common_name_of, names_of
from pytest_vault_issuer.issuer.decision import is_decided
from pytest_vault_issuer.issuer.handle import decode_certificates
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import Fault, Hold, Injection, Route
from pytest_vault_issuer.sandbox import Sandbox
from pytest_vault_issuer.vault.authority import key_to_pem, new_key

from .helpers import picky_pki, wait_held
from .issued import (
    SHAPES,
    assert_chain,
    assert_lifetime,
    chain_pki,
    drop_issuers,
    expire,
    for_another_key,
    is_self_signed,
    subjects,
    without_roots,
)

#: How often Vault may be asked while nothing is hot: once, and once more by who takes a wrong answer for a slip.
CALM = 2


def host() -> str:
    return f"{secrets.token_hex(4)}.example.test"


def signed(sandbox: Sandbox) -> list[x509.Certificate]:
    """What Vault signed through the test's proxy, in order."""
    answers = [exchange for exchange in sandbox.proxy.seen(Route.SIGN) if exchange.status == 200]
    return [x509.load_pem_x509_certificate(a.response_json["data"]["certificate"].encode()) for a in answers]


def aside(sandbox: Sandbox, kind: str) -> Issuer:
    """An issuer whose requests to Vault are not mixed with those of the test's own."""
    return sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())


def barrier(sandbox: Sandbox, other: Issuer) -> None:
    """Prove that what came before was handled, and had a moment in which it could have been tried again.

    Certificates are issued one after the other. Times in the API have whole seconds, so that who compares them may
    find a failure to be in the past only in the second after it: the last of them is made two seconds later.
    """

    def created() -> datetime:
        certificate, _ = sandbox.issued_certificate(other)
        return datetime.fromisoformat(certificate.get()["metadata"]["creationTimestamp"])

    first = created()
    while created() < first + timedelta(seconds=2):
        pass


def tampered(sandbox: Sandbox, kind: str, fault: Fault) -> tuple[Certificate, Injection]:
    """Make a Certificate whose every answer is tampered with, and see that it is not Ready until one was handled."""
    other = aside(sandbox, kind)
    issuer = sandbox.ready_issuer(kind)
    injection = sandbox.proxy.inject(Route.SIGN, fault)
    certificate = sandbox.certificate(issuer)
    with certificate.recorded() as states:
        sandbox.proxy.wait_for(Route.SIGN, timeout=sandbox.timeouts.wire)
        barrier(sandbox, other)
    assert not any(map(is_ready, states)), f"a Certificate was not to be Ready with what Vault sent ({fault.name})"
    return certificate, injection


def is_ready(item: Object) -> bool:
    return condition(item, "Ready").get("status") == "True"


def assert_same(certificate: Certificate, before: KeyPair) -> None:
    now = certificate.key_pair()
    assert now is not None, "the Secret was to stay"
    assert now.public_key == before.public_key, "the key was to stay"
    assert now.certificates == before.certificates, "the certificate was to stay"


# -- the request -------------------------------------------------------------------------


@requirement("VI-CERTIFICATE-001")
@pytest.mark.usefixtures("only_we_approve")
def test_request_is_made_and_waits_for_approval(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    certificate = sandbox.certificate(issuer, approve=False)
    request = certificate.wait_request()
    assert request["spec"]["issuerRef"] == issuer.ref, "the request was to be for the Certificate's issuer"
    other = sandbox.barrier(issuer)
    assert not [made for made in certificate.requests() if is_decided(made)], "the request was not to be approved"
    asked = sandbox.proxy.seen(Route.SIGN)
    assert all(other.signing.is_for_same_key(exchange.json.get("csr")) for exchange in asked), (
        "Vault was not to be asked to sign before the request is approved"
    )
    sandbox.approve_certificates(certificate.namespace)
    certificate.wait_ready()


# -- the Secret ----------------------------------------------------------------------------


@requirement("VI-CERTIFICATE-002")
def test_secret_holds_the_key_and_its_certificate(sandbox: Sandbox, kind: str) -> None:
    _, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    assert pair.fits, "the certificate was to be for the key"
    assert [pair.leaf] == signed(sandbox)[-1:], "the certificate was to be the one Vault signed"


@requirement("VI-CERTIFICATE-003")
def test_secret_is_of_the_type_for_tls(sandbox: Sandbox, kind: str) -> None:
    _, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    assert pair.kind == "kubernetes.io/tls", "the Secret was to be of the type kubernetes.io/tls"


@requirement("VI-CERTIFICATE-004")
@SHAPES
def test_intermediates_follow_the_certificate(sandbox: Sandbox, kind: str, authorities: int, root_known: bool) -> None:
    pki = chain_pki(sandbox, authorities, root_known=root_known)
    _, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind, pki=pki))
    above = pki.issuing.chain if root_known else [pki.issuing]
    expected = [*signed(sandbox)[-1:], *without_roots([authority.certificate for authority in above])]
    assert_chain(without_roots(pair.certificates), expected, "tls.crt")


@requirement("VI-CERTIFICATE-005")
@pytest.mark.parametrize(("kind", "authorities"), [("Issuer", 1), ("ClusterIssuer", 3)])
def test_root_is_left_out(sandbox: Sandbox, kind: str, authorities: int) -> None:
    issuer = sandbox.ready_issuer(kind, pki=chain_pki(sandbox, authorities))
    _, pair = sandbox.issued_certificate(issuer)
    roots = list(filter(is_self_signed, pair.certificates))
    assert not roots, f"tls.crt was to hold no self-signed root, it holds {subjects(roots)}"


@requirement("VI-CERTIFICATE-006")
@SHAPES
def test_known_authority_is_stored(sandbox: Sandbox, kind: str, authorities: int, root_known: bool) -> None:
    pki = chain_pki(sandbox, authorities, root_known=root_known)
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind, pki=pki))
    answers = [request["status"] for request in certificate.requests()]
    # Whether the rest of the chain is as it should be is another requirement.
    answer = next((a for a in answers if decode_certificates(a.get("certificate"))[:1] == [pair.leaf]), None)
    assert answer is not None, "tls.crt was to begin with the certificate of one of the Certificate's requests"
    assert_chain(pair.ca, decode_certificates(answer.get("ca")), "ca.crt")


@requirement("VI-CERTIFICATE-006")
def test_unknown_authority_is_not_made_up(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    sandbox.proxy.inject(Route.SIGN, drop_issuers())
    _, pair = sandbox.issued_certificate(issuer)
    assert_chain(pair.ca, [], "ca.crt")


@requirement("VI-CERTIFICATE-007")
def test_names_are_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role={"use_csr_sans": False}))
    common_name, dns = host(), [host(), f"*.{host()}"]
    ips, uris = [f"10.{secrets.randbelow(250)}.3.1", "2001:db8::7"], [f"spiffe://{host()}/ns/default"]
    _, pair = sandbox.issued_certificate(issuer, commonName=common_name, dnsNames=dns, ipAddresses=ips, uris=uris)
    names = names_of(pair.leaf)
    assert common_name_of(pair.leaf) == common_name, "the certificate was to have the Certificate's common name"
    assert set(dns) <= set(names["dns"]) <= {*dns, common_name}, "it was to have the Certificate's DNS names"
    assert {*map(ipaddress.ip_address, names["ips"])} == {*map(ipaddress.ip_address, ips)}, "it was to have its IPs"
    assert names["uris"] == uris, "the certificate was to have the Certificate's URIs"


@requirement("VI-CERTIFICATE-008")
def test_duration_is_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    minutes = 90 + secrets.randbelow(3000)
    cases: list[tuple[dict[str, Any], timedelta]] = [
        ({"duration": f"{minutes}m"}, timedelta(minutes=minutes)),
        ({"duration": f"{30 * 24}h0m0s"}, timedelta(days=30)),
        ({}, timedelta(days=90)),
    ]
    for certificate, expected in [(sandbox.certificate(issuer, **spec), expected) for spec, expected in cases]:
        assert_lifetime(certificate.wait_key_pair(lambda _: True, "a certificate").leaf, expected)


# -- what the status says ----------------------------------------------------------------------


@requirement("VI-CERTIFICATE-009")
def test_certificate_is_ready_once_it_is_stored(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    hold = Hold()
    sandbox.proxy.inject(Route.SIGN, hold)
    other, certificate = aside(sandbox, kind), sandbox.certificate(issuer)
    with certificate.recorded() as states:
        wait_held(sandbox, hold, "Vault to be asked to sign")
        sandbox.issued_certificate(other)
    assert not any(map(is_ready, states)), "a Certificate was not to be Ready before it is signed"
    hold.release()
    certificate.wait_ready()
    assert certificate.key_pair() is not None, "a Certificate that is Ready was to have its Secret"


@requirement("VI-CERTIFICATE-010")
def test_validity_is_told(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), duration="36h")
    status = certificate.get()["status"]
    told = [datetime.fromisoformat(status[field]) for field in ("notBefore", "notAfter") if field in status]
    assert told == [pair.leaf.not_valid_before_utc, pair.leaf.not_valid_after_utc], (
        "status.notBefore and status.notAfter were to be the stored certificate's"
    )


# -- another certificate ---------------------------------------------------------------------------


@requirement("VI-CERTIFICATE-011")
def test_certificate_is_renewed_when_it_is_due(sandbox: Sandbox, kind: str) -> None:
    # Due about three seconds after it was issued: Vault dates the beginning back, and only the end counts.
    issuer = sandbox.ready_issuer(kind)
    certificate, pair = sandbox.issued_certificate(issuer, duration="1h", renewBefore="59m57s")
    renewed = certificate.wait_new_certificate(pair)
    assert renewed.fits, "the renewed certificate was to be for the key beside it"
    assert renewed.leaf.not_valid_after_utc > pair.leaf.not_valid_after_utc, "it was to be valid for longer"


@requirement("VI-CERTIFICATE-012")
@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_key_is_replaced_or_kept_as_its_policy_says(sandbox: Sandbox, kind: str, policy: str) -> None:
    key = {"algorithm": "ECDSA", "rotationPolicy": policy}
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), privateKey=key)
    certificate.change(dnsNames=[host()])
    again = certificate.wait_new_certificate(pair)
    assert again.fits, "the new certificate was to be for the key beside it"
    kept = again.public_key == pair.public_key
    wanted = "kept" if policy == "Never" else "replaced"
    assert kept == (policy == "Never"), f"with the rotationPolicy {policy} the key was to be {wanted}"


@requirement("VI-CERTIFICATE-013")
def test_changed_names_are_issued(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    names = [host(), host()]
    certificate.change(dnsNames=names)
    again = certificate.wait_new_certificate(pair)
    assert sorted(names_of(again.leaf)["dns"]) == sorted(names), "the certificate was to have the changed names"
    certificate.wait_ready()


@requirement("VI-CERTIFICATE-013")
def test_changed_issuer_issues(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    pki = sandbox.vault.pki()
    other = sandbox.ready_issuer(kind, sandbox.default_authentication(kind, pki=pki), pki=pki)
    certificate.change(issuerRef=other.ref)
    again = certificate.wait_new_certificate(pair)
    assert again.leaf.issuer == pki.issuing.certificate.subject, "the changed issuer was to issue the certificate"
    certificate.wait_ready()


@requirement("VI-CERTIFICATE-014")
def test_deleted_secret_is_issued_again(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    sandbox.delete_secret(certificate.secret_name, certificate.namespace)
    again = certificate.wait_new_certificate(pair)
    assert again.fits, "the new certificate was to be for the key beside it"


@requirement("VI-CERTIFICATE-014")
def test_replaced_key_is_issued_again(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    sandbox.set_secret(certificate.secret_name, certificate.namespace, {"tls.key": key_to_pem(new_key())})
    again = certificate.wait_new_certificate(pair)
    assert again.fits, "the new certificate was to be for the key beside it"


@requirement("VI-CERTIFICATE-015")
def test_certificate_is_renewed_when_asked_for(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    certificate.renew()
    again = certificate.wait_new_certificate(pair)
    assert again.fits, "the renewed certificate was to be for the key beside it"


@requirement("VI-CERTIFICATE-023")
def test_each_certificate_has_its_own_key(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    cases = [(name, sandbox.certificate(issuer, dnsNames=[name])) for name in (host() for _ in range(5))]
    keys = set()
    for name, certificate in cases:
        pair = certificate.wait_key_pair(lambda _: True, "a certificate")
        assert pair.fits, "each certificate was to be for the key beside it"
        assert names_of(pair.leaf)["dns"] == [name], "each certificate was to have its own Certificate's names"
        keys.add(pair.public_key)
    assert len(keys) == len(cases), "each Certificate was to have a key of its own"


# -- answers that are no certificate for the request ------------------------------------------------


@requirement("VI-CERTIFICATE-016")
def test_certificate_for_another_key_is_not_stored(sandbox: Sandbox, kind: str) -> None:
    certificate, _ = tampered(sandbox, kind, for_another_key(sandbox.pki))
    pair = certificate.key_pair()
    assert pair is None or pair.fits, "a certificate for another key was not to reach the Secret"


@requirement("VI-CERTIFICATE-016")
def test_certificate_for_another_key_replaces_no_good_one(sandbox: Sandbox, kind: str) -> None:
    other = aside(sandbox, kind)
    certificate, before = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    sandbox.proxy.inject(Route.SIGN, for_another_key(sandbox.pki))
    mark = sandbox.proxy.mark()
    certificate.change(dnsNames=[host()])
    sandbox.proxy.wait_for(Route.SIGN, since=mark, timeout=sandbox.timeouts.wire)
    barrier(sandbox, other)
    assert_same(certificate, before)


@requirement("VI-CERTIFICATE-017")
def test_certificate_is_not_ready_with_an_expired_one(sandbox: Sandbox, kind: str) -> None:
    tampered(sandbox, kind, expire(sandbox.pki))


@requirement("VI-CERTIFICATE-018")
def test_expired_certificates_are_not_requested_in_a_loop(sandbox: Sandbox, kind: str) -> None:
    _, injection = tampered(sandbox, kind, expire(sandbox.pki))
    asked = injection.hits
    assert asked <= CALM, f"Vault was not to be asked again and again, it was asked {asked} times"


# -- issuances that fail ----------------------------------------------------------------------------


def refused(sandbox: Sandbox, kind: str) -> tuple[Certificate, str]:
    """A Certificate that Vault refuses to sign, its failure stated; and the domain that would be allowed."""
    pki, domain = picky_pki(sandbox)
    certificate = sandbox.certificate(sandbox.ready_issuer(kind, pki=pki), dnsNames=[f"{host()}.refused.test"])
    certificate.wait_failure()
    return certificate, domain


@requirement("VI-CERTIFICATE-019")
def test_failed_issuance_is_not_tried_again_at_once(sandbox: Sandbox, kind: str) -> None:
    other = aside(sandbox, kind)
    certificate, _ = refused(sandbox, kind)
    barrier(sandbox, other)
    asked = len(sandbox.proxy.seen(Route.SIGN))
    assert asked == 1, f"Vault was to be asked once, it was asked {asked} times"
    assert certificate.condition().get("status") != "True", "a Certificate that failed was not to be Ready"


@requirement("VI-CERTIFICATE-020")
def test_time_of_the_failure_is_told_until_a_success(sandbox: Sandbox, kind: str) -> None:
    certificate, domain = refused(sandbox, kind)
    item = certificate.get()
    told, created = item["status"].get("lastFailureTime"), item["metadata"]["creationTimestamp"]
    assert told, "status.lastFailureTime was to be set"
    now = datetime.now(UTC) + timedelta(minutes=1)
    assert datetime.fromisoformat(created) <= datetime.fromisoformat(told) <= now, "it was to be the failure's time"
    certificate.change(dnsNames=[f"a.{domain}"])

    def succeeded(item: Object) -> bool:
        return is_ready(item) and "lastFailureTime" not in item["status"]

    certificate.wait(succeeded, "to be Ready without status.lastFailureTime", timeout=sandbox.timeouts.certificate)


@requirement("VI-CERTIFICATE-021")
def test_failure_is_explained(sandbox: Sandbox, kind: str) -> None:
    certificate, _ = refused(sandbox, kind)
    (name,) = certificate.get()["spec"]["dnsNames"]
    assert any(name in entry.get("message", "") for entry in certificate.conditions()), (
        "a condition was to say what Vault said, which names the name it does not allow"
    )


@requirement("VI-CERTIFICATE-022")
def test_corrected_certificate_is_issued(sandbox: Sandbox, kind: str) -> None:
    certificate, domain = refused(sandbox, kind)
    name = f"a.{domain}"
    certificate.change(dnsNames=[name])
    certificate.wait_ready()
    pair = certificate.key_pair()
    assert pair is not None, "a Certificate that is Ready was to have its Secret"
    assert names_of(pair.leaf)["dns"] == [name], "the certificate was to have the corrected name"


@requirement("VI-CERTIFICATE-024")
def test_stored_certificate_survives_failures(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    certificate, before = sandbox.issued_certificate(issuer, dnsNames=[f"a.{domain}"])
    certificate.change(dnsNames=[f"{host()}.refused.test"])
    certificate.wait_failure()
    assert_same(certificate, before)
