"""Certificate resources of cert-manager.io, end to end: from the Certificate to its Secret."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pytest_vault_issuer import (
    SECRETS,
    ApiError,
    Authority,
    Certificate,
    CertificateRequest,
    Fault,
    Hold,
    Injection,
    KeyPair,
    NotRunnable,
    Object,
    Pki,
    Route,
    Sandbox,
    Session,
    Unmet,
    common_name_of,
    condition,
    decode_certificates,
    is_decided,
    key_to_pem,
    names_of,
    new_key,
    poll,
    requirement,
    to_pem,
)

from .helpers import REFUSED, alternating, bundle, picky_pki, wait_held
from .issued import (
    SHAPES,
    assert_chain,
    assert_lifetime,
    assert_pem,
    assert_same,
    barrier,
    chain_pki,
    drop_issuers,
    expire,
    for_another_key,
    is_self_signed,
    separate_issuer,
    subjects,
    without_roots,
)

#: The number of sign requests that do not count as a loop: the first one and one retry after a wrong response.
CALM = 2
EITHER_KIND = alternating(("kind",), [("Issuer",), ("ClusterIssuer",)])
ONE_KIND = alternating(("kind",), [("Issuer",)])


def host() -> str:
    return f"{secrets.token_hex(4)}.example.test"


def signed(sandbox: Sandbox) -> list[x509.Certificate]:
    """Return the certificates that Vault signed through the test's proxy, in order."""
    answers = [exchange for exchange in sandbox.proxy.seen(Route.SIGN) if exchange.status == 200]
    return [x509.load_pem_x509_certificate(a.response_json["data"]["certificate"].encode()) for a in answers]


def tampered(sandbox: Sandbox, kind: str, fault: Fault) -> tuple[Certificate, Injection]:
    """Create a Certificate with only tampered responses, and check that it is not Ready after the first of them."""
    other = separate_issuer(sandbox, kind)
    issuer = sandbox.ready_issuer(kind)
    injection = sandbox.proxy.inject(Route.SIGN, fault)
    certificate = sandbox.certificate(issuer)
    with certificate.recorded() as states:
        sandbox.proxy.wait_for(Route.SIGN, timeout=sandbox.timeouts.wire)
        barrier(sandbox, other)
    assert not any(map(is_ready, states)), f"expected the Certificate not to be Ready ({fault.name}), saw Ready=True"
    return certificate, injection


def is_ready(item: Object) -> bool:
    return condition(item, "Ready").get("status") == "True"


# -- the request -------------------------------------------------------------------------


@requirement("VI-CERTIFICATE-001")
@pytest.mark.usefixtures("suite_approves")
def test_request_is_created_and_waits_for_approval(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    certificate = sandbox.certificate(issuer, approve=False)
    request = certificate.wait_request()
    assert request["spec"]["issuerRef"] == issuer.ref, (
        "expected the issuerRef of the Certificate in its CertificateRequest"
    )
    other = sandbox.barrier(issuer)
    decided = [made["metadata"]["name"] for made in certificate.requests() if is_decided(made)]
    assert not decided, f"expected no decision about the CertificateRequest, saw one on {decided}"
    asked = [exchange.json.get("csr") for exchange in sandbox.proxy.seen(Route.SIGN)]
    early = [csr for csr in asked if not other.signing.is_for_same_key(csr)]
    assert not early, f"expected no sign request before the approval, saw {len(early)}"
    sandbox.approve_certificates(certificate.namespace)
    certificate.wait_ready()


# -- the Secret ----------------------------------------------------------------------------


@requirement("VI-CERTIFICATE-046")
@pytest.mark.usefixtures("suite_approves")
def test_issuing_is_true_until_the_certificate_is_stored(sandbox: Sandbox, kind: str) -> None:
    certificate = sandbox.certificate(sandbox.ready_issuer(kind), approve=False)

    def is_issuing(item: Object) -> bool:
        return condition(item, "Issuing").get("status") == "True"

    certificate.wait(is_issuing, "to have the condition Issuing", timeout=sandbox.timeouts.certificate)
    certificate.wait_request()
    assert is_issuing(certificate.get()), "expected Issuing=True while the request waits for its approval, saw none"
    sandbox.approve_certificates(certificate.namespace)
    item = certificate.wait_ready()
    left = condition(item, "Issuing")
    assert not left, f"expected no condition Issuing after the issuance, saw {left}"


@requirement("VI-CERTIFICATE-002")
def test_secret_holds_the_key_and_its_certificate(sandbox: Sandbox, kind: str) -> None:
    _, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    assert pair.fits, "expected a certificate that matches tls.key, saw one for another key"
    # A controller with a stale cache may have the same request signed twice.
    assert pair.leaf in signed(sandbox), "expected a certificate that Vault signed, saw another"


@requirement("VI-CERTIFICATE-003")
def test_secret_has_the_type_for_tls(sandbox: Sandbox, kind: str) -> None:
    _, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    assert pair.kind == "kubernetes.io/tls", "expected the Secret type kubernetes.io/tls"


@requirement("VI-CERTIFICATE-004")
@SHAPES
def test_intermediates_follow_the_certificate(sandbox: Sandbox, kind: str, authorities: int, root_known: bool) -> None:
    pki = chain_pki(sandbox, authorities, root_known=root_known)
    _, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind, pki=pki))
    above = pki.issuing.chain if root_known else [pki.issuing]
    assert pair.leaf in signed(sandbox), "expected a certificate that Vault signed, saw another"
    expected = [pair.leaf, *without_roots([authority.certificate for authority in above])]
    assert_chain(without_roots(pair.certificates), expected, "tls.crt")


@requirement("VI-CERTIFICATE-065")
@EITHER_KIND
def test_certificates_are_on_lines_of_their_own(sandbox: Sandbox, kind: str) -> None:
    certificate, _ = sandbox.issued_certificate(sandbox.ready_issuer(kind, pki=chain_pki(sandbox, 3)))
    data = secret_of(sandbox, certificate)["data"]
    assert_pem(data["tls.crt"], "tls.crt")
    assert_pem(data.get("ca.crt") or "", "ca.crt")


@requirement("VI-CERTIFICATE-005")
@alternating(("kind", "authorities"), [("Issuer", 1), ("ClusterIssuer", 3)])
def test_root_is_left_out(sandbox: Sandbox, kind: str, authorities: int) -> None:
    issuer = sandbox.ready_issuer(kind, pki=chain_pki(sandbox, authorities))
    _, pair = sandbox.issued_certificate(issuer)
    roots = list(filter(is_self_signed, pair.certificates))
    assert not roots, f"expected no self-signed root in tls.crt, saw {subjects(roots)}"


@requirement("VI-CERTIFICATE-006")
@SHAPES
def test_known_authority_is_stored(sandbox: Sandbox, kind: str, authorities: int, root_known: bool) -> None:
    pki = chain_pki(sandbox, authorities, root_known=root_known)
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind, pki=pki))
    assert_chain(pair.ca, requested_ca(certificate, pair), "ca.crt")


def reissued_by_another(sandbox: Sandbox, kind: str) -> tuple[Certificate, KeyPair, Pki]:
    """Change the issuerRef of an issued Certificate; return it, its next key pair, and the PKI of the new Issuer."""
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    pki = sandbox.vault.pki()
    other = sandbox.ready_issuer(kind, sandbox.default_authentication(kind, pki=pki), pki=pki)
    certificate.change(issuerRef=other.ref)
    return certificate, certificate.wait_new_certificate(pair), pki


def requested_ca(certificate: Certificate, pair: KeyPair) -> list[x509.Certificate]:
    """Return the CA in the status of the CertificateRequest whose certificate is stored."""
    # A controller that requests certificates in a loop has not answered the last one yet.
    answers = [request.get("status", {}) for request in certificate.requests()]
    # Another requirement covers the rest of the chain.
    answer = next((a for a in answers if decode_certificates(a.get("certificate"))[:1] == [pair.leaf]), None)
    assert answer is not None, "expected tls.crt to start with a CertificateRequest's certificate, saw another"
    return decode_certificates(answer.get("ca"))


