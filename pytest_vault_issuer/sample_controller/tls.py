"""How an issuer's connections to Vault are secured: which CAs it trusts, and which certificate it presents."""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .cluster import Cluster
from .configuration import Issuer
from .secret_values import CredentialError, read_secret


class ClientCertificate(NamedTuple):
    """A certificate with its chain, and its private key, in PEM."""

    certificate: str
    key: str


def connection_context(cluster: Cluster, issuer: Issuer) -> ssl.SSLContext | None:
    """Return what connections to an issuer's Vault are secured with, None for plain http.

    :raises CredentialError: when the CAs or the client certificate are missing or of no use.
    """
    certificate = issuer.vault.get("clientCertSecretRef")
    key = issuer.vault.get("clientKeySecretRef")
    if certificate is None or key is None:
        return tls_context(cluster, issuer, None)
    client = read_client_certificate(cluster, issuer.resource_namespace, certificate, key)
    return tls_context(cluster, issuer, client)


def tls_context(cluster: Cluster, issuer: Issuer, client: ClientCertificate | None) -> ssl.SSLContext | None:
    """Return what connections to an issuer's Vault are secured with, if they present a given client certificate.

    :raises CredentialError: when the CAs or the client certificate are of no use.
    """
    if not issuer.server.lower().startswith("https:"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    # A bundle may hold an intermediate alone.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    bundle = _ca_bundle(cluster, issuer)
    if bundle is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=_certificates(bundle))
    if client is not None:
        _present(context, client)
    return context


def read_client_certificate(
    cluster: Cluster, namespace: str, certificate: dict[str, Any], key: dict[str, Any]
) -> ClientCertificate:
    """Return a client certificate from the Secrets and keys that two references name.

    :raises CredentialError: when one is missing.
    """
    return ClientCertificate(
        read_secret(cluster, namespace, certificate["name"], certificate.get("key") or "tls.crt"),
        read_secret(cluster, namespace, key["name"], key.get("key") or "tls.key"),
    )


def _ca_bundle(cluster: Cluster, issuer: Issuer) -> bytes | None:
    """Return the CAs of an issuer in PEM, None where the system's are meant."""
    inline = issuer.vault.get("caBundle")
    if inline:
        try:
            return base64.b64decode(inline)
        except binascii.Error as error:
            raise CredentialError("caBundle is not base64") from error
    reference = issuer.vault.get("caBundleSecretRef")
    if reference:
        key = reference.get("key") or "ca.crt"
        return read_secret(cluster, issuer.resource_namespace, reference["name"], key).encode()
    return None


def _certificates(bundle: bytes) -> bytes:
    """Return the certificates of a PEM bundle, one after the other in DER."""
    try:
        certificates = x509.load_pem_x509_certificates(bundle)
    except ValueError as error:
        raise CredentialError("the CA bundle holds no certificate that can be read") from error
    return b"".join(certificate.public_bytes(Encoding.DER) for certificate in certificates)


def _present(context: ssl.SSLContext, client: ClientCertificate) -> None:
    """Have connections present a client certificate."""
    # The ssl module reads it from a file only: this one is private, and gone at once.
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(f"{client.certificate}\n{client.key}")
        file.flush()
        try:
            context.load_cert_chain(file.name, password="")
        except ssl.SSLError as error:
            raise CredentialError("the client certificate and its key do not fit together") from error
