"""The TLS contexts of the proxy: as a server of the controller, and as a client of Vault."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ..certificates import ClientCertificate, ServerCertificate


class ServerSocket(ssl.SSLSocket):
    """The server side of a TLS connection. It remembers the server name that the client sent (SNI)."""

    server_name: str = ""


def server_context(
    certificate: ServerCertificate,
    *,
    client_ca: str | None = None,
    client_certificate_required: bool = False,
    clients: Iterable[ClientCertificate] = (),
    only_tls13: bool = False,
) -> ssl.SSLContext:
    """Return a context for a server. Do not change it: servers with the same arguments share it.

    :param client_ca: PEM. The server requests a client certificate, and accepts those that this authority signed.
    :param clients: more accepted client certificates, of any signer.
    :param only_tls13: accept TLS 1.3 only, as a listener of Vault with ``tls_min_version = "tls13"``.
    """
    # Parsing a key takes OpenSSL half a millisecond, and a test has several proxies.
    return _server_context(certificate, client_ca, client_certificate_required, tuple(clients), only_tls13)


@lru_cache(maxsize=16)
def _server_context(
    certificate: ServerCertificate,
    client_ca: str | None,
    client_certificate_required: bool,
    clients: tuple[ClientCertificate, ...],
    only_tls13: bool,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if only_tls13:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    load_certificate(context, certificate.certificate_chain_pem, certificate.key_pem)
    context.set_alpn_protocols(["http/1.1"])
    # A resumed session would skip the verification of our certificate, which the tests check.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.sslsocket_class = ServerSocket
    context.sni_callback = _remember_name
    trusted = [*([client_ca] if client_ca else []), *(client.certificate_pem for client in clients)]
    if trusted:
        context.load_verify_locations(cadata="\n".join(trusted))
        # A certificate that is trusted directly needs no chain to a root.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED if client_certificate_required else ssl.CERT_OPTIONAL
    return context


def _remember_name(sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    if isinstance(sock, ServerSocket):
        sock.server_name = name or ""


def client_context(ca: str | None) -> ssl.SSLContext:
    """Return a context for a client that trusts ``ca`` (PEM), or the system trust store if it is None."""
    context = ssl.create_default_context(cadata=ca)
    # Like Vault's Go clients: an intermediate may be the trust anchor, and certificates may lack key identifiers.
    # Python's defaults differ from version to version.
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def load_certificate(
    context: ssl.SSLContext, certificate_pem: str, key_pem: str, *, directory: str | os.PathLike[str] | None = None
) -> None:
    """Load a certificate and its key into a context. Python can load them only from a file.

    On Linux, the file is in memory: others could read a key on disk, and it would outlive a killed process. On other
    systems it is a temporary file of mode 0600 in ``directory`` (default: the system's), which is removed at once.
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