@requirement("VI-CERTIFICATE-006")
def test_unknown_authority_is_left_out(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    sandbox.proxy.inject(Route.SIGN, drop_issuers())
    _, pair = sandbox.issued_certificate(issuer)
    assert_chain(pair.ca, [], "ca.crt")


@requirement("VI-CERTIFICATE-006")
def test_authority_is_replaced_together_with_the_certificate(sandbox: Sandbox, kind: str) -> None:
    certificate, second, _ = reissued_by_another(sandbox, kind)
    certificate.wait_ready()
    assert_chain(second.ca, requested_ca(certificate, second), "ca.crt")
    sandbox.proxy.inject(Route.SIGN, drop_issuers())
    certificate.change(dnsNames=[host()])
    third = certificate.wait_new_certificate(second)
    assert_chain(third.ca, [], "ca.crt")


@requirement("VI-CERTIFICATE-007")
def test_names_are_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role={"use_csr_sans": False}))
    common_name, dns = host(), [host(), f"*.{host()}"]
    ips, uris = [f"10.{secrets.randbelow(250)}.3.1", "2001:db8::7"], [f"spiffe://{host()}/ns/default"]
    _, pair = sandbox.issued_certificate(issuer, commonName=common_name, dnsNames=dns, ipAddresses=ips, uris=uris)
    names = names_of(pair.leaf)
    assert common_name_of(pair.leaf) == common_name, "expected the common name of the Certificate"
    assert set(dns) <= set(names["dns"]) <= {*dns, common_name}, f"expected the DNS names {dns}, saw {names['dns']}"
    assert {*map(ipaddress.ip_address, names["ips"])} == {*map(ipaddress.ip_address, ips)}, (
        "expected the IP addresses of the Certificate"
    )
    assert names["uris"] == uris, "expected the URIs of the Certificate"


@requirement("VI-CERTIFICATE-007")
@EITHER_KIND
def test_only_names_of_the_certificate_are_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    address, uri = ipaddress.ip_address(f"10.{secrets.randbelow(250)}.3.1"), f"spiffe://{host()}/ns/default"
    cases: list[tuple[dict[str, Any], x509.GeneralName]] = [
        ({"ipAddresses": [str(address)]}, x509.IPAddress(address)),
        ({"uris": [uri]}, x509.UniformResourceIdentifier(uri)),
    ]
    for spec, expected in cases:
        _, csr = requested(sandbox.certificate(issuer, approve=False, dnsNames=[], **spec))
        names = alternative_names(csr)
        assert names == [expected], f"expected only the name {expected} in the CSR, saw {names}"


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


# -- status -------------------------------------------------------------------------------------


@requirement("VI-CERTIFICATE-009")
@pytest.mark.holds_controller
def test_certificate_becomes_ready_once_it_is_stored(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    hold = Hold()
    sandbox.proxy.inject(Route.SIGN, hold)
    other, certificate = separate_issuer(sandbox, kind), sandbox.certificate(issuer)
    with certificate.recorded() as states:
        wait_held(sandbox, hold, "a sign request to Vault")
        if sandbox.environment.works_at_once:
            sandbox.issued_certificate(other)
    assert not any(map(is_ready, states)), (
        "expected the Certificate not to be Ready before Vault signed, saw Ready=True"
    )
    hold.release()
    certificate.wait_ready()
    assert certificate.key_pair() is not None, "expected the Secret of a Ready Certificate, saw none"


@requirement("VI-CERTIFICATE-010")
def test_status_reports_the_validity_period(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), duration="36h")
    status = certificate.get()["status"]
    reported = [datetime.fromisoformat(status[field]) for field in ("notBefore", "notAfter") if field in status]
    assert reported == [pair.leaf.not_valid_before_utc, pair.leaf.not_valid_after_utc], (
        "expected the validity period of the stored certificate in status.notBefore and status.notAfter"
    )


# -- renewal and reissue ---------------------------------------------------------------------------


@requirement("VI-CERTIFICATE-011")
def test_certificate_is_renewed_when_it_is_due(sandbox: Sandbox, kind: str) -> None:
    # Due about three seconds after the issuance: Vault backdates notBefore, but only notAfter counts.
    issuer = sandbox.ready_issuer(kind)
    certificate, pair = sandbox.issued_certificate(issuer, duration="1h", renewBefore="59m57s")
    renewed = certificate.wait_new_certificate(pair)
    assert renewed.fits, "expected a renewed certificate that matches tls.key, saw one for another key"
    assert renewed.leaf.not_valid_after_utc > pair.leaf.not_valid_after_utc, (
        "expected a later notAfter after the renewal, saw none"
    )
    certificate.wait_new_certificate(renewed)  # each renewal is due, not only the first


@requirement("VI-CERTIFICATE-011")
@EITHER_KIND
def test_certificates_with_the_same_specification_are_renewed(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    # Due about three seconds after the issuance, as above.
    spec: dict[str, Any] = {"dnsNames": [host()], "duration": "1h", "renewBefore": "59m57s"}
    for certificate, pair in [sandbox.issued_certificate(issuer, **spec) for _ in range(2)]:
        certificate.wait_new_certificate(pair)


@requirement("VI-CERTIFICATE-011")
@EITHER_KIND
def test_certificate_is_renewed_after_it_has_expired(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    certificate, pair = sandbox.issued_certificate(issuer)
    barrier(sandbox, issuer)  # a controller may look at a Certificate again after its own update
    now, (name,) = datetime.now(UTC), certificate.get()["spec"]["dnsNames"]
    times = {"not_before": now - timedelta(days=2), "not_after": now - timedelta(hours=1)}
    expired = sandbox.pki.issuing.leaf(pair.leaf.public_key(), name, **times)
    sandbox.set_secret(certificate.secret_name, certificate.namespace, {"tls.crt": to_pem(expired)})
    again = certificate.wait_key_pair(
        lambda found: found.leaf.not_valid_after_utc > now, "a certificate instead of the expired one"
    )
    assert again.fits, "expected a renewed certificate that matches tls.key, saw one for another key"


@requirement("VI-CERTIFICATE-037")
@EITHER_KIND
def test_renewal_is_scheduled_for_the_end_of_the_lifetime(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    life = timedelta(hours=10)
    cases: list[tuple[dict[str, Any], timedelta]] = [
        ({}, life / 3),
        ({"renewBefore": "2h"}, life * 0.2),
        ({"renewBeforePercentage": 10}, life * 0.1),
        ({"renewBeforePercentage": 50}, life * 0.5),
    ]
    for spec, left in cases:
        assert_scheduled(*sandbox.issued_certificate(issuer, duration="10h", **spec), left)


def assert_scheduled(certificate: Certificate, pair: KeyPair, left: timedelta) -> None:
    """Check that the renewal of a certificate is scheduled for this long before its end."""
    expected = pair.leaf.not_valid_after_utc - left
    item = certificate.get()
    reported = item["status"].get("renewalTime")
    assert reported, "expected status.renewalTime, saw none"
    # The lifetime may include the seconds by which Vault backdates a certificate.
    assert abs(datetime.fromisoformat(reported) - expected) < timedelta(minutes=10), (
        f"expected status.renewalTime about {expected:%Y-%m-%dT%H:%M:%SZ} with {item['spec']}, saw {reported}"
    )


@requirement("VI-CERTIFICATE-064")
@EITHER_KIND
def test_renewal_of_a_long_certificate_is_scheduled(sandbox: Sandbox, kind: str) -> None:
    # A percentage of eight years in nanoseconds needs more than 64 bits on the way.
    life, pki = timedelta(days=8 * 365), sandbox.vault.pki(role={"max_ttl": 0})
    sandbox.vault.client.write_data(f"sys/mounts/{pki.mount}/tune", data={"max_lease_ttl": "80000h"})
    issuer, duration = sandbox.ready_issuer(kind, pki=pki), f"{life // timedelta(hours=1)}h"
    try:
        certificate, pair = sandbox.issued_certificate(issuer, duration=duration, renewBeforePercentage=50)
    except ApiError as error:
        raise Unmet(f"expected the API server to accept a Certificate for {duration}: {error}") from error
    assert_scheduled(certificate, pair, life * 0.5)


@requirement("VI-CERTIFICATE-048")
@EITHER_KIND
def test_changed_renewal_is_reported(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), duration="10h")
    certificate.change(renewBefore="2h")
    expected = pair.leaf.not_valid_after_utc - timedelta(hours=2)

    def is_changed(item: Object) -> bool:
        reported = item["status"].get("renewalTime")
        return bool(reported) and abs(datetime.fromisoformat(reported) - expected) < timedelta(minutes=10)

    what = f"to report about {expected:%Y-%m-%dT%H:%M:%SZ} in status.renewalTime after renewBefore has become 2h"
    certificate.wait(is_changed, what, timeout=sandbox.timeouts.certificate)


@requirement("VI-CERTIFICATE-043")
def test_revision_increases(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    first = certificate.wait_ready()["status"].get("revision")
    certificate.change(dnsNames=[host()])
    certificate.wait_new_certificate(pair)
    again = certificate.wait_ready()["status"].get("revision")
    assert isinstance(first, int), f"expected a number in status.revision, saw {first}"
    assert isinstance(again, int), f"expected a number in status.revision, saw {again}"
    assert again > first, f"expected a higher status.revision than {first} after a reissue, saw {again}"


@requirement("VI-CERTIFICATE-044")
def test_earlier_requests_are_deleted(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), revisionHistoryLimit=1)
    certificate.change(dnsNames=[host()])
    certificate.wait_new_certificate(pair)
    poll(lambda: len(certificate.requests()) <= 1 or None, timeout=sandbox.timeouts.certificate)
    left = len(certificate.requests())
    assert left == 1, f"expected one CertificateRequest with revisionHistoryLimit 1, saw {left}"


@requirement("VI-CERTIFICATE-012")
@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_rotation_policy_decides_about_the_key(sandbox: Sandbox, kind: str, policy: str) -> None:
    key = {"algorithm": "ECDSA", "rotationPolicy": policy}
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), privateKey=key)
    certificate.change(dnsNames=[host()])
    again = certificate.wait_new_certificate(pair)
    assert again.fits, "expected a new certificate that matches tls.key, saw one for another key"
    kept = again.public_key == pair.public_key
    wanted = "kept" if policy == "Never" else "replaced"
    assert kept == (policy == "Never"), f"expected the key to be {wanted} with rotationPolicy {policy}"


