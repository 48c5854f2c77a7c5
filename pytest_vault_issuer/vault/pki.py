"""Certificate authorities whose keys the harness holds, to be imported into Vault's PKI engine.

Holding the keys makes chains of any length cheap, and lets tests forge what a
tampering server would answer.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
#: How long the authorities are valid: more than any certificate the suite asks for.
VALIDITY = timedelta(days=3650)


def new_key(kind: str = "ec") -> PrivateKey:
    """Return a new private key: ``ec`` (P-256) or ``rsa`` (2048 bits)."""
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raise ValueError(f"no such key type: {kind}")


@dataclass(frozen=True)
class CertificateAuthority:
    """A CA certificate and its key, with the authorities above it.

    :ivar parent: None for a self-signed root.
    """

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    parent: CertificateAuthority | None = None

    @classmethod
    def root(cls, name: str | None = None, *, key_type: str = "ec") -> CertificateAuthority:
        """Return a new self-signed root."""
        key = new_key(key_type)
        return cls(_ca_certificate(name, key, None, key), key)

    def intermediate(self, name: str | None = None, *, key_type: str = "ec") -> CertificateAuthority:
        """Return a new authority signed by this one."""
        key = new_key(key_type)
        return CertificateAuthority(_ca_certificate(name, key, self.certificate, self.key), key, self)

    def leaf(
        self,
        public_key: CertificatePublicKeyTypes,
        name: str,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> x509.Certificate:
        """Sign a leaf for any key and any time: what a faulty server could answer."""
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before or now - timedelta(minutes=1))
            .not_valid_after(not_after or now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """The CA certificate."""
        return to_pem(self.certificate)

    @property
    def key_pem(self) -> str:
        """The private key, PKCS #8."""
        return key_to_pem(self.key)

    @property
    def chain(self) -> list[CertificateAuthority]:
        """This authority and those above it, the root last."""
        return [self, *(self.parent.chain if self.parent else [])]

    @property
    def anchor(self) -> CertificateAuthority:
        """The root."""
        return self.chain[-1]


def to_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_to_pem(key: PrivateKey) -> str:
    """Return a private key as PEM (PKCS #8, not encrypted)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _ca_certificate(
    name: str | None, key: PrivateKey, issuer: x509.Certificate | None, issuer_key: PrivateKey
) -> x509.Certificate:
    subject = _name(name or f"vault-issuer test CA {secrets.token_hex(4)}")
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
