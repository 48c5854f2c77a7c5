"""The forward proxy: which servers it connects to, and what it passes on."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from pytest_vault_issuer import ForwardProxy

#: Seconds until a connection that hangs fails the test.
LIMIT = 10.0
NAME = "vault.example.test"


class Echo(BaseHTTPRequestHandler):
    """Answers with the path of the request and its body."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode() + b" " + body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is given)
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """Return the address of a server."""
    with HTTPServer(("127.0.0.1", 0), Echo) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield "127.0.0.1", served.server_address[1]
        served.shutdown()
        thread.join()


@contextlib.contextmanager
def connection(forward: ForwardProxy) -> Iterator[http.client.HTTPConnection]:
    """Connect to the proxy."""
    address = urlsplit(forward.url)
    client = http.client.HTTPConnection(str(address.hostname), address.port, timeout=LIMIT)
    try:
        yield client
    finally:
        client.close()


def test_tunnel_leads_to_the_known_server(server: tuple[str, int]) -> None:
    with ForwardProxy({NAME: server}) as forward, connection(forward) as client:
        client.set_tunnel(NAME, 8200)
        client.request("POST", "/v1/sign", b"csr")
        assert client.getresponse().read() == b"/v1/sign csr"
        assert forward.requested == [(NAME, 8200)]


def test_plain_request_reaches_the_known_server(server: tuple[str, int]) -> None:
    with ForwardProxy({NAME: server}) as forward, connection(forward) as client:
        client.request("POST", f"http://{NAME}/v1/sign?x=1", b"csr")
        assert client.getresponse().read() == b"/v1/sign?x=1 csr"
        assert forward.requested == [(NAME, 80)]


def test_unknown_server_is_refused_and_recorded() -> None:
    with ForwardProxy({}) as forward, connection(forward) as client:
        client.set_tunnel("127.0.0.1", 443)
        with pytest.raises(OSError, match="502"):
            client.request("POST", "/", b"")
        assert forward.requested == [("127.0.0.1", 443)]
