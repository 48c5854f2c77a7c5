"""Sign requests to Vault, and the use of Vault's responses."""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from pytest_vault_issuer import (
    Authority,
    CertificateRequest,
    EmptyResponse,
    Exchange,
    Fault,
    Respond,
    Route,
    Sandbox,
    SigningRequest,
    Tamper,
    add_to_chain,
    common_name_of,
    drop_chain,
    duplicate_chain,
    generate_key,
    names_of,
    reorder_chain,
    requirement,
    set_data,
)

from .helpers import alternating, settle, wait_final
from .issued import (
    SHAPES,
    assert_ca_of_chain,
    assert_chain,
    assert_lifetime,
    assert_pem,
    chain_pki,
    drop_issuers,
    expire,
    for_another_key,
    is_self_signed,
    signed_certificate,
    subjects,
    without_roots,
)


def host() -> str:
    return f"{secrets.token_hex(4)}.example.test"


def new_signing(key_type: str = "ecdsa-256") -> SigningRequest:
    name = host()
    return SigningRequest.build(name, dns=[name], key_type=key_type)


def for_key_of(signing: SigningRequest) -> Callable[[Exchange], bool]:
    return lambda exchange: signing.is_for_same_key(exchange.json.get("csr"))


# -- sign requests -------------------------------------------------------------------


@requirement("VI-SIGN-001")
def test_only_the_configured_path_is_called(sandbox: Sandbox, kind: str) -> None:
    pki = sandbox.vault.pki(mount=f"pki-{secrets.token_hex(4)}/team/{secrets.token_hex(2)}")
    # The policy allows the whole mount, so that another endpoint would work too.
    auth = sandbox.default_authentication(kind, policy=sandbox.vault.policy(f"{pki.mount}/*"))
    issuer = sandbox.ready_issuer(kind, auth, pki=pki)
    sandbox.issued(issuer)
    # A controller may leave the request of an authority alone, but not send it elsewhere.
    authority = sandbox.request(issuer, isCA=True)
    sandbox.barrier(issuer)
    settle(authority)
    writes = ("POST", "PUT", "PATCH")  # reading a role, a CA or the path itself signs nothing
    calls = [
        (exchange.method.replace("PUT", "POST"), exchange.path)
        for exchange in sandbox.proxy.seen()
        if exchange.route not in (Route.HEALTH, Route.LOGIN)
        and not exchange.path.startswith(("/v1/auth/", "/v1/sys/"))
        and exchange.method in writes
    ]
    assert len(calls) >= 2, f"expected a sign request for each of two CertificateRequests, saw {calls}"
    assert set(calls) == {("POST", f"/v1/{pki.sign_path}")}, f"expected only POST or PUT /v1/{pki.sign_path}"


@requirement("VI-SIGN-002")
def test_csr_is_sent_unchanged(sandbox: Sandbox, kind: str) -> None:
    key = generate_key("ecdsa-256")
    name = host()
    subject = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "AQ"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Größe {secrets.token_hex(4)}"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, secrets.token_hex(4)),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    names = [x509.DNSName(name), x509.RFC822Name(f"{secrets.token_hex(4)}@example.test")]
    unusual = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1.2"), b"\x04\x02\x13\x37")
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(subject))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(unusual, critical=False)
        .add_attribute(x509.ObjectIdentifier("1.2.840.113549.1.9.7"), b"challenge")
        .sign(key, hashes.SHA384())
    )
    signing = SigningRequest(csr.public_bytes(serialization.Encoding.PEM).decode(), key)
    request = sandbox.issued(sandbox.ready_issuer(kind), signing)
    sent = [exchange.json["csr"] for exchange in sandbox.signings(request)]
    assert sent, "expected a sign request to Vault, saw none"
    assert der(sent[-1]) == der(signing.pem), "expected the unchanged CSR in `csr`"


