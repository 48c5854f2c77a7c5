"""PKCS #10 requests with all kinds of names, and the names of certificates."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
KEY_TYPES = ("rsa-2048", "rsa-3072", "rsa-4096", "rsa-8192", "ecdsa-256", "ecdsa-384", "ecdsa-521", "ed25519")
_CURVES: dict[str, Callable[[], ec.EllipticCurve]] = {"256": ec.SECP256R1, "384": ec.SECP384R1, "521": ec.SECP521R1}


def generate_key(kind: str = "ecdsa-256") -> Key:
    """Return a new key of one of :data:`KEY_TYPES`; ``rsa-4096`` and ``rsa-8192`` are always the same keys."""
    family, _, size = kind.partition("-")
    if kind in ("rsa-4096", "rsa-8192"):
        return published_key(int(size))
    if family == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(size))
    if family == "ecdsa":
        return ec.generate_private_key(_CURVES[size]())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(f"no such key type: {kind} (one of {', '.join(KEY_TYPES)})")


@cache
def published_key(bits: int) -> rsa.RSAPrivateKey:
    """Return an RSA key of published primes, because generating one of 8192 bits takes up to a minute.

    The primes are those of half the size in RFC 3526 (sections 3 and 5) and RFC 7919 (appendices A.1 and A.3).

    :param bits: 4096 or 8192.
    """
    of_pi, of_e = {4096: (124476, 560316), 8192: (240904, 5736041)}[bits]
    p = _published_prime(bits // 2, _pi, of_pi)
    q = _published_prime(bits // 2, _e, of_e)
    exponent = 65537
    d = pow(exponent, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(exponent, p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _published_prime(bits: int, constant: Callable[[int], int], offset: int) -> int:
    """Return 2^bits - 2^(bits - 64) + (floor(2^(bits - 130) * constant) + offset) * 2^64 - 1."""
    spare = 64  # bits that rounding may spoil
    return (1 << bits) - (1 << (bits - 64)) + (((constant(bits - 130 + spare) >> spare) + offset) << 64) - 1


def _pi(bits: int) -> int:
    """Return pi * 2^bits by Machin's formula; the last few bits are rounded."""

    def arctan_of_inverse(x: int) -> int:
        total, power, n = 0, (1 << bits) // x, 0
        while power:
            total += (-1) ** n * (power // (2 * n + 1))
            power, n = power // (x * x), n + 1
        return total

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))


def _e(bits: int) -> int:
    """Return e * 2^bits by its series; the last few bits are rounded."""
    total, term, n = 0, 1 << bits, 0
    while term:
        total, n = total + term, n + 1
        term //= n
    return total


@dataclass(frozen=True)
class SigningRequest:
    """A certificate signing request and its key.

    :ivar pem: the request, as in ``spec.request`` and in requests to Vault.
    """

    pem: str
    key: Key = field(repr=False)

    @classmethod
    def build(
        cls,
        common_name: str | None = None,
        *,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        uris: Sequence[str] = (),
        emails: Sequence[str] = (),
        key: Key | None = None,
        key_type: str = "ecdsa-256",
        organization: str | None = None,
    ) -> SigningRequest:
        """Build a request with the given names."""
        key = key or generate_key(key_type)
        subject = []
        if organization is not None:
            subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        if common_name is not None:
            subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
        names: list[x509.GeneralName] = [
            *(x509.DNSName(name) for name in dns),
            *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips),
            *(x509.UniformResourceIdentifier(uri) for uri in uris),
            *(x509.RFC822Name(email) for email in emails),
        ]
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        request = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        return cls(request.public_bytes(serialization.Encoding.PEM).decode(), key)

    def matches(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is for this request's key."""
        return public_bytes(certificate.public_key()) == public_bytes(self.key.public_key())

    def is_for_same_key(self, pem: object) -> bool:
        """Whether a PEM request is for this request's key; False if it is not a request."""
        try:
            other = x509.load_pem_x509_csr(str(pem).encode())
        except ValueError:
            return False
        return public_bytes(other.public_key()) == public_bytes(self.key.public_key())


def public_bytes(key: object) -> bytes:
    """Return a public key's SubjectPublicKeyInfo (DER), to compare keys of any type."""
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def names_of(certificate: x509.Certificate) -> dict[str, list[str]]:
    """Return a certificate's subject alternative names: ``dns``, ``ips``, ``uris``, ``emails``."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return {"dns": [], "ips": [], "uris": [], "emails": []}
    return {
        "dns": san.get_values_for_type(x509.DNSName),
        "ips": [str(ip) for ip in san.get_values_for_type(x509.IPAddress)],
        "uris": san.get_values_for_type(x509.UniformResourceIdentifier),
        "emails": san.get_values_for_type(x509.RFC822Name),
    }


def common_name_of(certificate: x509.Certificate) -> str | None:
    """Return a certificate's common name."""
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else None
