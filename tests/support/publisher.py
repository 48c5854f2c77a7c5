"""A file server with TLS on loopback, with the layouts of publishers and image registries; and an HTTP proxy."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import io
import json
import select
import socket
import socketserver
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.proxy.tls import server_context

S = TypeVar("S", bound=socketserver.BaseServer)


class Publisher(http.server.ThreadingHTTPServer):
    """Serves `files` by path; tests can make it behave differently.

    :ivar files: content by path, with a leading slash.
    :ivar asked: path and Range of each request.
    :ivar cut: number of bytes after which the connection ends, by path, for one answer each.
    :ivar moved: target of a redirect, by path.
    :ivar token: the token that the registry requires; '' for none.
    :ivar on_request: called with each path before the answer.
    """

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        authority = Authority.root()
        self.ca = directory / "publisher-ca.pem"
        self.ca.write_text(authority.pem)
        context = server_context(authority.issue("127.0.0.1", "localhost"))
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.cut: dict[str, list[int]] = {}
        self.moved: dict[str, str] = {}
        self.token = ""
        self.on_request: Callable[[str], None] = lambda path: None

    def publish(self, url: str, content: bytes) -> str:
        """Serve a file of a publisher's URL, as a mirror does; return its SHA-256."""
        self.files["/" + url.removeprefix("https://")] = content
        return sha256(content)

    def push(self, image: str, tag: str, layers: list[dict[str, bytes]], platforms: Mapping[str, str]) -> str:
        """Serve an image, as a registry does; return the digest of its manifest.

        :param layers: files by path, the lowest layer first.
        :param platforms: os and architecture.
        """
        blobs = [gzip.compress(tar(layer, mode="w:"), mtime=0) for layer in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "layers": [{"digest": sha256(blob), "size": len(blob), "mediaType": "tar+gzip"} for blob in blobs],
        }
        content = json.dumps(manifest).encode()
        index = {"manifests": [{"digest": sha256(content), "platform": dict(platforms)}]}
        host, _, path = image.partition("/")
        for blob in blobs:
            self.files[f"/{host}/v2/{path}/blobs/{sha256(blob)}"] = blob
        self.files[f"/{host}/v2/{path}/manifests/{sha256(content)}"] = content
        self.files[f"/{host}/v2/{path}/manifests/{tag}"] = json.dumps(index).encode()
        return sha256(content)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: some tests use clients that close the connection."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Publisher

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        wanted = self.headers.get("Range", "")
        self.server.asked.append((path, wanted))
        self.server.on_request(path)
        if path == "/token":
            return self._answer(200, json.dumps({"token": self.server.token}).encode())
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            challenge = f'Bearer realm="{self.server.url}/token",service="s",scope="repository:r:pull"'
            return self._answer(401, b"", {"WWW-Authenticate": challenge})
        if path in self.server.moved:
            return self._answer(302, b"", {"Location": self.server.moved[path]})
        content = self.server.files.get(path)
        if content is None:
            return self._answer(404, b"no such file")
        if wanted:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(content):
                return self._answer(416, b"")
            headers = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"}
            return self._answer(206, content[begin:], headers)
        return self._answer(200, content)

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        path = self.path.partition("?")[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.server.cut.get(path):
            self.wfile.write(content[: self.server.cut[path].pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


class _Tunnel(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        target = self.rfile.readline().split()[1].decode()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        self.server.asked.append(target)  # type: ignore[attr-defined]
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            ends = {self.connection: upstream, upstream: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    ends[end].sendall(data)


class Proxy(socketserver.ThreadingTCPServer):
    """An HTTP proxy that only tunnels.

    :ivar asked: the requested hosts and ports.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: list[str] = []


@contextlib.contextmanager
def serving(server: S) -> Iterator[S]:
    """Run a server in a thread."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tar(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    """Return an archive; a content that begins with ``->`` is a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if content.startswith(b"->"):
                entry.type, entry.linkname = tarfile.SYMTYPE, content[2:].decode()
                archive.addfile(entry)
                continue
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    """Return the digest of a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