def der(pem: str) -> bytes:
    """Return the bytes of a PEM block, regardless of its whitespace and line lengths."""
    body = re.search(r"-----BEGIN [A-Z ]+-----(.*?)-----END", pem, re.DOTALL)
    return base64.b64decode("".join(body[1].split())) if body else b""


@requirement("VI-SIGN-005")
def test_common_name_is_sent_and_optional(sandbox: Sandbox, kind: str) -> None:
    pki = sandbox.vault.pki(role={"use_csr_common_name": False})
    issuer = sandbox.ready_issuer(kind, pki=pki)
    name = host()
    named = sandbox.request(issuer, SigningRequest.build(name, dns=[host()]))
    nameless = sandbox.request(issuer, SigningRequest.build(dns=[host()]))
    named.wait_issued()
    nameless.wait_issued()
    assert common_name_of(named.certificate()) == name, "expected the common name of the CSR"
    unexpected = common_name_of(nameless.certificate())
    assert not unexpected, f"expected no common name, as in the CSR, saw {unexpected!r}"


@requirement("VI-SIGN-006")
def test_dns_names_are_sent(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role={"use_csr_sans": False}))
    names = [host(), f"*.{host()}", host(), secrets.token_hex(3), f"a.b.c.{host()}"]
    request = sandbox.issued(issuer, SigningRequest.build(names[0], dns=names))
    seen = names_of(request.certificate())["dns"]
    assert sorted(seen) == sorted(names), "expected the DNS names of the CSR"


@requirement("VI-SIGN-007")
def test_ip_addresses_are_sent(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role={"use_csr_sans": False}))
    four = [f"10.{secrets.randbelow(250)}.3.{last}" for last in (1, 2)]
    six = ["::1", f"2001:db8:{secrets.randbelow(0xFFFF):x}::7"]
    request = sandbox.issued(issuer, SigningRequest.build(dns=[host()], ips=[*four, *six]))
    seen = {ipaddress.ip_address(ip) for ip in names_of(request.certificate())["ips"]}
    assert seen == {ipaddress.ip_address(ip) for ip in (*four, *six)}, "expected the IP addresses of the CSR"


@requirement("VI-SIGN-008")
def test_uris_are_sent(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role={"use_csr_sans": False}))
    uris = [f"spiffe://{host()}/ns/default/sa/{secrets.token_hex(3)}", f"https://{host()}/a?b=c", f"urn:x:{host()}"]
    request = sandbox.issued(issuer, SigningRequest.build(dns=[host()], uris=uris))
    seen = names_of(request.certificate())["uris"]
    assert sorted(seen) == sorted(uris), "expected the URIs of the CSR"


@requirement("VI-SIGN-009")
def test_common_name_is_not_added_to_alternative_names(sandbox: Sandbox, kind: str) -> None:
    name, address = host(), f"10.{secrets.randbelow(250)}.5.1"
    issuer = sandbox.ready_issuer(kind)
    requests = [
        (sandbox.request(issuer, SigningRequest.build(host(), dns=[name])), [name]),
        (sandbox.request(issuer, SigningRequest.build(host(), ips=[address])), []),
        (sandbox.request(issuer, SigningRequest.build(host())), []),
    ]
    for request, names in requests:
        request.wait_issued()
        seen = names_of(request.certificate())["dns"]
        assert seen == names, "expected only the DNS names of the CSR, without its common name"


