"""TLS for connections to Vault: trusted CAs and client certificates."""

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
    """Return the TLS context for connections to an issuer object's Vault, None for plain http.

    :raises CredentialError: if the CAs or the client certificate are missing or invalid.
    """
    certificate = issuer.vault.get("clientCertSecretRef")
    key = issuer.vault.get("clientKeySecretRef")
    if certificate is None or key is None:
        return tls_context(cluster, issuer, None)
    client = read_client_certificate(cluster, issuer.resource_namespace, certificate, key)
    return tls_context(cluster, issuer, client)


def tls_context(cluster: Cluster, issuer: Issuer, client: ClientCertificate | None) -> ssl.SSLContext | None:
    """Return the TLS context for connections that present a given client certificate, None for plain http.

    :raises CredentialError: if the CAs or the client certificate are invalid.
    """
    if not issuer.server.lower().startswith("https:"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    # A bundle may contain only an intermediate.
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

    :raises CredentialError: if one is missing.
    """
    return ClientCertificate(
        read_secret(cluster, namespace, certificate["name"], certificate.get("key") or "tls.crt"),
        read_secret(cluster, namespace, key["name"], key.get("key") or "tls.key"),
    )


def _ca_bundle(cluster: Cluster, issuer: Issuer) -> bytes | None:
    """Return the CA bundle of an issuer object in PEM, None for the system trust store."""
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
        raise CredentialError("the CA bundle contains no readable certificate") from error
    return b"".join(certificate.public_bytes(Encoding.DER) for certificate in certificates)


def _present(context: ssl.SSLContext, client: ClientCertificate) -> None:
    """Let connections present a client certificate."""
    # The ssl module reads certificates only from files: this one is private, and deleted at once.
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(f"{client.certificate}\n{client.key}")
        file.flush()
        try:
            context.load_cert_chain(file.name, password="")
        except ssl.SSLError as error:
            raise CredentialError("the client certificate and its key do not match") from error
