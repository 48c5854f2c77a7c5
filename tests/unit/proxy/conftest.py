"""A small HTTPS server behind the proxy, and clients of the proxy: these tests cover only the proxy."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from pytest_vault_issuer.certificates import Authority, ServerCertificate
from pytest_vault_issuer.proxy.server import Proxy
from pytest_vault_issuer.proxy.tls import client_context, server_context

CHAIN = ["intermediate-1", "intermediate-2", "root"]
SIGNED = {"data": {"certificate": "leaf", "issuing_ca": "intermediate-1", "ca_chain": CHAIN}}


class Upstream:
    """Gives the configured answers, and records the requests."""

    def __init__(self, certificate: ServerCertificate, **options: Any) -> None:
        self.client_certificates: list[bytes | None] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections: list[socket.socket] = []
        self.status = 200
        self.headers: list[tuple[str, str]] = [("Content-Type", "application/json")]
        self.body: bytes | None = json.dumps(SIGNED).encode()
        """None answers with the request's body."""
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # The server writes headers and body separately, and Nagle's algorithm would delay the body by 40 ms.
            disable_nagle_algorithm = True

            def setup(self) -> None:
                upstream.connections.append(self.request)
                super().setup()

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                upstream.client_certificates.append(self.request.getpeercert(binary_form=True))
                upstream.requests.append((self.command, self.path, dict(self.headers), body))
                content = body if upstream.body is None else upstream.body
                self.send_response(upstream.status)
                for name, value in upstream.headers:
                    self.send_header(name, value)
                if upstream.status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD" and upstream.status != 204:
                    self.wfile.write(content)

            do_GET = do_HEAD = do_LIST = do_POST = do_PUT = answer  # noqa: N815 - names http.server looks up

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
                """Print nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            # The tests send 50 requests at a time; the default backlog is 5.
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Ignore errors: some tests reset connections."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = server_context(certificate, **options).wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.ca = certificate.ca_pem
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def drop_connections(self) -> None:
        """Close the connections that clients keep, as a restarted Vault does."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self.connections.clear()

    def close(self) -> None:
        """Stop listening, so that the server refuses every connection. May be called twice."""
        self.drop_connections()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Client:
    """A requests session that trusts one CA."""

    def __init__(self, url: str, ca_pem: str, directory: Path) -> None:
        self.url = url
        self.session = requests.Session()
        # Ignore the proxy and the .netrc of the user who runs the tests.
        self.session.trust_env = False
        if ca_pem:
            file = directory / f"ca-{len(list(directory.iterdir()))}.pem"
            file.write_text(ca_pem)
            self.session.verify = str(file)

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=10, allow_redirects=False, **options)

    def sign(self, **options: Any) -> requests.Response:
        """Send a sign request."""
        return self("POST", "/v1/pki/sign/role", json={"common_name": "a.example"}, **options)


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The CA of the proxies and of the server behind them."""
    return Authority()


@pytest.fixture
def new_upstream(authority: Authority) -> Iterator[Callable[..., Upstream]]:
    """Return a function that starts a server for the proxy to forward to; arguments go to :func:`server_context`."""
    with ExitStack() as stack:

        def start(**options: Any) -> Upstream:
            server = Upstream(authority.issue("127.0.0.1"), **options)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def upstream(new_upstream: Callable[..., Upstream]) -> Upstream:
    """The server behind the proxy."""
    return new_upstream()


@pytest.fixture
def new_proxy(upstream: Upstream, authority: Authority) -> Iterator[Callable[..., Proxy]]:
    """Return a function that starts a proxy in front of the server; arguments go to :class:`Proxy`."""
    with ExitStack() as stack:

        def start(**options: Any) -> Proxy:
            options.setdefault("certificate", authority.issue("127.0.0.1", "localhost"))
            return stack.enter_context(Proxy(upstream.url, upstream_ca=upstream.ca, **options))

        yield start


@pytest.fixture
def proxy(new_proxy: Callable[..., Proxy]) -> Proxy:
    """A proxy with a certificate its clients trust."""
    return new_proxy()


@pytest.fixture
def new_client(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Return a function that creates a client of a proxy, by default one that trusts it."""
    with ExitStack() as stack:

        def make(proxy: Proxy, *, url: str | None = None, ca_pem: str | None = None) -> Client:
            client = Client(url or proxy.url, proxy.ca_pem if ca_pem is None else ca_pem, tmp_path)
            stack.callback(client.session.close)
            return client

        yield make


@pytest.fixture
def client(new_client: Callable[..., Client], proxy: Proxy) -> Client:
    """A client of the proxy that trusts it."""
    return new_client(proxy)


@pytest.fixture
def connect() -> Iterator[Callable[..., ssl.SSLSocket]]:
    """Return a function that opens a TLS connection to a proxy, to send what an HTTP client would not send."""
    with ExitStack() as stack:

        def open_connection(
            proxy: Proxy, context: ssl.SSLContext | None = None, *, name: str | None = None
        ) -> ssl.SSLSocket:
            host, _, port = proxy.url.removeprefix("https://").rpartition(":")
            raw = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            context = context or client_context(proxy.ca_pem)
            return stack.enter_context(context.wrap_socket(raw, server_hostname=name or host))

        yield open_connection
