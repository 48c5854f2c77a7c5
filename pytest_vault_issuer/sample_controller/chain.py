"""Orders the certificates of Vault's response."""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding


class ChainError(Exception):
    """The certificates of a response do not form a chain."""


class Chain(NamedTuple):
    """A certificate and what certifies it.

    :ivar certificates: the leaf, then each intermediate, every one certifying the one before; no self-signed root.
    :ivar ca: the topmost certificate that Vault sent, None when it sent the leaf alone.
    """

    certificates: list[x509.Certificate]
    ca: x509.Certificate | None


def read_chain(data: dict[str, Any]) -> Chain:
    """Return the chain in the data of Vault's response to a signing.

    :raises ChainError: if there is no certificate, or none of the others certifies it.
    """
    leaf = _read(data.get("certificate"))
    sent = data.get("ca_chain") or []
    if not sent and data.get("issuing_ca"):
        sent = [data["issuing_ca"]]
    authorities = [_read(text) for text in sent]
    return order(leaf, authorities)


def order(leaf: x509.Certificate, authorities: list[x509.Certificate]) -> Chain:
    """Return the chain from a leaf up, without certificates that do not belong to it.

    :param authorities: in any order, each any number of times.
    :raises ChainError: if none of them certifies the leaf.
    """
    above = _above(leaf, authorities)
    if authorities and not above and set(authorities) != {leaf}:
        raise ChainError("none of the certificates that Vault sent certifies the new one")
    intermediates = [authority for authority in above if not is_self_signed(authority)]
    topmost = above[-1] if above else None
    return Chain([leaf, *intermediates], topmost)


def _above(leaf: x509.Certificate, authorities: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the authorities above a leaf, from the one that signed it up."""
    above: list[x509.Certificate] = []
    current = leaf
    while not is_self_signed(current):
        candidates = [authority for authority in authorities if authority != leaf and authority not in above]
        issuer = next((authority for authority in candidates if certifies(authority, current)), None)
        if issuer is None:
            break
        above.append(issuer)
        current = issuer
    return above


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether a certificate certifies itself, as a root does."""
    return certifies(certificate, certificate)


def certifies(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether a certificate was signed by an authority."""
    if certificate.issuer != authority.subject:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def to_pem(certificates: list[x509.Certificate]) -> bytes:
    """Return certificates one after the other in PEM."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _read(text: object) -> x509.Certificate:
    if not isinstance(text, str) or not text.strip():
        raise ChainError("Vault's response has no certificate")
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise ChainError("Vault's response has a certificate that cannot be read") from error
