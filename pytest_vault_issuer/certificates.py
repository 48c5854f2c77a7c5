"""Certificates: the one authority that signs all of them, and the records of what it issues.

An :class:`Authority` signs for the proxies of the sandboxes, for a local stack, and for Vault's PKI engine, into which
its key is imported. Keys are ECDSA P-256 by default: one takes less than a millisecond, so each test has its own.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
#: How long an authority is valid: longer than any certificate that the suite requests.
VALIDITY = timedelta(days=3650)
#: How long before now a certificate becomes valid: the clock of a container or a virtual machine may be behind.
_BACKDATED = timedelta(minutes=5)
#: How long a CA has been valid. Vault 1.21.2 refuses certificates that begin before their CA, which roles can ask for.
_AGE = timedelta(days=60)
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
#: Characters of a common name (RFC 5280, upper bound ub-common-name).
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True)
class ServerCertificate:
    """A certificate of a server, with its key and the root that a client must trust.

    :ivar certificate_chain_pem: the certificate, and the intermediates that the server sends with it.
    :ivar ca_pem: the root.
    :ivar names: the DNS names and IP addresses for which it is valid.
    """

    certificate_chain_pem: str
    key_pem: str = field(repr=False)
    ca_pem: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class ClientCertificate:
    """A certificate of a client, with its key.

    :ivar certificate_pem: the certificate, and the intermediates that the client sends with it.
    """

    certificate_pem: str
    key_pem: str = field(repr=False)

    @property
    def der(self) -> bytes:
        """The certificate alone, as the server sees it."""
        return x509.load_pem_x509_certificate(self.certificate_pem.encode()).public_bytes(serialization.Encoding.DER)


class Authority:
    """A certificate authority: a self-signed root, or an intermediate below another authority.

    ::

        root = Authority()
        server = root.intermediate().issue("vault.test", "127.0.0.1")

    :param name: its common name. Two authorities may have the same name; their keys differ.
    :param parent: signs it. Without one, it is a root.
    :param key_type: ``ec`` (P-256) or ``rsa`` (2048 bits).
    :param key: an existing key instead, such as that of an authority that `parent` cross-signs.
    :param valid_for: how long its certificate is valid.
    :ivar certificate: its certificate.
    :ivar key: its private key.
    :ivar parent: the authority above it, None for a root.
    :raises ValueError: for another key type.
    """

    def __init__(
        self,
        name: str = "pytest-vault-issuer CA",
        *,
        parent: Authority | None = None,
        key_type: str = "ec",
        key: PrivateKey | None = None,
        valid_for: timedelta = VALIDITY,
    ) -> None:
        self.parent = parent
        self.key = key or new_key(key_type)
        subject, now = _name(name), _now()
        signer, signing_key = (parent.certificate.subject, parent.key) if parent else (subject, self.key)
        self.certificate: x509.Certificate = (
            _builder(subject, signer, self.key.public_key(), now - _AGE, now + valid_for)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
            .sign(signing_key, hashes.SHA256())
        )

    @classmethod
    def root(cls, name: str | None = None, *, key_type: str = "ec") -> Authority:
        """Return a new root, by default with a random name."""
        return cls(name or _random_name(), key_type=key_type)

    def intermediate(self, *, key_type: str = "ec", valid_for: timedelta = VALIDITY) -> Authority:
        """Return a new authority below this one, with a random name."""
        return Authority(_random_name(), parent=self, key_type=key_type, valid_for=valid_for)

    def cross_sign(self, other: Authority) -> Authority:
        """Return an authority below this one with the name and the key of another."""
        return Authority(other.name, parent=self, key=other.key)

    # -- what it issues --------------------------------------------------------------------------

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        expired: bool = False,
        not_yet_valid: bool = False,
        valid_for: timedelta = _DAY,
        client_too: bool = False,
    ) -> ServerCertificate:
        """Return a server certificate for these DNS names and IP addresses.

        :param common_name: default the first name.
        :param expired: the certificate was valid until one hour ago.
        :param not_yet_valid: the certificate becomes valid in one hour.
        :param client_too: its holder may also authenticate as a client.
        :raises ValueError: without a name, or for a certificate that is both expired and not yet valid.
        """
        if not names:
            raise ValueError("a server certificate needs at least one name")
        if expired and not_yet_valid:
            raise ValueError("a certificate is either expired or not yet valid")
        now = _now()
        start, end = now - _BACKDATED, now + valid_for
        if expired:
            start, end = now - valid_for, now - _HOUR
        elif not_yet_valid:
            start = now + _HOUR
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if client_too else [])]
        certificate, key = self._issue(_name(common_name or names[0]), names, usages, start, end)
        return ServerCertificate(certificate, key, self.anchor.pem, names)

    def issue_client(
        self, name: str, *, common_name: str | None = None, organization: str | None = None, valid_for: timedelta = _DAY
    ) -> ClientCertificate:
        """Return a client certificate for a DNS name.

        :param common_name: default the DNS name. In Kubernetes it is the user.
        :param organization: in Kubernetes, a group of the user.
        """
        now = _now()
        subject = _name(common_name or name, organization)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        return ClientCertificate(*self._issue(subject, [name], usages, now - _BACKDATED, now + valid_for))

    def leaf(
        self,
        public_key: CertificatePublicKeyTypes,
        name: str,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> x509.Certificate:
        """Sign a leaf for any key and any time: what a faulty server could answer."""
        now = _now()
        start, end = not_before or now - _BACKDATED, not_after or now + _HOUR
        return (
            _builder(_name(name), self.certificate.subject, public_key, start, end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def _issue(
        self,
        subject: x509.Name,
        names: tuple[str, ...] | list[str],
        usages: list[x509.ObjectIdentifier],
        start: datetime,
        end: datetime,
    ) -> tuple[str, str]:
        """Return certificate and chain, and the key, as PEM."""
        key = new_key()
        certificate = (
            _builder(subject, self.certificate.subject, key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        intermediates = "".join(authority.pem for authority in self.chain if authority.parent)
        return to_pem(certificate) + intermediates, key_to_pem(key)

    # -- what it is ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its common name."""
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    @property
    def pem(self) -> str:
        """Its certificate."""
        return to_pem(self.certificate)

    @property
    def key_pem(self) -> str:
        """Its private key (PKCS #8, not encrypted)."""
        return key_to_pem(self.key)

    @property
    def chain(self) -> list[Authority]:
        """This authority and those above it, the root last."""
        return [self, *(self.parent.chain if self.parent else [])]

    @property
    def anchor(self) -> Authority:
        """The root."""
        return self.chain[-1]


def new_key(kind: str = "ec") -> PrivateKey:
    """Return a new private key: ``ec`` (P-256) or ``rsa`` (2048 bits).

    :raises ValueError: for another kind.
    """
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raise ValueError(f"no such key type: {kind}")


def to_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_to_pem(key: PrivateKey) -> str:
    """Return a private key as PEM (PKCS #8, not encrypted)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _now() -> datetime:
    return datetime.now(UTC)


def _random_name() -> str:
    return f"vault-issuer test CA {secrets.token_hex(4)}"


def _name(common_name: str, organization: str | None = None) -> x509.Name:
    group = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*group, x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_LONGEST_COMMON_NAME])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: CertificatePublicKeyTypes, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
