"""What an issued certificate and its chain were to be, and the authorities that make them so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from pytest_vault_issuer.issuer import CertificateRequest, CertificateSigningRequest
from pytest_vault_issuer.issuer.csr import generate_key
from pytest_vault_issuer.proxy import Tamper, replace_certificate
from pytest_vault_issuer.sandbox import Sandbox
from pytest_vault_issuer.vault import CertificateAuthority, Pki
from pytest_vault_issuer.vault.authority import to_pem

#: Vault dates certificates back by this, and clocks of two machines may differ a little.
CLOCKS = timedelta(minutes=1)
#: How many authorities are above the leaf, and whether Vault knows those above the one that signs.
#: Chains do not depend on the kind of issuer: each kind gets some of them.
SHAPES = pytest.mark.parametrize(
    ("kind", "authorities", "root_known"),
    [("Issuer", 1, True), ("ClusterIssuer", 2, True), ("Issuer", 3, True), ("ClusterIssuer", 2, False)],
)


def chain_pki(sandbox: Sandbox, authorities: int, *, root_known: bool = True) -> Pki:
    """Mount a PKI whose leaves have so many authorities above them; root not known: Vault has the signing one only."""
    authority = CertificateAuthority.root()
    for _ in range(authorities - 1):
        authority = authority.intermediate()
    return sandbox.vault.pki(authority, import_chain=root_known)


def answered(sandbox: Sandbox, request: CertificateRequest | CertificateSigningRequest) -> x509.Certificate:
    """The certificate Vault answered with for a request: the one its status holds, else the last.

    An issuer that does not see yet what it has written may have a request signed once more, and then find that it has
    changed: the status keeps what came before.
    """
    signings = [exchange for exchange in sandbox.signings(request) if exchange.status == 200]
    assert signings, f"Vault was to sign {request}"
    leaves = [
        x509.load_pem_x509_certificate(exchange.response_json["data"]["certificate"].encode()) for exchange in signings
    ]
    held = request.certificates()[:1]
    return next((leaf for leaf in leaves if leaf in held), leaves[-1])


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it names itself as its issuer."""
    return certificate.subject == certificate.issuer


def without_roots(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """A chain without what need not be sent."""
    return [certificate for certificate in certificates if not is_self_signed(certificate)]


def subjects(certificates: list[x509.Certificate]) -> list[str]:
    """What to show of a chain in a message."""
    return [certificate.subject.rfc4514_string() or "no subject" for certificate in certificates]


def assert_chain(seen: list[x509.Certificate], expected: list[x509.Certificate], where: str) -> None:
    """Check certificates and their order; `where` they are is for the message."""
    assert seen == expected, f"{where} was to hold {subjects(expected)}, it holds {subjects(seen)}"


def assert_lifetime(certificate: x509.Certificate, expected: timedelta) -> None:
    """Check how long a certificate is valid."""
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert abs(lifetime - expected) < CLOCKS, (
        f"the certificate was to be valid for {_duration(expected)}, it is valid for {_duration(lifetime)}"
    )


def _duration(time: timedelta) -> str:
    """How long, as Kubernetes writes it."""
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
    """Send a certificate that is not for the key of the request."""
    return replace_certificate(to_pem(pki.issuing.leaf(generate_key().public_key(), "another.example.test")))
