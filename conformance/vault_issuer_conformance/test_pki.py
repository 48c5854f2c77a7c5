"""Roles, issuers and mounts of Vault's PKI engine: certificates and their chains."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from pytest_vault_issuer import (
    Authority,
    CertificateRequest,
    Issuer,
    Pki,
    RefusedError,
    Route,
    Sandbox,
    SigningRequest,
    Tamper,
    UnsupportedError,
    at_barrier,
    condition,
    requirement,
    to_pem,
)

from .helpers import LOGINS, alternating, each_feature, wait_final
from .issued import (
    assert_ca_of_chain,
    assert_chain,
    assert_lifetime,
    barrier,
    chain_pki,
    separate_issuer,
    signed_certificate,
    without_roots,
)

#: Extensions that a role can add.
USAGES = {
    "key_usage": ["DigitalSignature", "ContentCommitment", "KeyAgreement"],
    "ext_key_usage": ["TimeStamping"],
    "ext_key_usage_oids": ["1.3.6.1.4.1.55555.1.3"],
    "client_flag": True,
    "server_flag": False,
    "code_signing_flag": True,
    "email_protection_flag": True,
    "basic_constraints_valid_for_non_ca": True,
    "policy_identifiers": ["1.3.6.1.4.1.55555.1.4"],
}
NO_USAGES = {"key_usage": [], "ext_key_usage": [], "client_flag": False, "server_flag": False}
SUBJECT = {
    "country": "AQ",
    "locality": "McMurdo",
    "organization": "Größe",
    "ou": ["one", "two"],
    "postal_code": "96598",
    "province": "Ross",
    "street_address": "1 Main Street",
}


def whole_mount(sandbox: Sandbox, kind: str, pki: Pki, path: str | None = None) -> Issuer:
    """Return an issuer object that may use every path of a mount, not yet Ready.

    :raises RefusedError: if the API server refuses the path.
    """
    auth = sandbox.default_authentication(kind, policy=sandbox.vault.policy(f"{pki.mount}/*"))
    return sandbox.issuer(kind, auth, path=path or pki.sign_path)


def ready_at(sandbox: Sandbox, kind: str, pki: Pki, path: str) -> Issuer | None:
    """Return a Ready issuer object with a path that a controller may refuse; None if it refuses the path."""
    try:
        issuer = whole_mount(sandbox, kind, pki, path)
    except RefusedError:
        return None  # a rejection by the API server is enough
    with at_barrier():
        sandbox.ready_issuer(kind)
    return issuer if issuer.wait_answer() == "True" else None


def assert_signed_by(sandbox: Sandbox, request: CertificateRequest, authority: Authority) -> None:
    """Check that an authority signed a request, and that its chain and no other is in the status."""
    leaf = request.certificate()
    assert leaf == signed_certificate(sandbox, request), "expected the certificate that Vault signed first"
    assert leaf.issuer == authority.certificate.subject, (
        f"expected a certificate of {authority.name}, saw one of {leaf.issuer.rfc4514_string()}"
    )
    above = [member.certificate for member in authority.chain]
    assert_chain(without_roots(request.certificates()), [leaf, *without_roots(above)], "status.certificate")
    assert_ca_of_chain(request, above)


# -- issuers ---------------------------------------------------------------------------------------


def with_issuer_in_the_path(sandbox: Sandbox, kind: str) -> tuple[Issuer, Authority]:
    """Return a Ready issuer object whose path names another issuer than the default one of its mount, and that one."""
    pki, other = sandbox.vault.pki(), Authority.root().intermediate()
    sandbox.vault.import_authorities(pki, *other.chain, key=other)
    reference = sandbox.vault.pki_issuer(pki.mount, other)
    issuer = whole_mount(sandbox, kind, pki, f"{pki.mount}/issuer/{reference}/sign/{pki.role}")
    issuer.wait_ready()
    return issuer, other


@requirement("VI-PKI-001")
def test_issuer_in_the_path_signs(sandbox: Sandbox, kind: str) -> None:
    issuer, other = with_issuer_in_the_path(sandbox, kind)
    leaf = sandbox.issued(issuer).certificate()
    assert leaf.issuer == other.certificate.subject, "expected a certificate of the issuer in the path"


@requirement("VI-PKI-002")
def test_chain_is_that_of_the_issuer_in_the_path(sandbox: Sandbox, kind: str) -> None:
    issuer, other = with_issuer_in_the_path(sandbox, kind)
    assert_signed_by(sandbox, sandbox.issued(issuer), other)


@requirement("VI-PKI-002")
def test_chain_follows_a_changed_issuer(sandbox: Sandbox, kind: str) -> None:
    pki, other = sandbox.vault.pki(), Authority.root().intermediate()
    issuer = sandbox.ready_issuer(kind, pki=pki)
    assert_signed_by(sandbox, sandbox.issued(issuer), pki.issuing)
    sandbox.vault.import_authorities(pki, *other.chain, key=other)
    sandbox.vault.set_default_issuer(pki.mount, other)
    assert_signed_by(sandbox, sandbox.issued(issuer), other)
    sandbox.vault.set_pki_role(pki, issuer_ref=sandbox.vault.pki_issuer(pki.mount, pki.issuing))
    assert_signed_by(sandbox, sandbox.issued(issuer), pki.issuing)


@requirement("VI-PKI-003")
def test_sign_verbatim_keeps_the_subject(sandbox: Sandbox, kind: str) -> None:
    pki = sandbox.vault.pki()
    issuer = ready_at(sandbox, kind, pki, f"{pki.mount}/sign-verbatim/{pki.role}")
    if issuer is None:
        return  # the requirement allows a controller to refuse the path
    name = f"{secrets.token_hex(4)}.example.test"
    signing = SigningRequest.build(name, dns=[name], organization=f"Größe {secrets.token_hex(4)}")
    request = sandbox.issued(issuer, signing)
    assert_signed_by(sandbox, request, pki.issuing)
    expected = x509.load_pem_x509_csr(signing.pem.encode()).subject
    assert request.certificate().subject == expected, "expected the subject of the CSR"


@requirement("VI-PKI-004")
def test_sign_intermediate_returns_the_authority_first(sandbox: Sandbox, kind: str) -> None:
    pki = sandbox.vault.pki()
    issuer = ready_at(sandbox, kind, pki, f"{pki.mount}/root/sign-intermediate")
    if issuer is None:
        return  # the requirement allows a controller to refuse the path
    signing = SigningRequest.build(f"{secrets.token_hex(4)} CA")
    request = sandbox.request(issuer, signing, isCA=True, usages=["cert sign", "crl sign"])
    wait_final(request)
    if not sandbox.signings(request):
        raise UnsupportedError("the controller does not ask Vault for certificates of authorities")
    request.wait_issued()
    assert signing.matches(request.certificate()), (
        "expected the first certificate to match the CSR, saw one for another key"
    )
    constraints = request.certificate().extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.ca, "expected a CA certificate, saw one with CA:FALSE"
    assert_signed_by(sandbox, request, pki.issuing)


# -- cross-signed chains ---------------------------------------------------------------------------


@requirement("VI-PKI-005")
def test_manual_chain_is_returned(sandbox: Sandbox, kind: str) -> None:
    # An old root has cross-signed the new one, below which the mount's authority is.
    old, new = Authority.root(), Authority.root()
    crossed = old.cross_sign(new)
    pki = sandbox.vault.pki(new.intermediate())
    sandbox.vault.import_authorities(pki, crossed, old)
    chain = [pki.issuing, crossed, crossed.anchor]
    references = [sandbox.vault.pki_issuer(pki.mount, member) for member in chain]
    sandbox.vault.set_pki_issuer(pki, pki.issuing, manual_chain=references)
    request = sandbox.issued(sandbox.ready_issuer(kind, pki=pki))
    expected = [signed_certificate(sandbox, request), pki.issuing.certificate, crossed.certificate]
    assert_chain(without_roots(request.certificates()), expected, "status.certificate")
    assert_ca_of_chain(request, [member.certificate for member in chain])


# -- contents of certificates ----------------------------------------------------------------------


def assert_as_signed(sandbox: Sandbox, request: CertificateRequest, authority: Authority) -> x509.Certificate:
    """Wait for a certificate, check that it is the one that Vault signed, with its chain, and return it."""
    request.wait_issued()
    assert_signed_by(sandbox, request, authority)
    return request.certificate()


@requirement("VI-PKI-006")
@alternating(("kind", "limited"), [("Issuer", "role"), ("ClusterIssuer", "mount")])
def test_certificate_with_a_shorter_lifetime_is_issued(sandbox: Sandbox, kind: str, limited: str) -> None:
    pki = sandbox.vault.pki()
    if limited == "role":
        sandbox.vault.set_pki_role(pki, max_ttl="2h")
    else:
        sandbox.vault.set_pki_role(pki, max_ttl=0)
        sandbox.vault.client.write_data(f"sys/mounts/{pki.mount}/tune", data={"max_lease_ttl": "2h"})
    request = sandbox.request(sandbox.ready_issuer(kind, pki=pki), duration="100h")
    assert_lifetime(assert_as_signed(sandbox, request, pki.issuing), timedelta(hours=2))


@requirement("VI-PKI-006")
@alternating(("kind", "behavior"), [("Issuer", "permit"), ("ClusterIssuer", "truncate")])
def test_certificate_at_the_end_of_its_authority_is_issued(sandbox: Sandbox, kind: str, behavior: str) -> None:
    authority = Authority.root().intermediate(valid_for=timedelta(hours=3))
    pki = sandbox.vault.pki(authority)
    sandbox.vault.set_pki_issuer(pki, authority, leaf_not_after_behavior=behavior)
    request = sandbox.request(sandbox.ready_issuer(kind, pki=pki), duration="100h")
    leaf = assert_as_signed(sandbox, request, authority)
    outlives = leaf.not_valid_after_utc > authority.certificate.not_valid_after_utc
    assert outlives == (behavior == "permit"), f"expected the notAfter that Vault sets with {behavior}"


@requirement("VI-PKI-006")
def test_backdated_certificate_is_issued(sandbox: Sandbox, kind: str) -> None:
    pki = sandbox.vault.pki(role={"not_before_duration": "720h"})
    request = sandbox.request(sandbox.ready_issuer(kind, pki=pki), duration="36h")
    assert_lifetime(assert_as_signed(sandbox, request, pki.issuing), timedelta(hours=720 + 36))


@requirement("VI-PKI-007")
@alternating(("kind", "role"), [("Issuer", "none"), ("ClusterIssuer", "many"), ("ClusterIssuer", "none")])
def test_extensions_of_the_role_are_accepted(sandbox: Sandbox, kind: str, role: str) -> None:
    pki = sandbox.vault.pki(role=NO_USAGES if role == "none" else USAGES)
    if role == "many":
        urls = {
            name: [f"http://{secrets.token_hex(4)}.example.test/{name}"]
            for name in ("issuing_certificates", "crl_distribution_points", "ocsp_servers")
        }
        sandbox.vault.client.write_data(f"{pki.mount}/config/urls", data=urls)
    request = sandbox.request(sandbox.ready_issuer(kind, pki=pki))
    leaf = assert_as_signed(sandbox, request, pki.issuing)
    present = {extension.oid._name for extension in leaf.extensions}
    assert ("keyUsage" in present) == (role == "many"), f"expected the extensions that Vault set, saw {present}"


@requirement("VI-PKI-008")
def test_subject_of_the_role_is_accepted(sandbox: Sandbox, kind: str) -> None:
    pki = sandbox.vault.pki(role=SUBJECT)
    name = f"{secrets.token_hex(4)}.example.test"
    signing = SigningRequest.build(name, dns=[name], organization="of the CSR")
    leaf = assert_as_signed(sandbox, sandbox.request(sandbox.ready_issuer(kind, pki=pki), signing), pki.issuing)
    seen = [attribute.value for attribute in leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert seen == [SUBJECT["organization"]], "expected the organization that Vault set"


@requirement("VI-PKI-010")
def test_chain_of_an_authority_with_pss_is_returned(sandbox: Sandbox, kind: str) -> None:
    authority = Authority.root().intermediate(key_type="rsa")
    # Vault uses these parameters only if the role has a type of key.
    pki = sandbox.vault.pki(authority, role={"key_type": "rsa", "use_pss": True, "signature_bits": 512})
    name = f"{secrets.token_hex(4)}.example.test"
    signing = SigningRequest.build(name, dns=[name], key_type="rsa-2048")
    leaf = assert_as_signed(sandbox, sandbox.request(sandbox.ready_issuer(kind, pki=pki), signing), authority)
    assert leaf.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS, "expected Vault to sign with RSA-PSS"


def assert_issued_once(sandbox: Sandbox, kind: str, role: dict[str, Any], **spec: Any) -> None:
    """Check that a Certificate at a role is not issued again right after its issuance."""
    other = separate_issuer(sandbox, kind)
    issuer = sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role=role))
    sandbox.certificate(issuer, **spec).wait_key_pair(lambda _: True, "a certificate")
    barrier(sandbox, other)
    # A controller may send the same request twice. Another issuance has a CSR of its own.
    sent = {exchange.json.get("csr") for exchange in sandbox.proxy.seen(Route.SIGN)}
    assert len(sent) == 1, f"expected one issuance, saw {len(sent)}"


@requirement("VI-PKI-012")
def test_certificate_that_ends_before_its_renewal_is_not_renewed_in_a_loop(sandbox: Sandbox, kind: str) -> None:
    assert_issued_once(sandbox, kind, {"max_ttl": "2h"}, duration="2160h", renewBefore="360h")


#: Roles and Certificates whose renewal is due before the issuance if the lifetime is counted from notBefore.
BACKDATED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "by the role": ({"not_before_duration": "720h"}, {"duration": "36h"}),
    # Vault's default of 30 seconds makes the validity period a little longer than renewBefore.
    "by default": ({"max_ttl": "720h"}, {"duration": "1440h", "renewBefore": "720h"}),
}


@requirement("VI-PKI-013")
@pytest.mark.parametrize("backdated", BACKDATED)
def test_backdated_certificate_is_not_renewed_in_a_loop(sandbox: Sandbox, kind: str, backdated: str) -> None:
    role, spec = BACKDATED[backdated]
    assert_issued_once(sandbox, kind, role, **spec)


# -- forms of PEM ----------------------------------------------------------------------------------


@requirement("VI-PKI-014")
def test_line_breaks_around_certificates_do_not_matter(sandbox: Sandbox, kind: str) -> None:
    pki = chain_pki(sandbox, 3)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    forms: list[Callable[[str], str]] = [str.strip, lambda pem: f"\n{pem.strip()}\n\n"]
    for form in forms:
        sandbox.proxy.clear_faults()
        sandbox.proxy.inject(Route.SIGN, Tamper(lambda answer, form=form: in_form(answer, form), "other line breaks"))  # type: ignore[misc]
        assert_signed_by(sandbox, sandbox.issued(issuer), pki.issuing)


def in_form(answer: dict[str, Any], form: Callable[[str], str]) -> dict[str, Any]:
    """Change the text of each certificate in a response to a sign request."""
    data = answer.get("data") or {}
    data |= {field: form(data[field]) for field in ("certificate", "issuing_ca") if field in data}
    data |= {"ca_chain": [form(pem) for pem in data["ca_chain"]]} if "ca_chain" in data else {}
    return answer


# -- after the signing -----------------------------------------------------------------------------


@requirement("VI-PKI-009")
@each_feature(LOGINS)
def test_issued_certificate_is_not_revoked(sandbox: Sandbox, kind: str, feature: str) -> None:
    pki = sandbox.vault.pki(role={"generate_lease": True})
    issuer = sandbox.ready_issuer(kind, sandbox.authenticate(feature, kind, pki=pki, ttl="1h"), pki=pki)
    leaf = sandbox.issued(issuer).certificate()
    sandbox.barrier(issuer)
    # Vault writes a serial number without leading zero bytes.
    serial = leaf.serial_number.to_bytes((leaf.serial_number.bit_length() + 7) // 8, "big").hex(":")
    stored = sandbox.vault.client.read(f"{pki.mount}/cert/{serial}")
    assert stored["data"]["revocation_time"] == 0, "expected a certificate that Vault has not revoked"


def postpone(pki: Pki, delay: timedelta) -> Tamper:
    """Send a certificate for the same key that becomes valid later, as a Vault whose clock is ahead does."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        data = answer.get("data") or {}
        if "certificate" in data:
            key = x509.load_pem_x509_certificate(data["certificate"].encode()).public_key()
            start = datetime.now(UTC) + delay
            times = {"not_before": start, "not_after": start + timedelta(hours=1)}
            data["certificate"] = to_pem(pki.issuing.leaf(key, "later.example.test", **times))
        return answer

    return Tamper(change, "postpone the certificate")


@requirement("VI-PKI-011")
def test_certificate_that_becomes_valid_soon_is_not_final(sandbox: Sandbox, kind: str) -> None:
    pki = sandbox.vault.pki(role={"not_before_duration": "0s"})
    issuer = sandbox.ready_issuer(kind, pki=pki)
    injection = sandbox.proxy.inject(Route.SIGN, postpone(pki, timedelta(minutes=1)), times=1)
    request = sandbox.request(issuer)
    injection.wait(sandbox.timeouts.wire)
    # A controller may also wait, or have another certificate signed.
    item = wait_final(request)
    assert condition(item, "Ready").get("reason") != "Failed", (
        f"expected a certificate or another attempt, saw the request fail: {request.explain()}"
    )
