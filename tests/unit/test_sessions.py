"""HTTP calls that skip the preparation of requests: the server receives the same."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from pytest_vault_issuer import sessions
from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.proxy.tls import server_context
from pytest_vault_issuer.sessions import ApiSession
from tests.support.publisher import serving


class Server(ThreadingHTTPServer):
    """Records the requests; answers with {}, or at ``/moved`` with a redirect."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = sorted((name.lower(), value) for name, value in self.headers.items())
        self.server.seen.append((self.command, self.path, headers, body))
        self.send_response(307 if self.path == "/moved" else 200)
        if self.path == "/moved":
            self.send_header("Location", "/new")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


@pytest.fixture
def usual() -> Iterator[requests.Session]:
    """Return a session of requests that ignores the environment."""
    with contextlib.closing(requests.Session()) as session:
        session.trust_env = False
        yield session


@pytest.fixture
def session() -> Iterator[ApiSession]:
    with contextlib.closing(ApiSession()) as session:
        yield session


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/apis/cert-manager.io/v1/namespaces/a/issuers/b", {}),
    ("GET", "/a", {"params": {"labelSelector": "", "field": "metadata.name=ä b", "none": None, "all": ["a", "b"]}}),
    ("POST", "/a", {"data": json.dumps({"a": "ä"}), "headers": {"Content-Type": "application/json"}}),
    ("POST", "/a", {"data": "ä"}),
    ("POST", "/a", {"data": ""}),
    ("POST", "/a", {"data": None, "headers": {"Authorization": "Bearer a", "Accept": "application/json"}}),
    ("post", "/v1/a", {"json": {"a": 1, "b": "ä"}, "headers": {"X-Vault-Token": "a"}}),
    ("post", "/v1/a", {"json": {}}),
    ("post", "/v1/a", {"json": None, "allow_redirects": False}),
    ("PUT", "/a", {"data": b"abc", "headers": {"accept": "text/plain", "X-None": None}}),
    ("PATCH", "/a", {"data": "[]", "params": {"fieldManager": "a", "force": "true"}}),
    ("DELETE", "/a", {}),
    ("DELETE", "/a", {"data": "{}", "timeout": (1, 2)}),
    ("GET", "/v1/a%20b%2Fc", {"params": {"list": "true"}}),
    # requests handles these calls
    ("GET", "/v1/a b/ä", {}),
    ("GET", "/a?b=c", {"params": {"d": "e"}}),
    ("POST", "/a", {"data": {"a": "b"}}),
    ("GET", "/a", {"auth": ("a", "b")}),
    ("GET", "/moved", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), CALLS, ids=lambda value: str(value))
def test_server_receives_the_same_as_from_requests(
    server: Server, usual: requests.Session, session: ApiSession, method: str, path: str, options: dict[str, Any]
) -> None:
    options = {"timeout": 10, **options}
    expected = usual.request(method, server.url + path, **options)
    sent = server.seen[:]
    server.seen.clear()
    answer = session.request(method, server.url + path, **options)
    # A redirected call starts again.
    assert server.seen[-len(sent) :] == sent
    assert (answer.status_code, answer.json(), answer.url) == (expected.status_code, expected.json(), expected.url)


def test_redirect_is_not_followed_on_request(server: Server, session: ApiSession) -> None:
    assert session.request("GET", f"{server.url}/moved", allow_redirects=False, timeout=10).status_code == 307
    assert [path for _, path, *_ in server.seen] == ["/moved"]


def test_connection_is_kept(server: Server, session: ApiSession) -> None:
    for _ in range(3):
        session.request("POST", f"{server.url}/a", data="{}", timeout=10)
    assert server.connections == 1


def test_closed_session_connects_again(server: Server, session: ApiSession) -> None:
    for _ in range(2):
        assert session.request("GET", f"{server.url}/a", timeout=10).ok
        session.close()
    assert server.connections == 2


def test_connections_are_kept_apart_by_server_and_trust(session: ApiSession) -> None:
    def connections(url: str, verify: str | bool, cert: tuple[str, str] | None = None) -> object:
        request = requests.Request("GET", url).prepare()
        return session.get_adapter(url).get_connection_with_tls_context(request, verify, {}, cert)

    settings = [
        ("https://a.test/x", True, None),
        ("https://a.test:444/x", True, None),
        ("https://b.test/x", True, None),
        ("https://a.test/x", False, None),
        ("https://a.test/x", "/ca.pem", None),
        ("https://a.test/x", True, ("/cert.pem", "/key.pem")),
    ]
    found = [connections(*setting) for setting in settings]
    assert len(set(map(id, found))) == len(settings)
    assert connections("https://a.test/y?z", True) is found[0]


def test_connections_share_the_certificates_that_they_trust(
    session: ApiSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, read = Authority(), list[str]()
    file = tmp_path / "ca.pem"
    file.write_text(authority.pem)
    session.verify = str(file)
    make = sessions._context
    monkeypatch.setattr(sessions, "_context", lambda path: (read.append(path), make(path))[1])
    with serving(Server()) as server:
        server.socket = server_context(authority.issue("127.0.0.1")).wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_address[1]}"
        with session.request("GET", url + "/a", stream=True, timeout=10):
            assert session.request("GET", url + "/b", timeout=10).ok
        assert server.connections == 2
        assert read == [str(file)]
        session.close()
        file.write_text(Authority().pem)
        with pytest.raises(requests.exceptions.SSLError, match="certificate verify failed"):
            session.request("GET", url + "/c", timeout=10)
        file.unlink()
        with pytest.raises(OSError, match=r"invalid path: .*ca\.pem"):
            session.request("GET", url + "/d", timeout=10)


def test_settings_of_the_session_apply(server: Server, session: ApiSession) -> None:
    session.headers["X-Own"] = "own"
    session.request("GET", f"{server.url}/a", timeout=10)
    assert ("x-own", "own") in server.seen[0][2]
    session.proxies = {"http": server.url}
    session.request("GET", "http://vault.invalid/a", timeout=10)
    assert server.seen[1][1] == "http://vault.invalid/a"


def test_environment_is_ignored(server: Server, session: ApiSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert session.request("GET", f"{server.url}/a", timeout=10).ok


def test_refused_connection_is_an_error_of_requests(server: Server, session: ApiSession) -> None:
    with pytest.raises(requests.ConnectionError):
        session.request("GET", "http://127.0.0.1:1/a", timeout=10)
