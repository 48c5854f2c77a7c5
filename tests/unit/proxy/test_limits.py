"""The proxy when the machine has no resources left, and with clients that do not read."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.errors import Unmet, VaultIssuerError
from pytest_vault_issuer.proxy import connection, server
from pytest_vault_issuer.proxy.exchange import Route
from pytest_vault_issuer.proxy.faults import Hold, Respond
from pytest_vault_issuer.proxy.server import Proxy
from pytest_vault_issuer.timeouts import poll

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Client, Upstream

Connect = Callable[..., ssl.SSLSocket]
LIMIT = 60.0
ACCEPT = "no connection accepted: [Errno 24] Too many open files"


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Make this process run out of file descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 512), before[1]))
    taken: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def address(proxy: Proxy) -> tuple[str, int]:
    host, _, port = proxy.url.rpartition("//")[2].rpartition(":")
    return host, int(port)


def in_trouble(proxy: Proxy) -> bool:
    return bool(poll(lambda: proxy.troubles or None, timeout=LIMIT))


def test_proxy_reports_missing_descriptors_and_recovers(proxy: Proxy, client: Client) -> None:
    client.sign()
    with socket.socket() as waiting:
        waiting.settimeout(LIMIT)
        with no_descriptors_left():
            waiting.connect(address(proxy))
            seen = in_trouble(proxy)
        assert seen
        assert list(proxy.troubles) == [ACCEPT]
        assert client.sign().status_code == 200
    assert poll(lambda: proxy.connections == 2 or None, timeout=LIMIT), "the client that waited is served"


def test_proxy_without_descriptors_does_not_try_all_the_time(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_BACK_OFF", 3600.0)
    with socket.socket() as waiting:
        with no_descriptors_left():
            waiting.connect(address(proxy))
            seen = in_trouble(proxy)
        assert seen
        proxy.close()
    assert proxy.troubles == {ACCEPT: 1}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vault-proxy")]


def test_failed_wait_names_failures_of_the_proxy(proxy: Proxy) -> None:
    with socket.socket() as waiting:
        with no_descriptors_left():
            waiting.connect(address(proxy))
            seen = in_trouble(proxy)
        assert seen
    with pytest.raises(Unmet, match="the proxy itself failed: no connection accepted"):
        proxy.wait_for(Route.SIGN, timeout=0)


def test_proxy_without_descriptors_for_vault_does_not_call_it_unreachable(
    new_proxy: Callable[..., Proxy], connect: Connect, upstream: Upstream
) -> None:
    proxy = new_proxy(certificate=None)
    with socket.socket() as sock:
        sock.settimeout(LIMIT)
        sock.connect(address(proxy))
        assert poll(lambda: proxy.connections or None, timeout=LIMIT)
        with no_descriptors_left():
            sock.sendall(b"GET /v1/x HTTP/1.1\r\n\r\n")
            answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert [exchange.fault for exchange in proxy.exchanges] == ["proxy out of resources"]
    assert list(proxy.troubles) == ["no connection to Vault: OSError: [Errno 24] Too many open files"]


def test_error_of_a_proxy_that_cannot_start_names_the_limit(upstream: Upstream, authority: Authority) -> None:
    proxy = Proxy(upstream.url, upstream_ca=upstream.ca, certificate=None)
    with no_descriptors_left(), pytest.raises(VaultIssuerError) as error:
        proxy.start()
    assert "Too many open files" in error.value.message
    assert "ulimit -n" in error.value.hint


def test_thread_that_cannot_start_costs_one_connection_only(
    proxy: Proxy, client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, failed = threading.Thread.start, threading.Event()

    def refuse_once(self: threading.Thread) -> None:
        if self.name.startswith("vault-proxy") and not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse_once)
    with socket.create_connection(address(proxy), timeout=LIMIT) as refused:
        assert refused.recv(1) == b""
    assert client.sign().status_code == 200
    assert list(proxy.troubles) == ["no thread for a connection: can't start new thread"]


@pytest.fixture
def unread(proxy: Proxy, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLSocket:
    """Return a client that does not read its answer and stays connected."""
    monkeypatch.setattr(connection, "_SENDING", 3600.0)
    proxy.inject(Route.SIGN, Respond(200, body="x" * 50_000_000))
    sock = connect(proxy)
    sock.sendall(b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert sock.recv(1)
    return sock


def test_certificate_is_replaced_while_a_client_does_not_read(
    proxy: Proxy, unread: ssl.SSLSocket, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_RETIRING", 0.1)
    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(proxy.replace_certificate, authority.issue("127.0.0.1"))
        try:
            replacing.result(LIMIT)
        finally:
            unread.close()  # the hanging requests end with the proxy


def test_client_that_does_not_read_is_disconnected(
    proxy: Proxy, client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SENDING", 0.2)
    proxy.inject(Route.SIGN, Respond(200, body="x" * 50_000_000))
    sock = connect(proxy)
    sock.sendall(b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 0\r\n\r\n")

    def is_given_up(exchange: Any) -> bool:
        return exchange.status is None

    (exchange,) = proxy.wait_for(Route.SIGN, where=is_given_up, timeout=LIMIT)
    assert exchange.fault == "respond 200, client did not read its response"


def test_client_that_reads_slowly_gets_all(proxy: Proxy, unread: ssl.SSLSocket) -> None:
    received = 1
    while part := unread.recv(1_000_000):
        received += len(part)
        if received > 50_000_000:
            break
    assert received > 50_000_000
    assert [exchange.status for exchange in proxy.exchanges] == [200]


def is_refused(proxy: Proxy) -> bool:
    """Return whether a new connection is reset, at once or on the first read."""
    try:
        with socket.create_connection(address(proxy), timeout=LIMIT) as sock:
            sock.recv(1)
    except ConnectionResetError:
        return True
    return False


def test_connections_above_the_limit_are_reset(
    new_proxy: Callable[..., Proxy], new_client: Callable[..., Client], upstream: Upstream
) -> None:
    proxy = new_proxy(most_connections=2)
    clients = [new_client(proxy) for _ in range(2)]
    assert [client.sign().status_code for client in clients * 2] == [200] * 4, "open connections go on"
    assert (proxy.open_connections, proxy.refused_connections) == (2, 0)
    assert is_refused(proxy)
    assert (proxy.open_connections, proxy.peak_connections) == (2, 2)
    assert (proxy.refused_connections, proxy.connections) == (1, 3)
    assert len(upstream.requests) == 4


def test_limit_of_connections_is_changed(proxy: Proxy, client: Client, new_client: Callable[..., Client]) -> None:
    assert client.sign().status_code == 200
    proxy.limit_connections(1)
    assert is_refused(proxy)
    assert client.sign().status_code == 200, "open ones stay open"
    proxy.limit_connections(None)
    assert new_client(proxy).sign().status_code == 200
    proxy.limit_connections(0)
    client.session.close()
    assert is_refused(proxy)
    assert (proxy.refused_connections, proxy.peak_connections) == (2, 2)


def test_connection_whose_client_left_does_not_count(
    proxy: Proxy, connect: Connect, new_client: Callable[..., Client]
) -> None:
    hold = Hold()
    proxy.inject(Route.SIGN, hold)
    proxy.limit_connections(1)
    sock = connect(proxy)
    sock.sendall(b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert hold.arrived.wait(LIMIT)
    assert proxy.open_connections == 1
    sock.close()  # its thread still holds the request
    assert proxy.open_connections == 0
    assert new_client(proxy)("GET", "/v1/sys/health").status_code == 200
    assert (proxy.refused_connections, proxy.peak_connections) == (0, 1)
    hold.release()


def test_closed_connections_are_not_open(proxy: Proxy, connect: Connect) -> None:
    with connect(proxy), connect(proxy):
        assert poll(lambda: proxy.open_connections == 2 or None, timeout=LIMIT)
    assert proxy.open_connections == 0
    assert proxy.peak_connections == 2
