"""Our own Vault client: it uses nothing of the environment, and raises our own errors."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hvac.exceptions
import pytest

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.vault.client import VaultRefusedError, VaultServer, VaultUnreachableError, client
from pytest_vault_issuer.vault.server import check_existing

TOKEN = "canary-token-Tq8rX2"


@contextmanager
def serving(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[tuple[bytes, object]]]]:
    """Serve one answer to every request, or close the connection if the answer is empty; return the port and the
    requests."""
    seen: list[tuple[bytes, object]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    with context.wrap_socket(connection, server_side=True) if context else connection as stream:
                        head = stream.recv(65536)
                        seen.append((head, stream.getpeercert() if isinstance(stream, ssl.SSLSocket) else None))
                        stream.sendall(answer)
                except ConnectionError:
                    continue
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], seen
        listener.shutdown(socket.SHUT_RDWR)


def http(status: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def server(port: int) -> VaultServer:
    return VaultServer(url=f"http://127.0.0.1:{port}", token=TOKEN)


def test_vault_that_hangs_up_is_a_stack_error() -> None:
    with serving(b"") as (port, _):
        with pytest.raises(VaultUnreachableError, match=f"the Vault at http://127.0.0.1:{port} cannot be reached"):
            client(server(port), Timeouts()).auth.token.lookup_self()
        with pytest.raises(StackError, match="cannot be reached") as raised:
            check_existing(server(port), Timeouts())
    assert TOKEN not in str(raised.value)


def test_rejection_is_our_error_and_hvacs_error() -> None:
    with (
        serving(http("403 Forbidden", {"errors": ["permission denied"]})) as (port, _),
        pytest.raises(VaultRefusedError, match="permission denied") as raised,
    ):
        client(server(port), Timeouts()).sys.list_auth_methods()
    assert isinstance(raised.value, hvac.exceptions.Forbidden)
    assert isinstance(raised.value, StackError)
    assert raised.value.errors == ["permission denied"]


def redirect(status: str, to: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("status", "why"), [("302 Found", "redirects with 302"), ("307 Temporary Redirect", "from https")]
)
def test_token_does_not_follow_a_redirect_to_another_service(tmp_path: Path, status: str, why: str) -> None:
    authority = Authority()
    context, ca_file = trusted(authority, tmp_path)
    with serving(http("200 OK", {"sealed": False})) as (other, seen):
        to = redirect(status, f"http://127.0.0.1:{other}/login")
        with serving(to, context) as (port, _):
            vault = VaultServer(url=f"https://127.0.0.1:{port}", ca_file=ca_file, token=TOKEN)
            with pytest.raises(VaultUnreachableError, match=why):
                client(vault, Timeouts()).sys.list_policies()
    assert seen == []


def test_redirect_of_a_standby_is_followed() -> None:
    with serving(http("200 OK", {"data": {"policies": ["a"]}})) as (active, seen):
        to = redirect("307 Temporary Redirect", f"http://127.0.0.1:{active}/v1/sys/policy")
        with serving(to) as (port, _):
            assert client(server(port), Timeouts()).sys.list_policies()["data"]["policies"] == ["a"]
    assert TOKEN.encode() in seen[0][0]


def trusted(authority: Authority, tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """Return the context of a server at 127.0.0.1, and the file of the CA that its clients trust."""
    certificate = authority.issue("127.0.0.1")
    for name, content in (("server.pem", certificate.certificate_chain_pem), ("server.key", certificate.key_pem)):
        (tmp_path / name).write_text(content)
    (tmp_path / "ca.pem").write_text(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    return context, str(tmp_path / "ca.pem")


PROGRAM = """
import sys
from pytest_vault_issuer.vault.client import VaultServer
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.vault.server import VaultAdmin

admin = VaultAdmin(VaultServer(url=sys.argv[1], ca_file=sys.argv[2], token=sys.argv[3]), Timeouts())
print(admin.health, admin.client.sys.read_seal_status()["sealed"])
"""


@pytest.mark.parametrize("token", [TOKEN, ""], ids=["token", "no token"])
def test_nothing_of_the_environment_is_used(tmp_path: Path, token: str) -> None:
    authority = Authority()
    certificate, stranger = authority.issue("127.0.0.1"), Authority("ambient").issue_client("ambient")
    files = {
        "ca.pem": authority.pem,
        "server.pem": certificate.certificate_chain_pem,
        "server.key": certificate.key_pem,
        "ambient.pem": stranger.certificate_pem,
        "ambient.key": stranger.key_pem,
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ambient password ambient\n")
    (tmp_path / ".vault-token").write_text("ambient")
    (tmp_path / ".netrc").chmod(0o600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(cadata=authority.pem + Authority("x").pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    nowhere = "http://127.0.0.1:1"
    ambient = {
        "HOME": str(tmp_path),
        "PATH": os.defpath,
        "VAULT_ADDR": nowhere,
        "VAULT_TOKEN": "ambient",
        "VAULT_NAMESPACE": "ambient",
        "VAULT_CLIENT_CERT": str(tmp_path / "ambient.pem"),
        "VAULT_CLIENT_KEY": str(tmp_path / "ambient.key"),
        "VAULT_CACERT": str(tmp_path / "ambient.pem"),
        "VAULT_CAPATH": str(tmp_path),
        "VAULT_SKIP_VERIFY": "true",
        "REQUESTS_CA_BUNDLE": str(tmp_path / "ambient.pem"),
        "CURL_CA_BUNDLE": str(tmp_path / "ambient.pem"),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), nowhere),
    }
    with serving(http("200 OK", {"sealed": False}), context) as (port, seen):
        arguments = [f"https://127.0.0.1:{port}", str(tmp_path / "ca.pem"), token]
        ended = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], env=ambient, capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("200 False\n", 0), ended.stderr
    assert len(seen) == 2
    assert [peer for _, peer in seen if peer] == []
    assert not any(b"ambient" in head or b"Authorization" in head for head, _ in seen)
    assert any(TOKEN.encode() in head for head, _ in seen) == bool(token)


def test_missing_file_of_the_ca_certificate_is_a_stack_error(tmp_path: Path) -> None:
    gone = VaultServer(url="https://127.0.0.1:1", ca_file=str(tmp_path / "gone.pem"), token=TOKEN)
    with pytest.raises(VaultUnreachableError, match=r"gone\.pem"):
        client(gone, Timeouts()).sys.list_policies()
    with pytest.raises(StackError, match=r"gone\.pem"):
        check_existing(gone, Timeouts())
