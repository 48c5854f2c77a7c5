"""The proxy's side towards the real Vault."""

from __future__ import annotations

import contextlib
import errno
import http.client
import select
import socket
import urllib.parse

from pytest_vault_issuer.certificates import ClientCertificate
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.proxy.exchange import Answer, Head, Headers
from pytest_vault_issuer.proxy.http1 import end_to_end
from pytest_vault_issuer.proxy.tls import client_context, load_certificate

_TIMEOUT = 90.0
"""Seconds; Vault's own limit for one request."""


EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that say that this machine has no more to give: neither a client's doing nor Vault's."""


class Unreachable(Exception):
    """Vault gave no answer.

    :param exhausted: because this machine had no more to give.
    """

    def __init__(self, message: str, *, exhausted: bool = False) -> None:
        super().__init__(message)
        self.exhausted = exhausted


class Upstream:
    """Where requests are forwarded to.

    :param url: ``https://host:port`` or ``http://host:port``, with or without a path that is put before each target.
    :param ca: PEM of what to trust; None for the system's roots.
    :raises ConfigurationError: the URL is none of these.
    """

    def __init__(self, url: str, ca: str | None) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urllib.parse.SplitResult("", "", "", "", ""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"{url!r} is not the address of a Vault", hint="give it as https://host:port, like VAULT_ADDR"
            )
        self.prefix = parts.path.rstrip("/")
        self.authority = parts.netloc.rpartition("@")[2]
        self._host = parts.hostname
        self._port = port
        self._ca = ca
        self._context = client_context(ca) if parts.scheme == "https" else None

    def connection(self, client: ClientCertificate | None) -> http.client.HTTPConnection:
        """A connection, not opened yet.

        :param client: what is presented to a Vault that asks for a client certificate.
        """
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        context = self._context
        if client is not None:
            context = client_context(self._ca)
            load_certificate(context, client.certificate_pem, client.key_pem)
        return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT, context=context)


class UpstreamConnection:
    """The connection to Vault that belongs to one client connection; opened when first needed and when stale.

    :ivar client: the certificate that is presented on it, None for none; set before the first exchange.
    """

    def __init__(self) -> None:
        self.client: ClientCertificate | None = None
        self._upstream: Upstream | None = None
        self._connection: http.client.HTTPConnection | None = None

    def exchange(self, upstream: Upstream, head: Head, body: bytes) -> Answer:
        """Forwards a request and returns the whole answer; redirects are answers like any other.

        A request is sent once only: whether Vault acted on one it did not answer cannot be known.

        :raises Unreachable: no connection, or none that lasted until the answer's end.
        """
        try:
            connection = self._ready(upstream)
            connection.putrequest(head.method, upstream.prefix + head.target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", upstream.authority)
            for name, value in end_to_end(head.headers).without("Host", "Content-Length", "Expect"):
                connection.putheader(name, value.encode("iso-8859-1"))
            if body or "Content-Length" in head.headers or "Transfer-Encoding" in head.headers:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            answer = Answer(response.status, Headers(response.getheaders()), response.read(), response.reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            exhausted = isinstance(error, OSError) and error.errno in EXHAUSTED
            raise Unreachable(f"{type(error).__name__}: {error}", exhausted=exhausted) from error
        return answer

    def close(self) -> None:
        """Closes the connection; the next request opens one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """From another thread: ends a wait for Vault's answer."""
        connection = self._connection
        sock: socket.socket | None = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own method, which takes the TLS layer away from the thread that is using it.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _ready(self, upstream: Upstream) -> http.client.HTTPConnection:
        if self._upstream is not upstream or _is_stale(self._connection):
            self.close()
        if self._connection is None:
            self._upstream, self._connection = upstream, upstream.connection(self.client)
        return self._connection


def _is_stale(connection: http.client.HTTPConnection | None) -> bool:
    """Vault has closed the connection since the last answer: then, and only then, there is something to read."""
    if connection is None or connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
