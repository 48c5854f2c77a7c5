"""Checks of issued certificates and their chains, and the certificate authorities behind them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from pytest_vault_issuer import (
    Authority,
    Certificate,
    CertificateRequest,
    Issuer,
    KeyPair,
    Pki,
    Sandbox,
    Tamper,
    at_barrier,
    generate_key,
    replace_certificate,
    to_pem,
)

from .helpers import alternating

#: Tolerance: Vault backdates certificates, and the clocks of two machines may differ.
CLOCKS = timedelta(minutes=1)
#: Number of authorities above the leaf, and whether Vault knows those above the signing one.
#: Chains do not depend on the kind of issuer object, so each kind covers some of the shapes.
SHAPES = alternating(
    ("kind", "authorities", "root_known"),
    [("Issuer", 1, True), ("ClusterIssuer", 2, True), ("Issuer", 3, True), ("ClusterIssuer", 2, False)],
)


def chain_pki(sandbox: Sandbox, authorities: int, *, root_known: bool = True) -> Pki:
    """Mount a PKI with this many authorities above a leaf; without `root_known` Vault has only the signing one."""
    authority = Authority.root()
    for _ in range(authorities - 1):
        authority = authority.intermediate()
    return sandbox.vault.pki(authority, import_chain=root_known)


def signed_certificate(sandbox: Sandbox, request: CertificateRequest) -> x509.Certificate:
    """Return Vault's certificate for a request: the one in its status, else the last one.

    A controller with a stale cache may have a request signed twice and then fail to update the changed object:
    the status keeps the first certificate.
    """
    signings = [exchange for exchange in sandbox.signings(request) if exchange.status == 200]
    assert signings, f"expected a successful sign request to Vault for {request}, saw none"
    leaves = [
        x509.load_pem_x509_certificate(exchange.response_json["data"]["certificate"].encode()) for exchange in signings
    ]
    held = request.certificates()[:1]
    return next((leaf for leaf in leaves if leaf in held), leaves[-1])


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether a certificate names itself as its issuer."""
    return certificate.subject == certificate.issuer


def without_roots(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return a chain without self-signed certificates."""
    return [certificate for certificate in certificates if not is_self_signed(certificate)]


def subjects(certificates: list[x509.Certificate]) -> list[str]:
    """Return the subjects of a chain for a message."""
    return [certificate.subject.rfc4514_string() or "no subject" for certificate in certificates]


def assert_chain(seen: list[x509.Certificate], expected: list[x509.Certificate], where: str) -> None:
    """Check certificates and their order; `where` names their place in the message."""
    assert seen == expected, f"expected {subjects(expected)} in {where}, saw {subjects(seen)}"


def assert_ca_of_chain(request: CertificateRequest, chain: list[x509.Certificate]) -> None:
    """Check that `status.ca` has only certificates of a chain.

    It is optional (CertificateRequest API: "set on a best-effort basis"). VI-SIGN-013 judges which one it has.
    """
    others = [certificate for certificate in request.ca() if certificate not in chain]
    assert not others, f"expected only certificates of the chain in status.ca, saw {subjects(others)}"


def assert_pem(encoded: str, where: str) -> None:
    """Check that each PEM block begins and ends on lines of its own: OpenSSL and Go require it, Python does not.

    :param encoded: in base64.
    :param where: the field, for the message.
    """
    marks = [line.strip() for line in base64.b64decode(encoded).decode().splitlines() if "-----" in line]
    wrong = [mark for mark in marks if mark not in ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")]
    assert not wrong, f"expected each PEM block in {where} on lines of its own, saw {wrong}"


def assert_lifetime(certificate: x509.Certificate, expected: timedelta) -> None:
    """Check the validity period of a certificate."""
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert abs(lifetime - expected) < CLOCKS, (
        f"expected a certificate valid for {_duration(expected)}, saw {_duration(lifetime)}"
    )


def _duration(time: timedelta) -> str:
    """Return a duration in the notation of Kubernetes."""
    hours, rest = divmod(round(time.total_seconds()), 3600)
    return f"{hours}h{rest // 60}m{rest % 60}s"


def drop_issuers() -> Tamper:
    """Remove ``ca_chain`` and ``issuing_ca``."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        data = answer.get("data") or {}
        for field in ("ca_chain", "issuing_ca"):
            data.pop(field, None)
        return answer

    return Tamper(change, "drop ca_chain and issuing_ca")


def expire(pki: Pki) -> Tamper:
    """Send a certificate for the same key that expired an hour ago."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        data = answer.get("data") or {}
        if "certificate" in data:
            key = x509.load_pem_x509_certificate(data["certificate"].encode()).public_key()
            now = datetime.now(UTC)
            times = {"not_before": now - timedelta(days=2), "not_after": now - timedelta(hours=1)}
            data["certificate"] = to_pem(pki.issuing.leaf(key, "expired.example.test", **times))
        return answer

    return Tamper(change, "expire the certificate")


def for_another_key(pki: Pki) -> Tamper:
    """Send a certificate that does not match the key of the request."""
    return replace_certificate(to_pem(pki.issuing.leaf(generate_key().public_key(), "another.example.test")))


def separate_issuer(sandbox: Sandbox, kind: str) -> Issuer:
    """Return an issuer object whose requests to Vault do not pass through the test's own proxy."""
    return sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())


def assert_same(certificate: Certificate, before: KeyPair) -> None:
    """Check that the Secret of a Certificate has not changed."""
    now = certificate.key_pair()
    assert now is not None, "expected the Secret to stay, saw it removed"
    assert now.public_key == before.public_key, "expected the same key in the Secret, saw another"
    assert now.certificates == before.certificates, "expected the same certificate in the Secret"


def barrier(sandbox: Sandbox, other: Issuer) -> None:
    """Prove that the controller handled earlier changes and had time to retry them.

    Times in the API have whole seconds: a controller that compares them considers a failure past only one second
    later. Certificates are therefore issued one by one until one was created two seconds after the first.
    """

    def created() -> datetime:
        certificate, _ = sandbox.issued_certificate(other)
        return datetime.fromisoformat(certificate.get()["metadata"]["creationTimestamp"])

    with at_barrier():
        first = created()
        while created() < first + timedelta(seconds=2):
            pass
