"""The connections of the proxy to the real Vault."""

from __future__ import annotations

import contextlib
import errno
import http.client
import select
import socket
import urllib.parse

from ..certificates import ClientCertificate
from ..errors import ConfigurationError
from .exchange import Answer, Head, Headers
from .http1 import end_to_end
from .tls import client_context, load_certificate

_TIMEOUT = 90.0
"""Seconds; Vault's own limit for one request."""


EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that mean that this machine is out of resources. Neither the client nor Vault caused them."""


class Unreachable(Exception):
    """Vault did not answer.

    :param exhausted: whether this machine was out of resources.
    """

    def __init__(self, message: str, *, exhausted: bool = False) -> None:
        super().__init__(message)
        self.exhausted = exhausted


class Upstream:
    """The Vault to which the proxy forwards requests.

    :param url: ``https://host:port`` or ``http://host:port``, with or without a path that is put before each target.
    :param ca: CA certificates (PEM); None for the system trust store.
    :raises ConfigurationError: if the URL has another form.
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
        """Return a connection that is not open yet.

        :param client: client certificate for a Vault that requests one.
        """
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        context = self._context
        if client is not None:
            context = client_context(self._ca)
            load_certificate(context, client.certificate_pem, client.key_pem)
        return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT, context=context)


class UpstreamConnection:
    """The connection to Vault of one client connection; opened at the first request, and again when it is stale.

    :ivar client: its client certificate, None for none; set it before the first exchange.
    """

    def __init__(self) -> None:
        self.client: ClientCertificate | None = None
        self._upstream: Upstream | None = None
        self._connection: http.client.HTTPConnection | None = None

    def exchange(self, upstream: Upstream, head: Head, body: bytes) -> Answer:
        """Forward a request, and return the whole answer, which may be a redirect.

        The request is sent only once: without an answer, the proxy cannot know whether Vault has acted on it.

        :raises Unreachable: if there is no connection, or if it ends before the answer does.
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
        """Close the connection. The next request opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """End the wait for Vault's answer, from another thread."""
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
    """Return whether Vault has closed the connection since the last answer: only then is there something to read."""
    if connection is None or connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