@requirement("VI-SIGN-010")
def test_duration_is_requested(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    hours, minutes = 100 + secrets.randbelow(100), 1 + secrets.randbelow(59)
    durations = {
        "10m": timedelta(minutes=10),
        "90m": timedelta(minutes=90),
        "1.5h": timedelta(minutes=90),
        "36h": timedelta(hours=36),
        f"{hours}h{minutes}m": timedelta(hours=hours, minutes=minutes),
        f"{30 * hours}h0m0s": timedelta(hours=30 * hours),
    }
    requests = {text: sandbox.request(issuer, duration=text) for text in durations}
    for text, request in requests.items():
        request.wait_issued()
        assert_lifetime(request.certificate(), durations[text])


@requirement("VI-SIGN-011")
def test_duration_defaults_to_ninety_days(sandbox: Sandbox, kind: str) -> None:
    request = sandbox.issued(sandbox.ready_issuer(kind), duration=None)
    assert_lifetime(request.certificate(), timedelta(days=90))


# -- the certificate ------------------------------------------------------------------


def assert_certificate_first(sandbox: Sandbox, request: CertificateRequest) -> None:
    request.wait_issued()
    leaf = request.certificate()
    assert request.signing.matches(leaf), "expected the first certificate to match the CSR, saw one for another key"
    assert leaf == signed_certificate(sandbox, request), "expected the certificate that Vault signed first"


@requirement("VI-SIGN-003")
def test_certificate_for_rsa_and_ecdsa_keys_comes_first(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    requests = [sandbox.request(issuer, new_signing(key_type)) for key_type in ("rsa-2048", "ecdsa-256", "ecdsa-384")]
    for request in requests:
        assert_certificate_first(sandbox, request)


@requirement("VI-SIGN-003")
@alternating(("kind",), [("Issuer",)])
def test_certificate_for_a_large_rsa_key_comes_first(sandbox: Sandbox, kind: str) -> None:
    request = sandbox.request(sandbox.ready_issuer(kind), new_signing("rsa-4096"))
    assert_certificate_first(sandbox, request)


@requirement("VI-SIGN-004")
def test_certificate_for_an_ed25519_key_comes_first(sandbox: Sandbox, kind: str) -> None:
    request = sandbox.request(sandbox.ready_issuer(kind), new_signing("ed25519"))
    assert_certificate_first(sandbox, request)


# -- the chain --------------------------------------------------------------------------


@requirement("VI-SIGN-012")
@SHAPES
def test_chain_is_in_order(sandbox: Sandbox, kind: str, authorities: int, root_known: bool) -> None:
    pki = chain_pki(sandbox, authorities, root_known=root_known)
    request = sandbox.issued(sandbox.ready_issuer(kind, pki=pki))
    above = pki.issuing.chain if root_known else [pki.issuing]
    intermediates = without_roots([authority.certificate for authority in above])
    expected = [signed_certificate(sandbox, request), *intermediates]
    # Another requirement covers a root at the end.
    assert_chain(without_roots(request.certificates()), expected, "status.certificate")
    assert not any(map(is_self_signed, request.certificates()[: len(expected)])), (
        "expected a self-signed root only at the end, saw one before"
    )


@requirement("VI-SIGN-021")
@alternating(("kind", "authorities"), [("Issuer", 1), ("ClusterIssuer", 3)])
def test_certificates_are_on_lines_of_their_own(sandbox: Sandbox, kind: str, authorities: int) -> None:
    request = sandbox.issued(sandbox.ready_issuer(kind, pki=chain_pki(sandbox, authorities)))
    status = request.get()["status"]
    assert_pem(status["certificate"], "status.certificate")
    assert_pem(status.get("ca") or "", "status.ca")


@requirement("VI-SIGN-013")
@SHAPES
def test_status_ca_is_the_topmost_certificate(sandbox: Sandbox, kind: str, authorities: int, root_known: bool) -> None:
    pki = chain_pki(sandbox, authorities, root_known=root_known)
    request = sandbox.issued(sandbox.ready_issuer(kind, pki=pki))
    topmost = pki.issuing.anchor if root_known else pki.issuing
    assert_chain(request.ca(), [topmost.certificate], "status.ca")


@requirement("VI-SIGN-020")
@alternating(("kind", "authorities"), [("Issuer", 1), ("ClusterIssuer", 3)])
def test_root_is_left_out(sandbox: Sandbox, kind: str, authorities: int) -> None:
    request = sandbox.issued(sandbox.ready_issuer(kind, pki=chain_pki(sandbox, authorities)))
    roots = list(filter(is_self_signed, request.certificates()))
    assert not roots, f"expected no self-signed root in status.certificate, saw {subjects(roots)}"


def leaf_into_chain() -> Tamper:
    """Also send the leaf in the middle of ``ca_chain``."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        data = answer.get("data") or {}
        if "certificate" in data:
            data["ca_chain"].insert(1, data["certificate"])
        return answer

    return Tamper(change, "leaf into chain")


@requirement("VI-SIGN-014")
def test_chain_does_not_depend_on_order_and_repetition(sandbox: Sandbox, kind: str) -> None:
    pki = chain_pki(sandbox, 4)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    plain = sandbox.issued(issuer)
    intermediates = without_roots([authority.certificate for authority in pki.issuing.chain])
    assert without_roots(plain.certificates())[1:] == intermediates, "expected the complete chain in order"
    cases = []
    orders = [(3, 2, 1, 0), (2, 0, 3, 1), (0, 2, 1, 3), (3, 0, 1, 2)]
    for fault in [*map(reorder_chain, orders), duplicate_chain(), leaf_into_chain()]:
        signing = new_signing()
        sandbox.proxy.inject(Route.SIGN, fault, where=for_key_of(signing))
        cases.append((fault, sandbox.request(issuer, signing)))
    for fault, request in cases:
        request.wait_issued()
        expected = [signed_certificate(sandbox, request), *plain.certificates()[1:]]
        assert_chain(request.certificates(), expected, f"status.certificate ({fault.name})")
        assert_chain(request.ca(), plain.ca(), f"status.ca ({fault.name})")


@requirement("VI-SIGN-015")
@alternating(("kind", "authorities"), [("Issuer", 2), ("ClusterIssuer", 1)])
def test_missing_chain_falls_back_to_issuing_ca(sandbox: Sandbox, kind: str, authorities: int) -> None:
    pki = chain_pki(sandbox, authorities)
    sandbox.proxy.inject(Route.SIGN, drop_chain())
    request = sandbox.issued(sandbox.ready_issuer(kind, pki=pki))
    issuing = pki.issuing.certificate
    expected = [signed_certificate(sandbox, request), *without_roots([issuing])]
    assert_chain(without_roots(request.certificates()), expected, "status.certificate")
    assert_ca_of_chain(request, [issuing])


@requirement("VI-SIGN-015")
def test_missing_chain_and_issuing_ca_fall_back_to_the_leaf(sandbox: Sandbox, kind: str) -> None:
    sandbox.proxy.inject(Route.SIGN, drop_issuers())
    request = sandbox.issued(sandbox.ready_issuer(kind))
    assert_chain(request.certificates(), [signed_certificate(sandbox, request)], "status.certificate")
    assert_ca_of_chain(request, [])


@requirement("VI-SIGN-016")
@alternating(("kind", "same_name"), [("Issuer", True), ("ClusterIssuer", False)])
def test_certificates_outside_the_chain_are_left_out(sandbox: Sandbox, kind: str, same_name: bool) -> None:
    pki = chain_pki(sandbox, 2)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    subject = common_name_of(pki.issuing.certificate) if same_name else None
    foreign = Authority.root(subject)
    injection = sandbox.proxy.inject(Route.SIGN, add_to_chain(foreign.pem), times=1)
    request = sandbox.request(issuer)
    # A controller may reject the response, permanently or until a retry, or pick the certificates of the leaf's chain.
    injection.wait(sandbox.timeouts.wire)
    wait_final(request)
    assert foreign.certificate not in request.certificates(), "expected no foreign CA in status.certificate, saw it"
    assert foreign.certificate not in request.ca(), "expected no foreign CA in status.ca, saw it"


# -- responses without a usable certificate ------------------------------------------------


def assert_never_issued_wrongly(sandbox: Sandbox, faults: list[tuple[Fault, int]], kind: str) -> None:
    """Check that each request fails because of its fault, or is signed correctly after the fault ends.

    A correct controller fails such a request or retries it, and then gets Vault's own response.
    """
    issuer = sandbox.ready_issuer(kind)
    cases = []
    for fault, times in faults:
        signing = new_signing()
        injection = sandbox.proxy.inject(Route.SIGN, fault, times=times, where=for_key_of(signing))
        cases.append((fault, injection, sandbox.request(issuer, signing)))
    for fault, injection, request in cases:
        item = wait_final(request, timeout=sandbox.timeouts.retry)
        assert injection.hits, f"expected a sign request to Vault ({fault.name}), saw none"
        certificates = request.certificates()
        if request.condition().get("status") == "True":
            assert injection.exhausted, (
                f"expected no issued CertificateRequest after the response {fault.name}, saw Ready=True"
            )
            assert certificates, f"expected a certificate with Ready=True ({fault.name}), saw none"
            assert request.signing.matches(certificates[0]), (
                f"expected Vault's certificate for the requested key ({fault.name}), saw another"
            )
        else:
            assert not item.get("status", {}).get("certificate"), (
                f"expected no certificate in a failed CertificateRequest ({fault.name}), saw one"
            )


@requirement("VI-SIGN-017")
def test_response_without_certificate_is_not_issued(sandbox: Sandbox, kind: str) -> None:
    garbage = "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----"
    html = "<!DOCTYPE html><html><body>Sign in to continue</body></html>"
    faults: list[Fault] = [
        Respond(200, json={}),
        Respond(200, json={"data": {}}),
        Respond(200, json={"data": {"certificate": "", "ca_chain": [], "issuing_ca": ""}}),
        Respond(200, json={"data": {"certificate": garbage}}),
        Respond(200, body=html, content_type="text/html"),
        set_data("certificate", garbage),
        EmptyResponse(204),
        Respond(404, json={"errors": []}),  # Vault's response if there is nothing at a path
    ]
    assert_never_issued_wrongly(sandbox, [(fault, 1) for fault in faults], kind)


@requirement("VI-SIGN-017")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_server_error_is_not_issued(sandbox: Sandbox, kind: str) -> None:
    html = "<html><body><h1>Bad gateway</h1></body></html>"
    faults: list[Fault] = [
        Respond(500, json={"errors": ["internal error"]}),
        Respond(503, json={"errors": ["Vault is sealed"]}),
        Respond(502, body=html, content_type="text/html"),
    ]
    # Vault's client library tries three times: with three errors, its users see one too.
    assert_never_issued_wrongly(sandbox, [(fault, 3) for fault in faults], kind)


def tampered(sandbox: Sandbox, kind: str, fault: Fault) -> CertificateRequest:
    """Tamper with one response, and return its request after the controller had time to issue or fail it."""
    issuer = sandbox.ready_issuer(kind)
    injection = sandbox.proxy.inject(Route.SIGN, fault, times=1)
    request = sandbox.request(issuer)
    injection.wait(sandbox.timeouts.wire)
    wait_final(request)
    return request


@requirement("VI-SIGN-018")
def test_certificate_for_another_key_is_not_issued(sandbox: Sandbox, kind: str) -> None:
    request = tampered(sandbox, kind, for_another_key(sandbox.pki))
    for leaf in request.certificates()[:1]:
        assert request.signing.matches(leaf), "expected no issued certificate for another key, saw one"


@requirement("VI-SIGN-018")
def test_ca_certificate_is_not_issued_as_the_missing_leaf(sandbox: Sandbox, kind: str) -> None:
    request = tampered(sandbox, kind, set_data("certificate", ""))
    for leaf in request.certificates()[:1]:
        assert request.signing.matches(leaf), "expected no issued CA certificate, saw one"


@requirement("VI-SIGN-019")
def test_expired_certificate_is_not_issued(sandbox: Sandbox, kind: str) -> None:
    for leaf in tampered(sandbox, kind, expire(sandbox.pki)).certificates()[:1]:
        expiry = leaf.not_valid_after_utc
        assert expiry > datetime.now(UTC), "expected no expired certificate, saw one"