@requirement("VI-CERTIFICATE-013")
def test_certificate_is_reissued_after_its_names_change(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    names = [host(), host()]
    certificate.change(dnsNames=names)
    again = certificate.wait_new_certificate(pair)
    assert sorted(names_of(again.leaf)["dns"]) == sorted(names), "expected the changed names"
    certificate.wait_ready()


@requirement("VI-CERTIFICATE-013")
def test_certificate_is_reissued_after_its_issuer_ref_changes(sandbox: Sandbox, kind: str) -> None:
    certificate, again, pki = reissued_by_another(sandbox, kind)
    assert again.leaf.issuer == pki.issuing.certificate.subject, "expected the CA of the changed issuerRef"
    certificate.wait_ready()


#: What is written into the Secret of a Certificate; a Secret of its type cannot lose a field.
DAMAGES: dict[str, Callable[[], dict[str, str]]] = {
    "the key is replaced": lambda: {"tls.key": key_to_pem(new_key())},
    "the key is corrupt": lambda: {"tls.key": secrets.token_hex(40)},
    "the key is emptied": lambda: {"tls.key": ""},
    "the certificate is corrupt": lambda: {"tls.crt": secrets.token_hex(40)},
    "the certificate is emptied": lambda: {"tls.crt": ""},
}


@requirement("VI-CERTIFICATE-014")
@pytest.mark.parametrize("damage", ["the Secret is deleted", *DAMAGES])
def test_certificate_is_reissued_after_its_secret_is_damaged(sandbox: Sandbox, kind: str, damage: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    certificate, pair = sandbox.issued_certificate(issuer)
    barrier(sandbox, issuer)  # a controller may look at a Certificate again after its own update
    if damage == "the Secret is deleted":
        sandbox.delete_secret(certificate.secret_name, certificate.namespace)
    else:
        sandbox.set_secret(certificate.secret_name, certificate.namespace, DAMAGES[damage]())

    def replaced() -> KeyPair | None:
        with contextlib.suppress(Unmet, ValueError):  # the key or the certificate is still corrupt
            now = certificate.key_pair()
            return now if now and now.leaf != pair.leaf else None
        return None

    again = poll(replaced, timeout=sandbox.timeouts.bound(sandbox.timeouts.certificate), interval=0.1)
    assert again is not None, f"expected another certificate after {damage}, saw none; {certificate.explain()}"
    assert again.fits, "expected a new certificate that matches tls.key, saw one for another key"


@requirement("VI-CERTIFICATE-015")
def test_certificate_is_renewed_on_the_issuing_condition(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    certificate.renew()
    again = certificate.wait_new_certificate(pair)
    assert again.fits, "expected a renewed certificate that matches tls.key, saw one for another key"


@requirement("VI-CERTIFICATE-023")
def test_each_certificate_has_its_own_key(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    cases = [(name, sandbox.certificate(issuer, dnsNames=[name])) for name in (host() for _ in range(5))]
    keys = set()
    for name, certificate in cases:
        pair = certificate.wait_key_pair(lambda _: True, "a certificate")
        assert pair.fits, "expected each certificate to match its tls.key, saw one for another key"
        assert names_of(pair.leaf)["dns"] == [name], "expected the names of its own Certificate"
        keys.add(pair.public_key)
    assert len(keys) == len(cases), f"expected {len(cases)} different keys"


# -- responses without a usable certificate -------------------------------------------------------


@requirement("VI-CERTIFICATE-016")
def test_certificate_for_another_key_is_not_stored(sandbox: Sandbox, kind: str) -> None:
    certificate, _ = tampered(sandbox, kind, for_another_key(sandbox.pki))
    pair = certificate.key_pair()
    assert pair is None or pair.fits, "expected no certificate for another key in the Secret, saw one"


@requirement("VI-CERTIFICATE-016")
def test_certificate_for_another_key_does_not_replace_a_valid_one(sandbox: Sandbox, kind: str) -> None:
    other = separate_issuer(sandbox, kind)
    certificate, before = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    sandbox.proxy.inject(Route.SIGN, for_another_key(sandbox.pki))
    mark = sandbox.proxy.mark()
    certificate.change(dnsNames=[host()])
    sandbox.proxy.wait_for(Route.SIGN, since=mark, timeout=sandbox.timeouts.wire)
    barrier(sandbox, other)
    assert_same(certificate, before)


@requirement("VI-CERTIFICATE-017")
def test_certificate_with_an_expired_response_is_not_ready(sandbox: Sandbox, kind: str) -> None:
    tampered(sandbox, kind, expire(sandbox.pki))


@requirement("VI-CERTIFICATE-018")
def test_expired_certificates_are_not_requested_in_a_loop(sandbox: Sandbox, kind: str) -> None:
    _, injection = tampered(sandbox, kind, expire(sandbox.pki))
    asked = injection.hits
    assert asked <= CALM, f"expected at most {CALM} sign requests, saw {asked}"


@requirement("VI-CERTIFICATE-049")
def test_certificates_for_another_key_are_not_requested_in_a_loop(sandbox: Sandbox, kind: str) -> None:
    _, injection = tampered(sandbox, kind, for_another_key(sandbox.pki))
    asked = injection.hits
    assert asked <= CALM, f"expected at most {CALM} sign requests, saw {asked}"


# -- failed issuances -------------------------------------------------------------------------------


def refused(sandbox: Sandbox, kind: str) -> tuple[Certificate, str]:
    """Return a Certificate that Vault refused to sign, with its failure reported, and the allowed domain."""
    pki, domain = picky_pki(sandbox)
    certificate = sandbox.certificate(sandbox.ready_issuer(kind, pki=pki), dnsNames=[f"{host()}.refused.test"])
    certificate.wait_failure()
    return certificate, domain


def wait_ready_without(sandbox: Sandbox, certificate: Certificate, field: str) -> None:
    def succeeded(item: Object) -> bool:
        return is_ready(item) and field not in item["status"]

    certificate.wait(succeeded, f"to be Ready without status.{field}", timeout=sandbox.timeouts.certificate)


@requirement("VI-CERTIFICATE-019")
def test_failed_issuance_is_not_retried_immediately(sandbox: Sandbox, kind: str) -> None:
    other = separate_issuer(sandbox, kind)
    certificate, _ = refused(sandbox, kind)
    barrier(sandbox, other)
    # A controller may send the same request twice. Another attempt has a CSR of its own.
    asked = {exchange.json.get("csr") for exchange in sandbox.proxy.seen(Route.SIGN)}
    assert len(asked) == 1, f"expected sign requests for one CSR, saw {len(asked)} CSRs"
    assert certificate.condition().get("status") != "True", (
        "expected a failed Certificate not to be Ready, saw Ready=True"
    )


def request_of(sandbox: Sandbox, item: Object) -> CertificateRequest:
    """Return the request that a controller created for a Certificate; its key is unknown."""
    metadata = item["metadata"]
    return CertificateRequest(
        sandbox.cluster, sandbox.timeouts, metadata["name"], metadata["namespace"], sandbox.new_signing()
    )


@requirement("VI-CERTIFICATE-055")
@pytest.mark.usefixtures("suite_approves")
@alternating(("kind", "decision"), [("Issuer", "Denied"), ("ClusterIssuer", "InvalidRequest")])
def test_issuance_fails_with_its_request(sandbox: Sandbox, kind: str, decision: str) -> None:
    certificate = sandbox.certificate(sandbox.ready_issuer(kind), approve=False)
    request = request_of(sandbox, certificate.wait_request())
    if decision == "Denied":
        request.deny()
    else:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        invalid = {"type": decision, "status": "True", "reason": "Policy", "message": "", "lastTransitionTime": now}
        request.write_conditions([*request.conditions(), invalid])
    item = certificate.wait_failure()
    assert item["status"].get("lastFailureTime"), (
        f"expected status.lastFailureTime after the condition {decision} of the CertificateRequest, saw none"
    )


@requirement("VI-CERTIFICATE-069")
@pytest.mark.exclusive
@pytest.mark.usefixtures("suite_approves", "controller")
@alternating(("kind",), [("Issuer",)])
def test_request_with_only_a_failure_time_harms_no_others(
    sandbox: Sandbox, vault_issuer_session: Session, kind: str
) -> None:
    place, other = sandbox.other_namespace, separate_issuer(sandbox, kind)
    auth = sandbox.default_authentication(kind, namespace=place if kind == "Issuer" else None)
    issuer = sandbox.ready_issuer(kind, auth, namespace=place if kind == "Issuer" else None)
    certificate = sandbox.certificate(issuer, approve=False, namespace=place)
    request = request_of(sandbox, certificate.wait_request())
    earlier = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"status": {"failureTime": earlier}}
    try:
        sandbox.cluster.patch(request.resource, request.name, request.namespace, body, subresource="status")
        with contextlib.suppress(Unmet):  # a controller that has ended
            barrier(sandbox, other)
        assert not (end := vault_issuer_session.implementation_end()), (
            f"expected the controller to keep running beside {request}, which has only a failureTime, saw that {end}"
        )
        sandbox.issued_certificate(other)
    finally:  # before the controller starts again
        certificate.delete()
        request.delete()


@requirement("VI-CERTIFICATE-020")
def test_failure_time_is_reported_until_a_success(sandbox: Sandbox, kind: str) -> None:
    certificate, domain = refused(sandbox, kind)
    item = certificate.get()
    reported, created = item["status"].get("lastFailureTime"), item["metadata"]["creationTimestamp"]
    assert reported, "expected status.lastFailureTime, saw none"
    now = datetime.now(UTC) + timedelta(minutes=1)
    assert datetime.fromisoformat(created) <= datetime.fromisoformat(reported) <= now, (
        f"expected status.lastFailureTime between {created} and {now}, saw {reported}"
    )
    certificate.change(dnsNames=[f"a.{domain}"])
    wait_ready_without(sandbox, certificate, "lastFailureTime")


@requirement("VI-CERTIFICATE-047")
@EITHER_KIND
def test_renewal_on_demand_with_the_same_key_follows_a_failure(sandbox: Sandbox, kind: str) -> None:
    other, (pki, domain) = separate_issuer(sandbox, kind), picky_pki(sandbox)
    issuer, key = sandbox.ready_issuer(kind, pki=pki), {"algorithm": "ECDSA", "rotationPolicy": "Never"}
    certificate, before = sandbox.issued_certificate(issuer, dnsNames=[f"a.{domain}"], privateKey=key)
    certificate.change(dnsNames=[host()])
    certificate.wait_failure()
    barrier(sandbox, other)  # a controller compares whole seconds to see whether a failure came before the renewal
    sandbox.vault.set_pki_role(pki)
    certificate.renew()
    certificate.wait_new_certificate(before)


@requirement("VI-CERTIFICATE-047")
def test_renewal_on_demand_follows_a_failure(sandbox: Sandbox, kind: str) -> None:
    other, (pki, _) = separate_issuer(sandbox, kind), picky_pki(sandbox)
    certificate = sandbox.certificate(sandbox.ready_issuer(kind, pki=pki))
    certificate.wait_failure()
    barrier(sandbox, other)  # a controller compares whole seconds to see whether a failure came before the renewal
    # The Certificate does not change: only the renewal is a reason for another attempt.
    sandbox.vault.set_pki_role(pki)
    certificate.renew()
    certificate.wait_ready()
    assert certificate.key_pair() is not None, "expected the Secret of a Ready Certificate, saw none"


@requirement("VI-CERTIFICATE-042")
def test_failures_are_counted_until_a_success(sandbox: Sandbox, kind: str) -> None:
    certificate, domain = refused(sandbox, kind)
    counted = certificate.get()["status"].get("failedIssuanceAttempts")
    assert counted == 1, f"expected 1 in status.failedIssuanceAttempts after the first failure, saw {counted}"
    certificate.change(dnsNames=[f"a.{domain}"])
    wait_ready_without(sandbox, certificate, "failedIssuanceAttempts")


@requirement("VI-CERTIFICATE-021")
def test_conditions_explain_the_failure(sandbox: Sandbox, kind: str) -> None:
    certificate, _ = refused(sandbox, kind)
    (name,) = certificate.get()["spec"]["dnsNames"]
    assert any(name in entry.get("message", "") for entry in certificate.conditions()), (
        f"expected a condition with Vault's error, which contains {name}, saw none; {certificate.explain()}"
    )


@requirement("VI-CERTIFICATE-070")
@EITHER_KIND
def test_warning_event_reports_the_failure(sandbox: Sandbox, kind: str) -> None:
    certificate, _ = refused(sandbox, kind)
    certificate.wait_event(lambda event: event.get("type") == "Warning", "of type Warning that reports its failure")


@requirement("VI-CERTIFICATE-022")
def test_corrected_certificate_is_issued(sandbox: Sandbox, kind: str) -> None:
    certificate, domain = refused(sandbox, kind)
    name = f"a.{domain}"
    certificate.change(dnsNames=[name])
    certificate.wait_ready()
    pair = certificate.key_pair()
    assert pair is not None, "expected the Secret of a Ready Certificate, saw none"
    assert names_of(pair.leaf)["dns"] == [name], "expected the corrected name"


@requirement("VI-CERTIFICATE-024")
def test_stored_certificate_survives_failures(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    certificate, before = sandbox.issued_certificate(issuer, dnsNames=[f"a.{domain}"])
    certificate.change(dnsNames=[f"{host()}.refused.test"])
    certificate.wait_failure()
    assert_same(certificate, before)


# -- what a Certificate specifies --------------------------------------------------------------------

#: Fields of `subject` and the attribute of each.
SUBJECT = {
    "countries": NameOID.COUNTRY_NAME,
    "organizations": NameOID.ORGANIZATION_NAME,
    "organizationalUnits": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "localities": NameOID.LOCALITY_NAME,
    "provinces": NameOID.STATE_OR_PROVINCE_NAME,
    "streetAddresses": NameOID.STREET_ADDRESS,
    "postalCodes": NameOID.POSTAL_CODE,
}
#: A user principal name, as in an otherName of Active Directory.
PRINCIPAL = "1.3.6.1.4.1.311.20.2.3"


def asked(sandbox: Sandbox, kind: str, **spec: Any) -> tuple[Object, x509.CertificateSigningRequest]:
    """Return the specification of the CertificateRequest for a Certificate, and the CSR in it; it is not approved."""
    return requested(sandbox.certificate(sandbox.ready_issuer(kind), approve=False, **spec))


def requested(certificate: Certificate) -> tuple[Object, x509.CertificateSigningRequest]:
    spec = certificate.wait_request()["spec"]
    return spec, x509.load_pem_x509_csr(base64.b64decode(spec["request"]))


def extension(csr: x509.CertificateSigningRequest, kind: type[x509.ExtensionType]) -> x509.Extension[Any]:
    found: list[x509.Extension[Any]] = [entry for entry in csr.extensions if entry.oid == kind.oid]
    assert found, f"expected the extension {kind.__name__} in the CSR, saw none"
    return found[0]


def alternative_names(csr: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    return list(extension(csr, x509.SubjectAlternativeName).value)


@requirement("VI-CERTIFICATE-025")
@EITHER_KIND
def test_subject_is_requested(sandbox: Sandbox, kind: str) -> None:
    lists = {field: [secrets.token_hex(4), f"Ü, {secrets.token_hex(3)}"] for field in SUBJECT} | {"countries": ["AQ"]}
    number = secrets.token_hex(4)
    _, csr = asked(sandbox, kind, subject={**lists, "serialNumber": number}, commonName=host())
    for field, values in lists.items():
        seen = [attribute.value for attribute in csr.subject.get_attributes_for_oid(SUBJECT[field])]
        assert sorted(map(str, seen)) == sorted(values), f"expected the {field} of the Certificate in the CSR"
    seen = [attribute.value for attribute in csr.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)]
    assert seen == [number], "expected the serialNumber of the Certificate in the CSR"


@requirement("VI-CERTIFICATE-026")
@EITHER_KIND
def test_email_addresses_are_requested(sandbox: Sandbox, kind: str) -> None:
    emails = [f"{secrets.token_hex(4)}@example.test", f"{secrets.token_hex(4)}@example.test"]
    _, csr = asked(sandbox, kind, emailAddresses=emails)
    seen = [name.value for name in alternative_names(csr) if isinstance(name, x509.RFC822Name)]
    assert sorted(seen) == sorted(emails), "expected the e-mail addresses of the Certificate in the CSR"


@requirement("VI-CERTIFICATE-027")
@ONE_KIND
def test_other_names_are_requested(sandbox: Sandbox, kind: str) -> None:
    user = f"{secrets.token_hex(4)}@example.test"
    _, csr = asked(sandbox, kind, otherNames=[{"oid": PRINCIPAL, "utf8Value": user}])
    expected = x509.OtherName(x509.ObjectIdentifier(PRINCIPAL), b"\x0c" + bytes([len(user)]) + user.encode())
    seen = alternative_names(csr)
    assert expected in seen, f"expected the otherName of the Certificate in the CSR, saw {seen}"


@requirement("VI-CERTIFICATE-028")
@EITHER_KIND
def test_literal_subject_keeps_its_order(sandbox: Sandbox, kind: str) -> None:
    literal = f"CN={host()},OU={secrets.token_hex(3)},OU=Bar\\, Baz,DC=corp,DC=example,O=Corp.,C=AQ"
    _, csr = asked(sandbox, kind, literalSubject=literal)
    seen = [(attribute.oid, attribute.value) for attribute in csr.subject]
    expected = [(attribute.oid, attribute.value) for attribute in x509.Name.from_rfc4514_string(literal)]
    assert seen == expected, "expected the attributes of literalSubject in their order"


USAGES = ["digital signature", "data encipherment", "client auth", "code signing"]


@requirement("VI-CERTIFICATE-029")
@EITHER_KIND
def test_usages_and_authority_are_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    plain = sandbox.certificate(issuer, approve=False, usages=USAGES)
    authority = sandbox.certificate(issuer, approve=False, usages=USAGES, isCA=True)
    unset = sandbox.certificate(issuer, approve=False)
    spec, _ = requested(plain)
    assert set(spec.get("usages") or []) == set(USAGES), "expected the usages of the Certificate"
    assert not spec.get("isCA"), "expected no isCA, saw it set"
    spec, _ = requested(authority)
    assert spec.get("isCA") is True, f"expected isCA true in the CertificateRequest, saw {spec.get('isCA')}"
    missing = set(USAGES) - set(spec.get("usages") or [])
    assert not missing, f"expected the usages of the Certificate, saw none of {sorted(missing)}"
    spec, _ = requested(unset)
    # Usages that are not set mean the default. The page and the API reference disagree about `server auth`.
    seen = set(spec.get("usages") or ["digital signature", "key encipherment"]) - {"server auth"}
    assert seen == {"digital signature", "key encipherment"}, "expected the documented default of usages"


@requirement("VI-CERTIFICATE-041")
@EITHER_KIND
def test_authority_requests_to_sign_certificates(sandbox: Sandbox, kind: str) -> None:
    spec, _ = asked(sandbox, kind, usages=USAGES, isCA=True)
    assert set(spec.get("usages") or []) == {*USAGES, "cert sign"}, "expected the usage cert sign in addition"


@requirement("VI-CERTIFICATE-030")
@EITHER_KIND
def test_usages_are_encoded_unless_turned_off(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    plain = sandbox.certificate(issuer, approve=False, usages=USAGES)
    without = sandbox.certificate(issuer, approve=False, usages=USAGES, encodeUsagesInRequest=False)
    _, csr = requested(plain)
    usage = extension(csr, x509.KeyUsage).value
    seen = [usage.digital_signature, usage.data_encipherment, usage.key_encipherment, usage.key_cert_sign]
    assert seen == [True, True, False, False], "expected the key usages of the Certificate, and no others, in the CSR"
    extended = set(extension(csr, x509.ExtendedKeyUsage).value)
    expected = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING}
    assert extended == expected, "expected the extended key usages in the CSR"
    _, csr = requested(without)
    encoded = {entry.oid for entry in csr.extensions} & {x509.KeyUsage.oid, x509.ExtendedKeyUsage.oid}
    assert not encoded, "expected no usages in the CSR with encodeUsagesInRequest false, saw some"


@requirement("VI-CERTIFICATE-030")
@ONE_KIND
def test_two_names_of_the_same_usage_are_encoded(sandbox: Sandbox, kind: str) -> None:
    _, csr = asked(sandbox, kind, usages=["signing", "digital signature", "key encipherment"])
    usage = extension(csr, x509.KeyUsage).value
    seen = [usage.digital_signature, usage.key_encipherment, usage.data_encipherment]
    assert seen == [True, True, False], "expected the key usages of the Certificate, and no others, in the CSR"


KEYS = [("RSA", 2048), ("RSA", 3072), ("ECDSA", 256), ("ECDSA", 384), ("ECDSA", 521), ("Ed25519", None)]


@requirement("VI-CERTIFICATE-031")
@EITHER_KIND
def test_key_has_the_specified_algorithm_and_size(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    certificates = []
    for algorithm, size in KEYS:
        key = {"algorithm": algorithm} | ({"size": size} if size else {})
        certificates.append(sandbox.certificate(issuer, privateKey=key))
    for certificate, (algorithm, size) in zip(certificates, KEYS, strict=True):
        key_pair = certificate.wait_key_pair(lambda _: True, f"a certificate for an {algorithm} key")
        seen = type(key_pair.key).__name__.lower(), getattr(key_pair.key, "key_size", None)
        family = {"RSA": "rsa", "ECDSA": "ec", "Ed25519": "ed25519"}[algorithm]
        assert family in seen[0], f"expected an {algorithm} key, saw {seen}"
        assert seen[1] == size, f"expected a key of size {size}, saw {seen}"
        assert key_pair.fits, "expected a certificate that matches tls.key, saw one for another key"


@requirement("VI-CERTIFICATE-032")
@ONE_KIND
def test_csr_has_the_specified_signature_algorithm(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    for algorithm, digest in (("ECDSAWithSHA384", "sha384"), ("ECDSAWithSHA512", "sha512")):
        _, csr = requested(sandbox.certificate(issuer, approve=False, signatureAlgorithm=algorithm))
        seen = getattr(csr.signature_hash_algorithm, "name", "")
        assert seen == digest, f"expected a CSR signed with {algorithm}"


def secret_of(sandbox: Sandbox, certificate: Certificate) -> Object:
    secret = sandbox.cluster.find(SECRETS, certificate.secret_name, certificate.namespace)
    assert secret is not None, "expected the Secret of a Ready Certificate, saw none"
    return secret


@requirement("VI-CERTIFICATE-033")
@EITHER_KIND
def test_key_has_the_specified_encoding(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    cases = [
        ("RSA", "PKCS1", "RSA PRIVATE KEY"),
        ("RSA", "PKCS8", "PRIVATE KEY"),
        ("ECDSA", "PKCS1", "EC PRIVATE KEY"),
        ("ECDSA", "PKCS8", "PRIVATE KEY"),
    ]
    certificates = [
        sandbox.certificate(issuer, privateKey={"algorithm": algorithm, "encoding": encoding})
        for algorithm, encoding, _ in cases
    ]
    for certificate, (algorithm, encoding, label) in zip(certificates, cases, strict=True):
        certificate.wait_ready()
        first = base64.b64decode(secret_of(sandbox, certificate)["data"]["tls.key"]).decode().partition("\n")[0]
        assert first == f"-----BEGIN {label}-----", f"expected an {algorithm} key in {encoding}"


@requirement("VI-CERTIFICATE-034")
@EITHER_KIND
def test_secret_has_the_labels_and_annotations_of_the_template(sandbox: Sandbox, kind: str) -> None:
    labels, annotations = {"team": secrets.token_hex(4)}, {"example.test/note": secrets.token_hex(4)}
    template = {"labels": labels, "annotations": annotations}
    certificate, _ = sandbox.issued_certificate(sandbox.ready_issuer(kind), secretTemplate=template)
    metadata = secret_of(sandbox, certificate)["metadata"]
    seen = {field: (metadata.get(field) or {}).items() for field in template}
    for field, expected in template.items():
        missing = dict(expected.items() - seen[field])
        assert not missing, f"expected the {field} of secretTemplate on the Secret, saw it without {missing}"


@requirement("VI-CERTIFICATE-045")
@EITHER_KIND
def test_secret_follows_a_changed_template(sandbox: Sandbox, kind: str) -> None:
    before = {"changed": secrets.token_hex(4), "removed": secrets.token_hex(4)}
    after = {"changed": secrets.token_hex(4), "added": secrets.token_hex(4)}
    issuer = sandbox.ready_issuer(kind)
    certificate, _ = sandbox.issued_certificate(issuer, secretTemplate={"labels": before, "annotations": before})
    certificate.change(secretTemplate={"labels": after, "annotations": after})

    def seen(secret: Object) -> list[dict[str, str]]:
        fields = [secret["metadata"].get(field) or {} for field in ("labels", "annotations")]
        return [{name: field[name] for name in before | after if name in field} for field in fields]

    def assert_seen(expected: dict[str, str], what: str) -> None:
        wait_secret(sandbox, certificate, lambda secret: seen(secret) == [expected, expected])
        for field, values in zip(("labels", "annotations"), seen(secret_of(sandbox, certificate)), strict=True):
            assert values == expected, f"expected the {field} of the {what} secretTemplate on the Secret"

    assert_seen(after, "changed")
    certificate.change(secretTemplate=None)
    assert_seen({}, "removed")


def wait_secret(sandbox: Sandbox, certificate: Certificate, until: Callable[[Object], bool]) -> None:
    """Give the controller time to change the Secret of a Certificate; what it is then, the caller checks."""
    bound = sandbox.timeouts.bound(sandbox.timeouts.certificate)
    sandbox.cluster.wait(SECRETS, certificate.secret_name, certificate.namespace, until, timeout=bound)


@requirement("VI-CERTIFICATE-053")
@EITHER_KIND
def test_labels_of_the_template_are_enforced(sandbox: Sandbox, kind: str) -> None:
    wanted = {"changed": secrets.token_hex(4), "removed": secrets.token_hex(4)}
    template = {"labels": wanted, "annotations": wanted}
    certificate, _ = sandbox.issued_certificate(sandbox.ready_issuer(kind), secretTemplate=template)
    by_others = {"changed": secrets.token_hex(4), "removed": None}
    metadata = {"metadata": {"labels": by_others, "annotations": by_others}}
    sandbox.cluster.patch(SECRETS, certificate.secret_name, certificate.namespace, metadata)

    def seen(secret: Object) -> list[dict[str, str]]:
        fields = [secret["metadata"].get(field) or {} for field in ("labels", "annotations")]
        return [{name: field[name] for name in wanted if name in field} for field in fields]

    wait_secret(sandbox, certificate, lambda secret: seen(secret) == [wanted, wanted])
    for field, values in zip(("labels", "annotations"), seen(secret_of(sandbox, certificate)), strict=True):
        assert values == wanted, f"expected the {field} of secretTemplate after others changed them on the Secret"


@requirement("VI-CERTIFICATE-035")
@EITHER_KIND
def test_secret_contains_the_additional_formats(sandbox: Sandbox, kind: str) -> None:
    formats = [{"type": "CombinedPEM"}, {"type": "DER"}]
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), additionalOutputFormats=formats)
    assert_formats(sandbox, certificate, pair)
    certificate.change(dnsNames=[host()])
    again = certificate.wait_new_certificate(pair)
    certificate.wait_ready()
    assert_formats(sandbox, certificate, again)


def assert_formats(sandbox: Sandbox, certificate: Certificate, pair: KeyPair) -> None:
    """Check that the Secret contains its key and its certificates in the additional formats, too."""
    data = {name: base64.b64decode(value) for name, value in secret_of(sandbox, certificate)["data"].items()}
    combined = b"\n".join(part.strip() for part in (data["tls.key"], data["tls.crt"])).split()
    assert data.get("tls-combined.pem", b"").split() == combined, (
        "expected the key and the certificates in tls-combined.pem"
    )
    assert "key.der" in data, "expected the key in key.der, saw none"
    der = load_der_private_key(data["key.der"], None)
    assert key_to_pem(der) == key_to_pem(pair.key), "expected the key in key.der"  # type: ignore[arg-type]


@requirement("VI-CERTIFICATE-036")
@alternating(
    ("kind", "field", "value"),
    [
        ("Issuer", "commonName", "changed.example.test"),
        ("ClusterIssuer", "subject", {"organizations": ["Changed"]}),
        ("Issuer", "isCA", True),
        ("ClusterIssuer", "usages", ["digital signature", "client auth"]),
        ("Issuer", "duration", "20h"),
        ("ClusterIssuer", "ipAddresses", ["10.9.8.7"]),
        ("Issuer", "uris", ["spiffe://changed.example.test/x"]),
        ("ClusterIssuer", "emailAddresses", ["changed@example.test"]),
    ],
)
def test_certificate_is_reissued_after_a_change(sandbox: Sandbox, kind: str, field: str, value: Any) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), duration="30h")
    certificate.change(**{field: value})
    certificate.wait_new_certificate(pair)


@requirement("VI-CERTIFICATE-040")
@ONE_KIND
def test_certificate_is_reissued_after_it_gets_a_duration(sandbox: Sandbox, kind: str) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    certificate.change(duration="20h")
    certificate.wait_new_certificate(pair)


@requirement("VI-CERTIFICATE-038")
@EITHER_KIND
def test_long_names_with_a_common_start_are_kept_apart(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    start = f"certificate-{secrets.token_hex(118)}"
    hosts = [host() for _ in range(3)]
    certificates = [
        sandbox.certificate(issuer, name=f"{start}-{number}", secretName=f"tls-{secrets.token_hex(4)}", dnsNames=[name])
        for number, name in enumerate(hosts)
    ]
    for certificate, name in zip(certificates, hosts, strict=True):
        pair = certificate.wait_key_pair(lambda _: True, "a certificate")
        assert pair.fits, "expected a certificate that matches tls.key, saw one for another key"
        assert names_of(pair.leaf)["dns"] == [name], "expected the names of its own Certificate"


@requirement("VI-CERTIFICATE-039")
@ONE_KIND
def test_name_constraints_are_requested(sandbox: Sandbox, kind: str) -> None:
    constraints: dict[str, Any] = {
        "critical": True,
        "permitted": {
            "dnsDomains": ["example.test"],
            "ipRanges": ["10.0.0.0/8"],
            "emailAddresses": ["mail.example.test"],
            "uriDomains": ["uri.example.test"],
        },
        "excluded": {
            "dnsDomains": ["secret.example.test"],
            "ipRanges": ["10.9.0.0/16"],
            "emailAddresses": ["secret@mail.example.test"],
            "uriDomains": ["secret.uri.example.test"],
        },
    }
    _, csr = asked(sandbox, kind, isCA=True, nameConstraints=constraints)
    seen = extension(csr, x509.NameConstraints)
    assert seen.critical, "expected critical name constraints in the CSR, saw non-critical ones"
    for part, names in (("permitted", seen.value.permitted_subtrees), ("excluded", seen.value.excluded_subtrees)):
        expected = sorted(value for values in constraints[part].values() for value in values)
        found = sorted(str(name.value) for name in names or [])
        assert found == expected, f"expected the {part} names of the Certificate"


@requirement("VI-CERTIFICATE-052")
@EITHER_KIND
def test_secret_follows_changed_formats(sandbox: Sandbox, kind: str) -> None:
    certificate, _ = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    fields = {"CombinedPEM": "tls-combined.pem", "DER": "key.der"}
    for formats in (["CombinedPEM", "DER"], ["DER"], []):
        certificate.change(additionalOutputFormats=[{"type": name} for name in formats])
        expected = {fields[name] for name in formats}

        def present(secret: Object) -> set[str]:
            return {name for name, value in (secret.get("data") or {}).items() if value} & set(fields.values())

        wait_secret(sandbox, certificate, lambda secret, expected=expected: present(secret) == expected)  # type: ignore[misc]
        assert present(secret_of(sandbox, certificate)) == expected, f"expected the formats {formats} in the Secret"
        certificate.wait_ready()


# -- changes and deletions ----------------------------------------------------------------------------


@requirement("VI-CERTIFICATE-050")
@EITHER_KIND
def test_secret_outlives_its_certificate(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    certificate, before = sandbox.issued_certificate(issuer)
    owners = [owner["uid"] for owner in secret_of(sandbox, certificate)["metadata"].get("ownerReferences") or []]
    assert certificate.uid not in owners, "expected no owner reference to the Certificate on the Secret, saw one"
    certificate.delete()
    barrier(sandbox, issuer)
    assert_same(certificate, before)


@requirement("VI-CERTIFICATE-051")
@EITHER_KIND
def test_other_content_of_the_secret_stays(sandbox: Sandbox, kind: str) -> None:
    certificate, before = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    note = {"note": secrets.token_hex(4)}
    sandbox.set_secret(certificate.secret_name, certificate.namespace, note)
    metadata = {"metadata": {"labels": note, "annotations": note}}
    sandbox.cluster.patch(SECRETS, certificate.secret_name, certificate.namespace, metadata)
    certificate.change(dnsNames=[host()], secretTemplate={"labels": {"team": "a"}})
    certificate.wait_new_certificate(before)
    certificate.wait_ready()
    secret = secret_of(sandbox, certificate)
    fields = {what: secret["metadata"].get(what) for what in ("labels", "annotations")} | {"data": secret["data"]}
    for what, seen in fields.items():
        assert "note" in (seen or {}), f"expected the Secret to keep the {what} of others, saw them removed"


@requirement("VI-CERTIFICATE-071")
@EITHER_KIND
def test_existing_secret_of_another_type_is_used(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    namespace = issuer.namespace or sandbox.namespace
    name = sandbox.secret({"note": "Opaque"}, namespace=namespace, secret=False)
    certificate, pair = sandbox.issued_certificate(issuer, namespace=namespace, secretName=name)
    assert pair.fits, f"expected a certificate that matches tls.key in the existing Secret of {certificate}"


@requirement("VI-CERTIFICATE-054")
@EITHER_KIND
def test_change_without_consequence_does_not_reissue(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    defaults = kind == "Issuer" and issuer.resource.group == "cert-manager.io"
    ref = {"issuerRef": {"name": issuer.name}} if defaults else {}
    certificate, before = sandbox.issued_certificate(issuer, duration="10h", **ref)
    certificate.touch()
    labels = {"metadata": {"labels": {"changed": secrets.token_hex(4)}}}
    sandbox.cluster.patch(certificate.resource, certificate.name, certificate.namespace, labels)
    template = {"labels": {"team": secrets.token_hex(4)}}
    certificate.change(issuerRef=issuer.ref, renewBefore="2h", revisionHistoryLimit=3, secretTemplate=template)
    barrier(sandbox, issuer)
    assert_same(certificate, before)


@requirement("VI-CERTIFICATE-056")
@EITHER_KIND
def test_restored_certificate_is_not_reissued(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    certificate, before = sandbox.issued_certificate(issuer)
    spec = certificate.get()["spec"]
    certificate.delete()
    gone = sandbox.cluster.wait_gone(
        certificate.resource, certificate.name, certificate.namespace, timeout=sandbox.timeouts.deletion
    )
    assert gone, f"expected {certificate} to be gone after its deletion, saw it present"
    restored, _ = sandbox.issued_certificate(issuer, name=certificate.name, **spec)
    barrier(sandbox, issuer)
    assert_same(restored, before)


@requirement("VI-CERTIFICATE-057")
@EITHER_KIND
def test_certificates_with_the_same_secret_are_not_issued_in_a_loop(sandbox: Sandbox, kind: str) -> None:
    other, issuer = separate_issuer(sandbox, kind), sandbox.ready_issuer(kind)
    name = f"shared-{secrets.token_hex(4)}"
    sandbox.issued_certificate(issuer, secretName=name)
    sandbox.certificate(issuer, secretName=name)
    barrier(sandbox, other)
    # A controller may send the same request twice. Another issuance has a CSR of its own.
    asked = len({exchange.json.get("csr") for exchange in sandbox.proxy.seen(Route.SIGN)})
    assert asked <= 1 + CALM, (
        f"expected at most {1 + CALM} issuances of two Certificates with the same Secret, saw {asked}"
    )


@requirement("VI-CERTIFICATE-058")
@EITHER_KIND
def test_certificate_that_is_being_deleted_gets_no_request(sandbox: Sandbox, kind: str) -> None:
    # The barrier approves requests in its own namespace: that of the Certificate must wait.
    place, other = sandbox.other_namespace, separate_issuer(sandbox, kind)
    auth = sandbox.default_authentication(kind, namespace=place if kind == "Issuer" else None)
    issuer = sandbox.ready_issuer(kind, auth, namespace=place)
    certificate = sandbox.certificate(issuer, approve=False, namespace=place)
    certificate.wait_request()
    where = certificate.resource, certificate.name, certificate.namespace
    sandbox.cluster.patch(*where, {"metadata": {"finalizers": ["example.test/hold"]}})
    try:
        certificate.delete()
        barrier(sandbox, other)
        for request in certificate.requests():  # as the garbage collector does before it deletes their owner
            request_of(sandbox, request).delete()
        barrier(sandbox, other)
        made = len(certificate.requests())
        assert not made, f"expected no CertificateRequest for a Certificate that is being deleted, saw {made}"
    finally:
        sandbox.cluster.patch(*where, {"metadata": {"finalizers": None}})


@requirement("VI-CERTIFICATE-059")
@pytest.mark.usefixtures("suite_approves")
@EITHER_KIND
def test_change_during_an_issuance_is_respected(sandbox: Sandbox, kind: str) -> None:
    certificate = sandbox.certificate(sandbox.ready_issuer(kind), approve=False)
    certificate.wait_request()
    name = host()
    certificate.change(dnsNames=[name])
    sandbox.approve_certificates(certificate.namespace)
    certificate.wait_ready()
    pair = certificate.key_pair()
    assert pair is not None, "expected the Secret of a Ready Certificate, saw none"
    assert names_of(pair.leaf)["dns"] == [name], "expected the names that were set while the first request waited"


@requirement("VI-CERTIFICATE-060")
@EITHER_KIND
def test_addresses_in_another_spelling_are_not_requested_in_a_loop(sandbox: Sandbox, kind: str) -> None:
    other = separate_issuer(sandbox, kind)
    # No address that is mapped from IPv4: a Vault that was built with Go 1.27 refuses a CSR that contains one.
    sandbox.issued_certificate(sandbox.ready_issuer(kind), ipAddresses=["2001:DB8:0:0:0:0:0:7", "2001:db8::10.1.2.3"])
    barrier(sandbox, other)
    asked = len({exchange.json.get("csr") for exchange in sandbox.proxy.seen(Route.SIGN)})
    assert asked == 1, f"expected one issuance, saw {asked}"


@requirement("VI-CERTIFICATE-061")
@alternating(
    ("kind", "changed"),
    [("Issuer", {"algorithm": "RSA"}), ("ClusterIssuer", {"algorithm": "ECDSA", "size": 384})],
)
def test_certificate_is_reissued_after_its_kind_of_key_changes(
    sandbox: Sandbox, kind: str, changed: dict[str, Any]
) -> None:
    certificate, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    certificate.change(privateKey={"rotationPolicy": "Always"} | changed)
    again = certificate.wait_new_certificate(pair)
    seen = (type(again.key).__name__[:3].lower(), again.key.key_size)  # type: ignore[union-attr]
    assert seen == (("rsa", 2048) if changed["algorithm"] == "RSA" else ("ecp", 384)), (
        f"expected a key as privateKey specifies it now, saw {seen}"
    )
    assert again.fits, "expected a certificate that matches tls.key, saw one for another key"


@requirement("VI-CERTIFICATE-062")
@alternating(
    ("kind", "before", "after"),
    [
        ("Issuer", {}, {"otherNames": [{"oid": PRINCIPAL, "utf8Value": "changed@example.test"}]}),
        ("ClusterIssuer", {"literalSubject": "CN=one,O=Corp."}, {"literalSubject": "O=Corp.,CN=one"}),
    ],
)
def test_certificate_is_reissued_after_a_rarer_change(
    sandbox: Sandbox, kind: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    issuer = sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role={"allowed_other_sans": "*"}))
    certificate, pair = sandbox.issued_certificate(issuer, **before)
    certificate.change(**after)
    certificate.wait_new_certificate(pair)


@requirement("VI-CERTIFICATE-063")
@EITHER_KIND
def test_disabled_renewal_does_not_renew(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    # Due about three seconds after the issuance, as in the test of the renewal.
    due = {"duration": "1h", "renewBefore": "59m57s"}
    certificate, before = sandbox.issued_certificate(issuer, renewal={"policy": "Disabled"}, **due)
    if not certificate.get()["spec"].get("renewal"):
        raise NotRunnable("the Certificate API has no field renewal", hint="cert-manager has it since 1.21")
    later, pair = sandbox.issued_certificate(issuer, **due)
    later.wait_new_certificate(pair)
    assert_same(certificate, before)


@requirement("VI-CERTIFICATE-066")
@EITHER_KIND
def test_issuance_has_one_request(sandbox: Sandbox, kind: str) -> None:
    other = separate_issuer(sandbox, kind)
    certificate, _ = refused(sandbox, kind)  # the next attempt is some time later
    barrier(sandbox, other)
    created = len(certificate.requests())
    assert created <= 1, f"expected one CertificateRequest of a failed issuance, saw {created}"


@requirement("VI-CERTIFICATE-067")
@EITHER_KIND
def test_certificate_with_many_names_is_issued(sandbox: Sandbox, kind: str) -> None:
    names = [f"{number}.{'n' * 40}.{host()}" for number in range(150)]
    _, pair = sandbox.issued_certificate(sandbox.ready_issuer(kind), dnsNames=names)
    seen = set(names_of(pair.leaf)["dns"])
    assert seen >= set(names), f"expected all of {len(names)} names in the certificate, saw {len(seen)}"


@requirement("VI-CERTIFICATE-068")
@ONE_KIND
def test_key_usage_without_a_usage_is_left_out(sandbox: Sandbox, kind: str) -> None:
    _, csr = asked(sandbox, kind, usages=["server auth"])
    empty = [entry for entry in csr.extensions if isinstance(entry.value, x509.KeyUsage) and not any_usage(entry.value)]
    assert not empty, "expected no key usage extension without a usage in the CSR, saw one"


def any_usage(usage: x509.KeyUsage) -> bool:
    """Whether an extension lists at least one usage."""
    return any(
        (
            usage.digital_signature,
            usage.content_commitment,
            usage.key_encipherment,
            usage.data_encipherment,
            usage.key_agreement,
            usage.key_cert_sign,
            usage.crl_sign,
        )
    )


@requirement("VI-CERTIFICATE-072")
@EITHER_KIND
def test_changed_certificate_is_not_reissued_in_a_loop(sandbox: Sandbox, kind: str) -> None:
    other = separate_issuer(sandbox, kind)
    certificate, _, _ = reissued_by_another(sandbox, kind)
    certificate.change(dnsNames=[host(), host()])
    certificate.wait_ready()
    barrier(sandbox, other)
    # A controller may send the same request twice. Another issuance has a CSR of its own.
    asked = len({exchange.json.get("csr") for exchange in sandbox.proxy.seen(Route.SIGN)})
    assert asked <= 2 + CALM, f"expected at most {2 + CALM} issuances of a Certificate that changed twice, saw {asked}"


def der(key: Any) -> bytes:
    """Return a public key, to compare it with that of a key pair."""
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


@requirement("VI-CERTIFICATE-073")
@EITHER_KIND
def test_key_of_a_foreign_secret_is_not_used(sandbox: Sandbox, kind: str) -> None:
    certificate, before = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    key = new_key()
    foreign = sandbox.secret({"tls.key": key_to_pem(key)}, namespace=certificate.namespace)
    named = {"nextPrivateKeySecretName": foreign}
    where = certificate.resource, certificate.name, certificate.namespace
    requested_for: set[bytes] = set()

    def renewed() -> KeyPair | None:
        """Name the foreign Secret again as soon as the controller names its own; return the renewed key pair."""
        for request in certificate.requests():
            csr = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
            requested_for.add(der(csr.public_key()))
        if certificate.get()["status"].get("nextPrivateKeySecretName") != foreign:
            sandbox.cluster.patch(*where, {"status": named}, subresource="status")
        pair = certificate.key_pair()
        return pair if pair and pair.leaf != before.leaf else None

    certificate.renew(**named)
    # A controller may not issue while the field changes: it has until then to use the wrong key.
    poll(renewed, timeout=sandbox.timeouts.issuer / 4, interval=0.05)
    assert der(key.public_key()) not in requested_for, (
        "expected no CertificateRequest for the key in a Secret that the controller did not create, saw one"
    )
    pair = certificate.key_pair()
    assert pair is not None, "expected the Secret to stay, saw it removed"
    assert pair.public_key != der(key.public_key()), (
        "expected no key of a Secret that the controller did not create in the Secret of the Certificate, saw one"
    )


@requirement("VI-CERTIFICATE-074")
@EITHER_KIND
def test_certificate_is_not_reissued_without_its_request(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    certificate, before = sandbox.issued_certificate(issuer)
    for request in certificate.requests():
        request_of(sandbox, request).delete()
    certificate.touch()
    barrier(sandbox, issuer)
    assert_same(certificate, before)


@requirement("VI-CERTIFICATE-075")
@EITHER_KIND
def test_unreadable_address_is_not_left_out(sandbox: Sandbox, kind: str) -> None:
    issuer, other = sandbox.ready_issuer(kind), separate_issuer(sandbox, kind)
    try:
        certificate = sandbox.certificate(issuer, ipAddresses=["10.0.0.300"])
    except ApiError as error:
        if error.code not in REFUSED and not error.denied_by_webhook:
            raise
        return  # a rejection by the API server is enough
    barrier(sandbox, other)
    assert certificate.key_pair() is None, (
        "expected no certificate for a Certificate with the IP address 10.0.0.300, saw one"
    )


@requirement("VI-CERTIFICATE-076")
@EITHER_KIND
def test_repeated_names_are_not_requested_in_a_loop(sandbox: Sandbox, kind: str) -> None:
    issuer, other = sandbox.ready_issuer(kind), separate_issuer(sandbox, kind)
    try:
        certificate = sandbox.certificate(issuer, dnsNames=[host()] * 2)
    except ApiError as error:
        if error.code not in REFUSED and not error.denied_by_webhook:
            raise
        return  # a rejection by the API server is enough
    with contextlib.suppress(Unmet):  # a controller may refuse such names
        certificate.wait_ready()
    barrier(sandbox, other)
    # A controller may send the same request twice. Another issuance has a CSR of its own.
    asked = len({exchange.json.get("csr") for exchange in sandbox.proxy.seen(Route.SIGN)})
    assert asked <= CALM, f"expected at most {CALM} issuances of a Certificate with a repeated name, saw {asked}"


@requirement("VI-CERTIFICATE-077")
@EITHER_KIND
def test_certificate_is_not_reissued_when_its_issuer_changes(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    issuer = sandbox.ready_issuer(kind, auth)
    certificate, before = sandbox.issued_certificate(issuer)
    if auth.secret_name:
        sandbox.set_secret(auth.secret_name, auth.namespace, {"note": secrets.token_hex(4)})
    issuer.touch()
    if sandbox.environment.has_bundle:
        more = bundle(Authority().pem, sandbox.authority.pem)
        issuer.change(lambda vault: vault.update(caBundle=more))
    issuer.wait_ready()
    barrier(sandbox, issuer)
    assert_same(certificate, before)


@requirement("VI-CERTIFICATE-078")
@ONE_KIND
def test_names_are_critical_without_a_subject(sandbox: Sandbox, kind: str) -> None:
    _, csr = asked(sandbox, kind)
    if list(csr.subject):
        return  # a controller may derive a common name
    assert extension(csr, x509.SubjectAlternativeName).critical, (
        "expected a critical subject alternative name extension in a CSR without a subject, saw a non-critical one"
    )


@requirement("VI-CERTIFICATE-079")
@ONE_KIND
def test_country_is_a_printable_string(sandbox: Sandbox, kind: str) -> None:
    _, csr = asked(sandbox, kind, subject={"countries": ["AQ"]}, commonName=host())
    printable, length = b"\x13", b"\x02"
    assert printable + length + b"AQ" in csr.subject.public_bytes(), (
        "expected countryName as a PrintableString in the CSR, saw another type"
    )
