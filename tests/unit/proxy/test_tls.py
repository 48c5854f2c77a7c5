"""Certificates: how clients verify the proxy's, and how the proxy handles theirs."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_vault_issuer.certificates import Authority, ClientCertificate
from pytest_vault_issuer.errors import ConfigurationError, Unmet
from pytest_vault_issuer.proxy.connection import ClientConnection, Shared
from pytest_vault_issuer.proxy.exchange import Route
from pytest_vault_issuer.proxy.faults import Hold
from pytest_vault_issuer.proxy.server import Proxy
from pytest_vault_issuer.proxy.tls import client_context, load_certificate, server_context
from pytest_vault_issuer.proxy.upstream import Upstream

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Client, Upstream

Connect = Callable[..., ssl.SSLSocket]
NewClient = Callable[..., "Client"]
NewProxy = Callable[..., Proxy]
NewUpstream = Callable[..., "Upstream"]
REQUEST = b"GET /v1/sys/health HTTP/1.1\r\nConnection: close\r\n\r\n"


def read_all(sock: ssl.SSLSocket) -> bytes:
    """Read until the other side closes the connection."""
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def client_certificate_files(client: ClientCertificate, directory: Path) -> tuple[str, str]:
    """Return the paths of the certificate and the key, as requests expects them."""
    names = directory / "client.crt", directory / "client.key"
    for name, pem in zip(names, (client.certificate_pem, client.key_pem), strict=True):
        name.touch(0o600)
        name.write_text(pem)
    return str(names[0]), str(names[1])


def test_client_that_trusts_another_ca(proxy: Proxy, new_client: NewClient) -> None:
    client = new_client(proxy, ca_pem=Authority().pem)
    with pytest.raises(requests.exceptions.SSLError):
        client.sign()
    assert "unknown ca" in proxy.wait_for_handshake_failure(10).reason
    assert proxy.exchanges == ()
    assert proxy.connections == 1


@pytest.mark.parametrize(("option", "words"), [("expired", "has expired"), ("not_yet_valid", "not yet valid")])
def test_certificate_outside_its_time(
    authority: Authority, new_proxy: NewProxy, new_client: NewClient, option: str, words: str
) -> None:
    options: dict[str, Any] = {option: True}
    proxy = new_proxy(certificate=authority.issue("127.0.0.1", **options))
    with pytest.raises(requests.exceptions.SSLError, match=words):
        new_client(proxy).sign()
    assert proxy.wait_for_handshake_failure(10).reason


def test_certificate_for_another_name(authority: Authority, new_proxy: NewProxy, connect: Connect) -> None:
    proxy = new_proxy(certificate=authority.issue("other.example", "192.0.2.1"))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        connect(proxy)
    assert proxy.wait_for_handshake_failure(10).reason


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(proxy: Proxy, connect: Connect, version: ssl.TLSVersion) -> None:
    context = client_context(proxy.ca_pem)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    sock = connect(proxy, context)
    assert sock.selected_alpn_protocol() == "http/1.1"
    sock.sendall(REQUEST)
    assert read_all(sock).startswith(b"HTTP/1.1 200 OK")
    assert not sock.session_reused
    with pytest.raises(ssl.SSLError):
        connect(proxy, _with_versions(client_context(Authority().pem), version))
    assert "unknown ca" in proxy.wait_for_handshake_failure(10).reason


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_tls_1_3(new_proxy: NewProxy, connect: Connect, authority: Authority, version: ssl.TLSVersion) -> None:
    proxy = new_proxy(only_tls13=True)
    context = _with_versions(client_context(authority.pem), version)
    if version is ssl.TLSVersion.TLSv1_3:
        assert connect(proxy, context).version() == "TLSv1.3"
    else:
        with pytest.raises(ssl.SSLError, match="version"):
            connect(proxy, context)


def test_alert_after_our_side_completed_the_handshake(proxy: Proxy) -> None:
    # A client that uses OpenSSL's memory buffers. It completes the handshake and then sends an invalid record, as a
    # client does that verifies the certificate itself.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(proxy.ca_pem).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])), timeout=10) as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        sock.sendall(outgoing.read() + b"\x17\x03\x03\x00\x20" + bytes(32))
        assert proxy.wait_for_handshake_failure(10).reason == "decryption failed or bad record mac"
    assert proxy.exchanges == ()


def test_clean_close_after_the_handshake_is_no_failure(proxy: Proxy, connect: Connect) -> None:
    sock = connect(proxy)
    sock.unwrap()
    sock.close()
    probe = socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])))
    probe.close()
    proxy.close()
    assert proxy.handshake_failures == ()


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"])
def test_what_is_no_tls_is_a_handshake_failure(proxy: Proxy, first: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2]))) as sock:
        sock.sendall(first)
        sock.shutdown(socket.SHUT_WR)
        assert proxy.wait_for_handshake_failure(10).reason


def test_waiting_for_a_handshake_failure(proxy: Proxy, client: Client) -> None:
    client.sign()
    with pytest.raises(Unmet, match=r"(?s)a failed TLS handshake within 0 s, saw none.*POST /v1/pki/sign/role 200"):
        proxy.wait_for_handshake_failure(0)
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2]))) as sock:
            before = len(proxy.handshake_failures)
            sock.sendall(b"no tls at all")
            sock.shutdown(socket.SHUT_WR)
            proxy.wait_for_handshake_failure(10, since=before)
    assert proxy.handshake_failures[0].time <= proxy.wait_for_handshake_failure(0, since=1).time
    with pytest.raises(Unmet, match="TLS handshake failed:"):
        proxy.wait_for(Route.LOGIN, timeout=0)


def test_server_name_of_the_client_is_recorded(proxy: Proxy, connect: Connect) -> None:
    for name in ("localhost", "127.0.0.1"):
        sock = connect(proxy, name=name)
        sock.sendall(REQUEST)
        read_all(sock)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(proxy, name="vault.example")
    assert proxy.wait_for_handshake_failure(10).server_name == "vault.example"
    assert [exchange.server_name for exchange in proxy.exchanges] == ["localhost", ""]


def test_wanted_client_certificate(new_proxy: NewProxy, new_client: NewClient, tmp_path: Path) -> None:
    clients = Authority("clients")
    proxy = new_proxy(client_ca=clients.pem)
    certificate = clients.issue_client("issuer")
    client = new_client(proxy)
    assert client.sign().status_code == 200
    client.session.close()
    client.session.cert = client_certificate_files(certificate, tmp_path)
    assert client.sign().status_code == 200
    without, presented = (exchange.client_certificate for exchange in proxy.exchanges)
    assert without is None
    assert presented == certificate.der


def test_required_client_certificate(new_proxy: NewProxy, new_client: NewClient, tmp_path: Path) -> None:
    clients = Authority("clients")
    proxy = new_proxy(client_ca=clients.pem, client_certificate_required=True)
    client = new_client(proxy)
    # With TLS 1.3, the client has already sent its request when the server rejects the certificate; it still gets the
    # alert.
    with pytest.raises(requests.exceptions.RequestException, match=r"(?i)certificate.required"):
        client.sign()
    assert proxy.wait_for_handshake_failure(10).reason == "peer did not return a certificate"
    client.session.cert = client_certificate_files(clients.issue_client("issuer"), tmp_path)
    assert client.sign().status_code == 200
    assert len(proxy.exchanges) == 1


def test_client_certificate_of_another_ca(new_proxy: NewProxy, new_client: NewClient, tmp_path: Path) -> None:
    proxy = new_proxy(client_ca=Authority("clients").pem)
    client = new_client(proxy)
    client.session.cert = client_certificate_files(Authority("clients").issue_client("issuer"), tmp_path)
    with pytest.raises(requests.exceptions.RequestException):
        client.sign()
    assert "certificate verify failed" in proxy.wait_for_handshake_failure(10).reason
    assert proxy.exchanges == ()


def test_certificate_that_is_passed_on(
    authority: Authority, new_upstream: NewUpstream, new_client: NewClient, tmp_path: Path
) -> None:
    # From unknown authorities: the server behind the proxy decides about them.
    one, another = (Authority("clients").issue_client(name) for name in ("one", "another"))
    upstream = new_upstream(clients=[one, another])
    with Proxy(upstream.url, upstream_ca=upstream.ca, certificate=authority.issue("127.0.0.1")) as proxy:
        for certificate in (one, another):
            proxy.pass_on(certificate)
        for certificate in (None, one, another):
            client = new_client(proxy)
            client.session.cert = client_certificate_files(certificate, tmp_path) if certificate else None
            assert client.sign().status_code == 200
    assert upstream.client_certificates == [None, one.der, another.der]
    assert [exchange.client_certificate for exchange in proxy.exchanges] == [None, one.der, another.der]


def test_certificate_of_a_known_ca_is_not_passed_on_without_its_key(
    authority: Authority, new_upstream: NewUpstream, new_client: NewClient, tmp_path: Path
) -> None:
    clients = Authority("clients")
    upstream, certificate = new_upstream(client_ca=clients.pem), clients.issue_client("one")
    options: dict[str, Any] = {"certificate": authority.issue("127.0.0.1"), "client_ca": clients.pem}
    with Proxy(upstream.url, upstream_ca=upstream.ca, **options) as proxy:
        client = new_client(proxy)
        client.session.cert = client_certificate_files(certificate, tmp_path)
        assert client.sign().status_code == 200
        proxy.pass_on(clients.issue_client("another"))
        assert client.sign().status_code == 200
    assert upstream.client_certificates == [None, None]
    assert {exchange.client_certificate for exchange in proxy.exchanges} == {certificate.der}


def test_certificate_that_is_not_passed_on_is_refused(
    proxy: Proxy, new_client: NewClient, tmp_path: Path, authority: Authority
) -> None:
    # From the same authority as a valid one.
    clients = Authority("clients")
    proxy.pass_on(clients.issue_client("one"))
    proxy.replace_certificate(authority.issue("127.0.0.1"))
    client = new_client(proxy)
    client.session.cert = client_certificate_files(clients.issue_client("one"), tmp_path)
    with pytest.raises(requests.exceptions.RequestException):
        client.sign()
    assert "certificate verify failed" in proxy.wait_for_handshake_failure(10).reason
    assert proxy.exchanges == ()


def test_plain_proxy_passes_no_certificate_on(new_proxy: NewProxy) -> None:
    with pytest.raises(ConfigurationError, match="plain HTTP"):
        new_proxy(certificate=None).pass_on(Authority("clients").issue_client("one"))


@pytest.mark.parametrize("options", [{"client_certificate_required": True}, {"client_ca": "pem", "certificate": None}])
def test_contradicting_options(authority: Authority, options: dict[str, Any]) -> None:
    options = {"certificate": authority.issue("127.0.0.1"), **options}
    with pytest.raises(ConfigurationError):
        Proxy("https://127.0.0.1:1", upstream_ca=None, **options)


def test_replaced_certificate_takes_effect_at_once(proxy: Proxy, client: Client, new_client: NewClient) -> None:
    client.sign()
    other = Authority()
    before = proxy.ca_pem
    proxy.replace_certificate(other.issue("127.0.0.1"))
    assert proxy.ca_pem == other.pem != before
    with pytest.raises(requests.exceptions.SSLError):
        client.sign()
    assert new_client(proxy).sign().status_code == 200
    assert len(proxy.exchanges) == 2
    assert len(proxy.handshake_failures) == 1


def test_busy_connection_is_closed_after_its_response(proxy: Proxy, connect: Connect, authority: Authority) -> None:
    hold = Hold()
    proxy.inject(None, hold)
    sock = connect(proxy)
    sock.sendall(REQUEST.replace(b"close", b"keep-alive"))
    assert hold.arrived.wait(10)
    proxy.replace_certificate(authority.issue("127.0.0.1"))
    hold.release()
    answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nConnection: close\r\n" in answer
    assert proxy.exchanges[0].status == 200


def test_request_on_its_way_to_a_retired_connection_comes_too_late() -> None:
    shared = Shared(Upstream("http://127.0.0.1:1", None))
    here, there = socket.socketpair()
    with here:
        connection = ClientConnection(there, shared)
        here.sendall(REQUEST)
        connection.retire(10)
        mark = shared.recorder.arrive()
        connection.run()
        assert here.recv(1) == b""
    assert mark == 0
    assert shared.recorder.arrive() == mark + 1, "nothing has arrived in between"


def test_plain_proxy_has_no_certificate_to_replace(new_proxy: NewProxy, authority: Authority) -> None:
    with pytest.raises(ConfigurationError, match="plain HTTP"):
        new_proxy(certificate=None).replace_certificate(authority.issue("127.0.0.1"))


def test_server_certificate(authority: Authority) -> None:
    issued = authority.issue("vault.example", "10.0.0.1", "::1")
    certificate = x509.load_pem_x509_certificate(issued.certificate_chain_pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["vault.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1", "::1"]
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    root = x509.load_pem_x509_certificate(issued.ca_pem.encode())
    certificate.verify_directly_issued_by(root)
    assert issued.names == ("vault.example", "10.0.0.1", "::1")
    assert issued.key_pem not in repr(issued)


def test_impossible_certificates(authority: Authority) -> None:
    with pytest.raises(ValueError, match="at least one name"):
        authority.issue()
    with pytest.raises(ValueError, match="either expired or not yet valid"):
        authority.issue("a", expired=True, not_yet_valid=True)


def test_long_name_is_valid(authority: Authority, connect: Connect, new_proxy: NewProxy) -> None:
    name = "a" * 60 + "." + "b" * 60
    proxy = new_proxy(certificate=authority.issue(name, "127.0.0.1"))
    assert connect(proxy).version() == "TLSv1.3"


def test_private_key_never_is_on_disk(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "memfd_create"):
        pytest.skip("there are no files in memory on this system")
    monkeypatch.setattr(tempfile, "mkstemp", lambda **options: pytest.fail("a file was made"))
    server_context(authority.issue("a.example"))
    open_files = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [name for name in open_files if "memfd" in name]


def test_private_key_without_files_in_memory(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    seen: list[int] = []

    class Context(ssl.SSLContext):
        def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
            assert Path(certfile).parent == tmp_path
            seen.append(stat.S_IMODE(Path(certfile).stat().st_mode))
            super().load_cert_chain(certfile)

    certificate = authority.issue("a.example")
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, certificate.certificate_chain_pem, certificate.key_pem, directory=tmp_path)
    assert seen == [0o600]
    with pytest.raises(ssl.SSLError):
        load_certificate(context, certificate.certificate_chain_pem, Authority().issue("b").key_pem, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_reset_during_the_handshake(proxy: Proxy, client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    sock = socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])))
    sock.sendall(b"\x16\x03\x01\x02\x00")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert client.sign().status_code == 200
    proxy.close()
    assert capfd.readouterr() == ("", "")


def _with_versions(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context
