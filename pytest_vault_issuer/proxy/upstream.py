"""The connections of the proxy to the real Vault."""

from __future__ import annotations

import contextlib
import errno
import http.client
import select
import socket
import threading
import time
import urllib.parse
import weakref
from functools import lru_cache

from ..certificates import ClientCertificate
from ..errors import ConfigurationError
from .exchange import Head, Headers, Response
from .http1 import end_to_end
from .tls import client_context, load_certificate

_TIMEOUT = 90.0
"""Seconds; Vault's own limit for one request."""
_LONGEST_IDLE = 10.0
"""Seconds after which an idle connection is not used again; load balancers close it after a minute."""
_MOST_IDLE = 16
"""Number of idle connections to one Vault that are kept."""


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
        #: Idle connections without a client certificate, each with the monotonic seconds of its last use.
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def take(self) -> http.client.HTTPConnection:
        """Return an idle connection without a client certificate, or a new one.

        Like other reverse proxies, the proxies of a process share the connections to one Vault: a handshake for each
        connection of a client would cost more CPU time than its requests.
        """
        while True:
            with self._lock:
                if not self._idle:
                    return self.connection(None)
                connection, used = self._idle.pop()
            if time.monotonic() - used < _LONGEST_IDLE and not _is_stale(connection):
                return connection
            connection.close()

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection of :meth:`take` after the answer to its last request was read."""
        if connection.sock is None:  # the answer said that it ends
            return
        with self._lock:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

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


@lru_cache(maxsize=8)
def upstream_at(url: str, ca: str | None) -> Upstream:
    """Return the Vault at an address, the same object for all proxies of this process.

    :raises ConfigurationError: as :class:`Upstream`.
    """
    return Upstream(url, ca)


def _close_all(idle: list[tuple[http.client.HTTPConnection, float]]) -> None:
    while idle:
        idle.pop()[0].close()


class UpstreamConnection:
    """How one client connection reaches Vault.

    :ivar client: its client certificate, None for none; set it before the first exchange. With a certificate, the
        connection to Vault is its own: opened at the first request, and again when it is stale.
    """

    def __init__(self) -> None:
        self.client: ClientCertificate | None = None
        self._upstream: Upstream | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()

    def exchange(self, upstream: Upstream, head: Head, body: bytes) -> Response:
        """Forward a request, and return the whole response, which may be a redirect.

        The request is sent only once: without a response, the proxy cannot know whether Vault has acted on it.

        :raises Unreachable: if there is no connection, or if it ends before the response does.
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
            received = connection.getresponse()
            response = Response(received.status, Headers(received.getheaders()), received.read(), received.reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            exhausted = isinstance(error, OSError) and error.errno in EXHAUSTED
            raise Unreachable(f"{type(error).__name__}: {error}", exhausted=exhausted) from error
        if self.client is None:
            with self._lock:  # from now on, interrupt() must not end it: another client may use it
                self._connection = None
            upstream.give_back(connection)
        return response

    def close(self) -> None:
        """Close the connection. The next request opens another one."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def interrupt(self) -> None:
        """End the wait for Vault's response, from another thread."""
        with self._lock:
            sock: socket.socket | None = self._connection.sock if self._connection is not None else None
            if sock is not None:
                with contextlib.suppress(OSError):
                    # Not SSLSocket's own method, which takes the TLS layer away from the thread that is using it.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _ready(self, upstream: Upstream) -> http.client.HTTPConnection:
        if self._upstream is not upstream or _is_stale(self._connection):
            self.close()
        connection = self._connection
        if connection is None:
            connection = upstream.take() if self.client is None else upstream.connection(self.client)
            with self._lock:
                self._upstream, self._connection = upstream, connection
        return connection


def _is_stale(connection: http.client.HTTPConnection | None) -> bool:
    """Return whether Vault has closed the connection since the last response: only then is there something to read."""
    if connection is None or connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
