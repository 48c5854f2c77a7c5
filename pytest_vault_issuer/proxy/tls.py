"""Certificates for one test, and the TLS contexts that use them.

Everything is ECDSA P-256: a key is made in well under a millisecond, so each test can have its own.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

_BACKDATED = datetime.timedelta(minutes=5)
"""Clocks of containers and virtual machines may be a little behind ours."""
_LIFETIME = datetime.timedelta(days=1)
_HOUR = datetime.timedelta(hours=1)
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True)
class ServerCertificate:
    """A server's certificate with its key, and what a client must trust to accept it."""

    certificate_chain_pem: str
    key_pem: str = field(repr=False)
    ca_pem: str
    names: tuple[str, ...]
    """The DNS names and IP addresses it is valid for."""


@dataclass(frozen=True)
class ClientCertificate:
    """A client's certificate with its key."""

    certificate_pem: str
    """The certificate, and intermediates that are sent along with it."""
    key_pem: str = field(repr=False)

    @property
    def der(self) -> bytes:
        """The certificate alone, as the other side sees it."""
        return x509.load_pem_x509_certificate(self.certificate_pem.encode()).public_bytes(serialization.Encoding.DER)


class ServerSocket(ssl.SSLSocket):
    """A server's side of a TLS connection; it remembers the name by which the client addressed the server (SNI)."""

    server_name: str = ""


class Authority:
    """A certificate authority of its own, with a self-signed root.

    :param common_name: its name; it may be the same for two authorities, their keys differ.
    :param parent: the root that signs it: it is an intermediate then, which servers send along with their own.
    """

    def __init__(self, common_name: str = "pytest-vault-issuer proxy CA", *, parent: Authority | None = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(common_name)
        signer, signing_key = (parent._name, parent._key) if parent else (self._name, self._key)
        now = _now()
        builder = _builder(self._name, signer, self._key.public_key(), now - _BACKDATED, now + 2 * _LIFETIME)
        self._certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0 if parent else 1), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
            .sign(signing_key, hashes.SHA256())
        )
        self._sent_along = _certificate_pem(self._certificate) if parent else ""
        self.pem: str = parent.pem if parent else _certificate_pem(self._certificate)
        """The root, as a client needs it."""

    def issue(
        self, *names: str, expired: bool = False, not_yet_valid: bool = False, common_name: str | None = None
    ) -> ServerCertificate:
        """A server certificate for these DNS names and IP addresses.

        :param common_name: default the first of the names.
        :param expired: it was valid until an hour ago.
        :param not_yet_valid: it becomes valid in an hour.
        :raises ValueError: without a name, or when it should be both expired and not yet valid.
        """
        if not names:
            raise ValueError("a server certificate needs at least one name")
        if expired and not_yet_valid:
            raise ValueError("a certificate is either expired or not yet valid")
        now = _now()
        start, end = now - _BACKDATED, now + _LIFETIME
        if expired:
            start, end = now - _LIFETIME, now - _HOUR
        elif not_yet_valid:
            start = now + _HOUR
        certificate, key = self._leaf(
            common_name or names[0], x509.SubjectAlternativeName([_general_name(name) for name in names]),
            ExtendedKeyUsageOID.SERVER_AUTH, start, end,
        )  # fmt: skip
        return ServerCertificate(certificate + self._sent_along, key, self.pem, names)

    def issue_client(self, name: str) -> ClientCertificate:
        """A client's certificate with ``name`` as common name and DNS name."""
        now = _now()
        names = x509.SubjectAlternativeName([_general_name(name)])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return ClientCertificate(*self._leaf(name, names, usage, now - _BACKDATED, now + _LIFETIME))

    def _leaf(
        self,
        common_name: str,
        names: x509.SubjectAlternativeName,
        usage: x509.ObjectIdentifier,
        start: datetime.datetime,
        end: datetime.datetime,
    ) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(common_name), self._name, key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(names, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _certificate_pem(certificate), key_pem.decode()


def server_context(
    certificate: ServerCertificate,
    *,
    client_ca: str | None = None,
    client_certificate_required: bool = False,
    clients: Iterable[ClientCertificate] = (),
) -> ssl.SSLContext:
    """A context for a server.

    :param client_ca: PEM; clients are asked for a certificate, and one they present must come from here.
    :param clients: certificates that are accepted too, whoever signed them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, certificate.certificate_chain_pem, certificate.key_pem)
    context.set_alpn_protocols(["http/1.1"])
    # A resumed session would skip the client's look at our certificate, which is what tests are about.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.sslsocket_class = ServerSocket
    context.sni_callback = _remember_name
    trusted = [*([client_ca] if client_ca else []), *(client.certificate_pem for client in clients)]
    if trusted:
        context.load_verify_locations(cadata="\n".join(trusted))
        # A certificate that is trusted itself needs no chain to a root.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED if client_certificate_required else ssl.CERT_OPTIONAL
    return context


def _remember_name(sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    if isinstance(sock, ServerSocket):
        sock.server_name = name or ""


def client_context(ca: str | None) -> ssl.SSLContext:
    """A context for a client that trusts ``ca`` (PEM), or the system's roots when it is None."""
    context = ssl.create_default_context(cadata=ca)
    # As Vault's own clients, which are written in Go: an intermediate may be the anchor, and certificates without key
    # identifiers are fine; Python's defaults differ from version to version.
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def load_certificate(
    context: ssl.SSLContext, certificate_pem: str, key_pem: str, *, directory: str | os.PathLike[str] | None = None
) -> None:
    """Loads a certificate and its key into a context, which Python can only do from a file.

    The file is one in memory where there is such a thing: a key on disk could be read by others or outlive a killed
    process. Elsewhere it is a temporary file of mode 0600 in ``directory`` (default: the system's), removed at once.
    """
    content = (key_pem.rstrip() + "\n" + certificate_pem).encode()
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("pytest-vault-issuer")
        with os.fdopen(descriptor, "wb") as memory:
            memory.write(content)
            memory.flush()
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return
    descriptor, name = tempfile.mkstemp(dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name[:_LONGEST_COMMON_NAME])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    start: datetime.datetime,
    end: datetime.datetime,
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
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
