"""The proxy: its socket, its threads and its interface for tests."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from ..certificates import ClientCertificate, ServerCertificate
from ..errors import ConfigurationError, VaultIssuerError
from .connection import ClientConnection, Shared, reset
from .namespaces import canonical
from .recorder import Observer, Recorder
from .tls import server_context
from .upstream import EXHAUSTED, upstream_at

_BACKLOG = 128
_BACK_OFF = 0.1
"""Seconds until the proxy accepts connections again after it could not."""
_RETIRING = 2.0
"""Seconds that a change of the certificate waits for responses that are being sent."""
_CLOSING = 5.0
"""Seconds; a thread may be in the middle of connecting to a Vault that does not answer."""


_MORE = "allow more open files and processes (ulimit -n, ulimit -u), or run fewer tests at a time (-n)"


class Proxy(Recorder):
    """A recording, fault-injecting reverse proxy in front of a real Vault.

    It listens on a random port, serves HTTP/1.1 from threads of this process and gives Vault's responses on unchanged
    unless a fault was injected. It never follows a redirect.

    :param upstream: address of the real Vault.
    :param upstream_ca: CA certificates of that Vault (PEM); None for the system trust store.
    :param certificate: its server certificate; None serves plain HTTP.
    :param bind: address to listen on.
    :param port: to listen on; 0 takes a free one.
    :param advertise: host name or address in :attr:`url`; default ``bind``.
    :param prefix: path at which Vault is served, such as ``/team/vault``; nothing is served outside of it.
    :param namespaces: such as ``team-a/pki``: Vault is served as if what is mounted there were in each of these
        namespaces of Vault Enterprise, see :mod:`~pytest_vault_issuer.proxy.namespaces`; () for one without any.
    :param health_in_namespace: status of a health query in a namespace: 404 as Vault Enterprise, 400 as OpenBao; None
        answers the query.
    :param request_header_required: refuse requests without ``X-Vault-Request: true`` with 412, as Vault Agent and Vault
        Proxy do with ``require_request_header``.
    :param most_connections: connections that may be open at a time; further ones are reset. None for no limit.
    :param client_ca: PEM; the proxy requests client certificates, and accepts those of this CA.
    :param client_certificate_required: whether to refuse clients without a certificate.
    :param only_tls13: whether to accept TLS 1.3 only.
    :param observer: sees the requests, and bounds the waits for them.
    :ivar connections: number of accepted connections so far, including those with a failed handshake.
    :ivar peak_connections: the highest number of connections that were open at a time.
    :ivar refused_connections: number of connections that were reset because of the limit.
    :raises ConfigurationError: if the arguments contradict each other, or ``upstream`` is not an address.
    """

    def __init__(
        self,
        upstream: str,
        *,
        upstream_ca: str | None,
        certificate: ServerCertificate | None,
        bind: str = "127.0.0.1",
        port: int = 0,
        advertise: str | None = None,
        prefix: str = "",
        namespaces: Iterable[str] = (),
        health_in_namespace: int | None = None,
        request_header_required: bool = False,
        most_connections: int | None = None,
        client_ca: str | None = None,
        client_certificate_required: bool = False,
        only_tls13: bool = False,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(observer)
        if client_certificate_required and client_ca is None:
            raise ConfigurationError(
                "a required client certificate needs client_ca", hint="set client_ca to the CA that verifies it"
            )
        if client_ca is not None and certificate is None:
            raise ConfigurationError("there are no client certificates in plain HTTP", hint="set certificate")
        self._shared = Shared(
            upstream_at(upstream, upstream_ca),
            prefix.rstrip("/"),
            tuple(map(canonical, namespaces)),
            health_in_namespace,
            request_header_required,
            recorder=self,
        )
        self._bind = bind
        self._wanted_port = port
        self._advertise = advertise or bind
        self._client_ca = client_ca
        self._client_certificate_required = client_certificate_required
        self._only_tls13 = only_tls13
        self._lock = threading.Lock()
        self._certificate = certificate
        self._context = self._new_context(certificate) if certificate else None
        self._port = 0
        self._wake: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._threads: dict[ClientConnection, threading.Thread] = {}
        self.connections = 0
        self._most_connections = most_connections
        self.refused_connections = 0
        self.peak_connections = 0
        self._closed = False

    def start(self) -> Self:
        """Listen and serve. A proxy can be started only once.

        :raises VaultIssuerError: if it cannot listen there, or was started before.
        """
        if self._port or self._closed:
            raise VaultIssuerError("this proxy was started before", hint="create another one")
        family = socket.AF_INET6 if ":" in self._bind else socket.AF_INET
        with contextlib.ExitStack() as undo:
            try:
                listener = undo.enter_context(
                    socket.create_server((self._bind, self._wanted_port), family=family, backlog=_BACKLOG)
                )
                wake, woken = map(undo.enter_context, socket.socketpair())
                selector = undo.enter_context(selectors.DefaultSelector())
                port = listener.getsockname()[1]
                acceptor = threading.Thread(
                    target=self._accept, args=(listener, woken, selector), name=f"vault-proxy-{port}", daemon=True
                )
                acceptor.start()
            except (OSError, RuntimeError) as error:
                exhausted = not isinstance(error, OSError) or error.errno in EXHAUSTED
                hint = _MORE if exhausted else "set bind to an address of this machine"
                raise VaultIssuerError(f"the proxy cannot listen on {self._bind}: {error}", hint=hint) from error
            undo.pop_all()
        self._port, self._wake, self._acceptor = port, wake, acceptor
        return self

    def close(self) -> None:
        """End all connections (also those of held requests) and all threads. The record stays."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._shared.lifetime.end()
        if self._wake is None or self._acceptor is None:
            return
        deadline = time.monotonic() + _CLOSING
        self._wake.close()
        self._acceptor.join(_CLOSING)
        for connection in self._threads:
            connection.interrupt()
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address for clients, with the prefix as its path.

        :raises VaultIssuerError: before :meth:`start`.
        """
        if not self._port:
            raise VaultIssuerError("the proxy has no address yet", hint="start it, or use it in a with statement")
        host = f"[{self._advertise}]" if ":" in self._advertise else self._advertise
        return f"{'https' if self._certificate else 'http'}://{host}:{self._port}{self._shared.prefix}"

    @property
    def ca_pem(self) -> str:
        """The CA certificate that a client must trust (PEM); empty for plain HTTP."""
        return self._certificate.ca_pem if self._certificate else ""

    @property
    def open_connections(self) -> int:
        """The number of connections of clients that are open now."""
        with self._lock:
            return self._count_open()

    def limit_connections(self, most: int | None) -> None:
        """Allow at most this many connections at a time from now on; None for no limit, 0 for no further connection.

        Open ones stay open.
        """
        with self._lock:
            self._most_connections = most

    # --- certificates and Vault

    def replace_certificate(self, certificate: ServerCertificate) -> None:
        """Use another server certificate from now on.

        Idle connections are closed, busy ones after their response, so that no client goes on with the old one.

        :raises ConfigurationError: if this proxy serves plain HTTP.
        """
        if self._context is None:
            raise ConfigurationError("a proxy for plain HTTP has no certificate", hint="create it with one")
        context = self._new_context(certificate)
        with self._lock:
            self._certificate, self._context = certificate, context
            connections = list(self._threads)
        deadline = time.monotonic() + _RETIRING
        for connection in connections:
            connection.retire(max(0.0, deadline - time.monotonic()))

    def pass_on(self, client: ClientCertificate) -> None:
        """Let clients present a certificate to Vault from now on: this one, or one of an earlier call.

        The proxy is where TLS ends, so Vault does not see what its clients present. Knowing the key, the proxy presents
        the same certificate on the connections on which it forwards their requests: Vault and its ``cert`` auth method
        judge it as if they had talked to the client itself. As there, a client need not present any.

        :raises ConfigurationError: if this proxy serves plain HTTP.
        """
        with self._lock:
            if self._certificate is None:
                raise ConfigurationError("there are no client certificates in plain HTTP", hint="set certificate")
            self._shared.clients[client.der] = client
            self._context = self._new_context(self._certificate)

    def set_upstream(self, url: str, ca: str | None) -> None:
        """Forward requests to another Vault from now on.

        :raises ConfigurationError: if ``url`` is not an address.
        """
        self._shared.upstream = upstream_at(url, ca)

    # --- threads

    def _new_context(self, certificate: ServerCertificate) -> ssl.SSLContext:
        return server_context(
            certificate,
            client_ca=self._client_ca,
            client_certificate_required=self._client_certificate_required,
            clients=self._shared.clients.values(),
            only_tls13=self._only_tls13,
        )

    def _accept(self, listener: socket.socket, woken: socket.socket, selector: selectors.BaseSelector) -> None:
        # Closing a socket does not end another thread's wait for it: close() ends the wait by closing ``woken``'s peer.
        with listener, woken, selector:
            listener.setblocking(False)
            selector.register(woken, selectors.EVENT_READ)
            selector.register(listener, selectors.EVENT_READ)
            while not any(key.fileobj is woken for key, _ in selector.select()):
                if not self._accept_one(listener):
                    # The client still waits, so that the listener would be ready again at once.
                    selector.unregister(listener)
                    selector.select(_BACK_OFF)
                    selector.register(listener, selectors.EVENT_READ)

    def _accept_one(self, listener: socket.socket) -> bool:
        """Accept a connection and serve it in a thread; return False if this machine is out of resources."""
        try:
            sock, _ = listener.accept()
        except OSError as error:
            # A client that is gone again makes accept fail.
            if error.errno not in EXHAUSTED:
                return True
            self.in_trouble(f"no connection accepted: {error}")
            return False
        try:
            self._serve(sock)
        except (RuntimeError, MemoryError) as error:
            self.in_trouble(f"no thread for a connection: {error}")
            return False
        return True

    def _serve(self, sock: socket.socket) -> None:
        """Serve a connection in its own thread.

        :raises RuntimeError: if no thread can start; the connection is then closed.
        """
        with self._lock:
            self.connections += 1
            self._threads = {known: running for known, running in self._threads.items() if running.is_alive()}
            already_open = self._count_open()
            if self._most_connections is not None and already_open >= self._most_connections:
                self.refused_connections += 1
                reset(sock)
                return
            try:
                sock.setblocking(True)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is not None:
                    sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except (OSError, ValueError):
                sock.close()
                return
            connection = ClientConnection(sock, self._shared)
            thread = threading.Thread(target=connection.run, name=f"vault-proxy-{self._port}", daemon=True)
            try:
                thread.start()
            except BaseException:
                sock.close()
                raise
            self._threads[connection] = thread
            self.peak_connections = max(self.peak_connections, already_open + 1)

    def _count_open(self) -> int:
        """Count the connections that a client keeps; the caller holds the lock.

        The thread of a connection may end some time after its client has disconnected.
        """
        return sum(thread.is_alive() and not known.client_gone for known, thread in self._threads.items())
