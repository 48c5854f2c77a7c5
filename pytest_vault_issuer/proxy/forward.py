"""A forward proxy for the environment variables HTTPS_PROXY and HTTP_PROXY."""

from __future__ import annotations

import contextlib
import selectors
import socket
import socketserver
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_HEAD_LIMIT = 64 * 1024
_TIMEOUT = 30.0
"""Timeout in seconds for the head of a request, and for data in a tunnel."""
_CHUNK = 64 * 1024


class ForwardProxy:
    """A forward proxy that connects to the servers that it knows by name, and refuses all others with 502.

    It accepts CONNECT, and for plain HTTP requests with an absolute URL, one per connection.

    :param servers: host name -> address and port to which the proxy connects.
    :param bind: address to listen on.
    :ivar requested: host and port of each request, in order.
    """

    def __init__(self, servers: dict[str, tuple[str, int]], *, bind: str = "127.0.0.1") -> None:
        self.requested: list[tuple[str, int]] = []
        self._servers = servers
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, ValueError):
                    owner._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            address_family = socket.AF_INET6 if ":" in bind else socket.AF_INET
            daemon_threads = True
            block_on_close = False

        self._server = Server((bind, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="forward-proxy", daemon=True)
        self._thread.start()
        host = f"[{bind}]" if ":" in bind else bind
        #: The URL for these variables.
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def close(self) -> None:
        """Accept no further connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(_TIMEOUT)
        head, rest = _head(client)
        line, _, headers = head.partition(b"\r\n")
        method, target, version = line.split(b" ")
        url = urlsplit(f"//{target.decode()}" if method == b"CONNECT" else target.decode())
        host, port = url.hostname or "", url.port or 80
        self.requested.append((host, port))
        if host not in self._servers:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with socket.create_connection(self._servers[host], timeout=_TIMEOUT) as server:
            if method == b"CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(rest)
            else:
                path = (url.path or "/") + (f"?{url.query}" if url.query else "")
                server.sendall(
                    b"%s %s %s\r\nConnection: close\r\n%s\r\n\r\n%s" % (method, path.encode(), version, headers, rest)
                )
            _tunnel(client, server)


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of a request, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(_CHUNK)
        if not more or len(data) > _HEAD_LIMIT:
            raise ValueError("no request")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _tunnel(client: socket.socket, server: socket.socket) -> None:
    """Pass bytes on in both directions until one side ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while ready := selector.select(_TIMEOUT):
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(_CHUNK)
                if not data:
                    return
                key.data.sendall(data)
