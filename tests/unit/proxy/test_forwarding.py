"""Forwarding and recording, for everything that HTTP allows a client to send."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.errors import ConfigurationError, Unmet, VaultIssuerError
from pytest_vault_issuer.proxy.exchange import Exchange, Route
from pytest_vault_issuer.proxy.faults import Hold, Respond
from pytest_vault_issuer.proxy.server import Proxy

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Client, Upstream

Connect = Callable[..., ssl.SSLSocket]


def read_response(sock: socket.socket) -> tuple[bytes, bytes]:
    """Read the head and the body of the next answer from a raw connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        assert part, f"closed after {data!r}"
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += sock.recv(65536)
    return head, body


def test_response_is_given_on_unchanged(client: Client, upstream: Upstream) -> None:
    upstream.status = 403
    upstream.headers = [("Content-Type", "text/odd"), ("X-Twice", "1"), ("X-Twice", "2"), ("Keep-Alive", "timeout=5")]
    upstream.body = b"\x00\xffnot text"
    answer = client("GET", "/v1/anything?list=true&b=%20")
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (
        403,
        b"\x00\xffnot text",
        "text/odd",
    )
    assert answer.headers["X-Twice"] == "1, 2"
    assert "Keep-Alive" not in answer.headers
    assert answer.headers["Server"].startswith("BaseHTTP")
    assert upstream.requests[0][1] == "/v1/anything?list=true&b=%20"


def test_request_is_forwarded_without_hop_by_hop_headers(client: Client, upstream: Upstream) -> None:
    client.sign(headers={"X-Vault-Token": "t", "TE": "trailers", "Connection": "keep-alive, X-Mine", "X-Mine": "1"})
    method, path, headers, body = upstream.requests[0]
    assert (method, path, json.loads(body)) == ("POST", "/v1/pki/sign/role", {"common_name": "a.example"})
    assert headers["X-Vault-Token"] == "t"
    assert headers["Host"] == upstream.url.removeprefix("https://")
    assert not {"TE", "Connection", "X-Mine"} & set(headers)


def test_exchange_records_everything(client: Client, proxy: Proxy) -> None:
    client.sign(headers={"X-Vault-Token": "hvs.abc", "X-Vault-Namespace": "team"}, params={"q": "1"})
    (exchange,) = proxy.exchanges
    assert (exchange.number, exchange.route, exchange.method) == (0, Route.SIGN, "POST")
    assert (exchange.path, exchange.query) == ("/v1/pki/sign/role", "q=1")
    assert (exchange.token, exchange.namespace) == ("hvs.abc", "team")
    assert exchange.json == {"common_name": "a.example"}
    assert exchange.response_json["data"]["certificate"] == "leaf"
    assert (exchange.status, exchange.fault, exchange.upstream, exchange.jwt) == (200, None, True, None)
    assert exchange.headers.get("x-vault-TOKEN") == "hvs.abc"
    assert exchange.response_headers.get("content-type") == "application/json"
    assert exchange.started <= exchange.ended


def test_redirect_is_not_followed(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    upstream.status, upstream.headers = 307, [("Location", "https://active.invalid/v1/x")]
    assert client("GET", "/v1/x").headers["Location"] == "https://active.invalid/v1/x"
    assert proxy.exchanges[0].status == 307


def test_keep_alive_uses_one_connection_on_both_sides(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    for _ in range(3):
        client.sign()
    assert proxy.connections == 1
    assert len(upstream.connections) == 1
    assert [exchange.number for exchange in proxy.exchanges] == [0, 1, 2]


def test_stale_upstream_connection_is_opened_again(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    client.sign()
    upstream.drop_connections()
    assert client.sign().status_code == 200
    assert proxy.connections == 1


def test_clients_and_proxies_share_connections_to_one_vault(
    new_proxy: Callable[..., Proxy], new_client: Callable[..., Client], upstream: Upstream
) -> None:
    for proxy in (new_proxy(), new_proxy()):
        for client in (new_client(proxy), new_client(proxy)):
            assert client.sign().status_code == 200
        assert proxy.connections == 2
    assert len(upstream.connections) == 1


def test_shared_connection_that_vault_closed_is_opened_again(
    proxy: Proxy, new_client: Callable[..., Client], upstream: Upstream
) -> None:
    new_client(proxy).sign()
    upstream.drop_connections()
    assert new_client(proxy).sign().status_code == 200
    assert len(upstream.connections) == 1


def test_shared_connection_that_was_idle_for_long_is_not_used(
    proxy: Proxy, new_client: Callable[..., Client], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_client(proxy).sign()
    monkeypatch.setattr("pytest_vault_issuer.proxy.upstream._LONGEST_IDLE", 0.0)
    assert new_client(proxy).sign().status_code == 200
    assert len(upstream.connections) == 2


def test_closing_a_proxy_leaves_the_shared_connection(
    new_proxy: Callable[..., Proxy], new_client: Callable[..., Client], upstream: Upstream
) -> None:
    first, second = new_proxy(), new_proxy()
    new_client(first).sign()
    first.close()
    assert new_client(second).sign().status_code == 200
    assert len(upstream.connections) == 1


def test_unreachable_upstream(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    upstream.close()
    assert client.sign().status_code == 502
    (exchange,) = proxy.exchanges
    assert (exchange.status, exchange.fault, exchange.upstream) == (502, "upstream unreachable", False)


def test_untrusted_upstream_is_unreachable(
    upstream: Upstream, authority: Authority, new_client: Callable[..., Client]
) -> None:
    other = Authority().pem
    with Proxy(upstream.url, upstream_ca=other, certificate=authority.issue("127.0.0.1")) as proxy:
        answer = new_client(proxy).sign()
    assert answer.status_code == 502
    assert "certificate verify failed" in answer.text
    assert upstream.requests == []


def test_set_upstream_applies_to_open_connections(
    client: Client, proxy: Proxy, new_upstream: Callable[[], Upstream]
) -> None:
    client.sign()
    second = new_upstream()
    proxy.set_upstream(second.url + "/prefix/", second.ca)
    client.sign()
    assert proxy.connections == 1
    assert [request[1] for request in second.requests] == ["/prefix/v1/pki/sign/role"]


@pytest.mark.parametrize("url", ["", "vault:8200", "https://", "ftp://vault", "https://vault:port"])
def test_wrong_upstream_url(url: str) -> None:
    with pytest.raises(ConfigurationError, match="VAULT_ADDR"):
        Proxy(url, upstream_ca=None, certificate=None)


def test_head(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    answer = client("HEAD", "/v1/sys/health")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(upstream.body or b"")
    assert client.sign().status_code == 200
    assert proxy.connections == 1


def test_no_content(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    upstream.status = 204
    answer = client.sign()
    assert answer.status_code == 204
    assert "Content-Length" not in answer.headers
    assert client.sign().status_code == 204
    assert proxy.connections == 1


def test_list_method_and_empty_body(client: Client, upstream: Upstream) -> None:
    client("LIST", "/v1/pki/roles")
    client("GET", "/v1/pki/roles/a")
    assert [(request[0], request[3]) for request in upstream.requests] == [("LIST", b""), ("GET", b"")]
    assert upstream.requests[0][2]["Content-Length"] == "0"
    assert "Content-Length" not in upstream.requests[1][2]


def test_chunked_request_body(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    client("POST", "/v1/pki/sign/role", data=iter([b'{"common', b'_name": ', b'"a"}']))
    assert upstream.requests[0][3] == b'{"common_name": "a"}'
    assert proxy.exchanges[0].json == {"common_name": "a"}


def test_large_bodies(client: Client, upstream: Upstream) -> None:
    upstream.body = None
    data = os.urandom(3_000_000)
    assert client("POST", "/v1/echo", data=data).content == data


def test_expect_continue(proxy: Proxy, connect: Connect, upstream: Upstream) -> None:
    sock = connect(proxy)
    sock.sendall(b"POST /v1/x HTTP/1.1\r\nHost: v\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(b"hello")
    assert read_response(sock)[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert upstream.requests[0][3] == b"hello"
    assert "Expect" not in upstream.requests[0][2]


def test_pipelined_requests_are_answered_in_order(proxy: Proxy, connect: Connect) -> None:
    proxy.inject(None, Respond(200, body="one"), times=1)
    proxy.inject(None, Respond(200, body="two"), times=1)
    sock = connect(proxy)
    sock.sendall(b"\r\nGET /v1/a HTTP/1.1\r\nHost: v\r\n\r\nGET https://v/v1/b?c HTTP/1.1\r\nConnection: close\r\n\r\n")
    data = b""
    while part := sock.recv(65536):
        data += part
    assert data.index(b"one") < data.index(b"two")
    assert [(exchange.path, exchange.query) for exchange in proxy.exchanges] == [("/v1/a", ""), ("/v1/b", "c")]


def test_http_1_0_client_gets_a_closed_connection(proxy: Proxy, connect: Connect) -> None:
    sock = connect(proxy)
    sock.sendall(b"GET /v1/sys/health HTTP/1.0\r\n\r\n")
    head, _ = read_response(sock)
    assert b"\r\nConnection: close" in head
    assert sock.recv(1) == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n : broken\r\n\r\n", 400),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
    ],
)
def test_malformed_requests_are_refused(
    proxy: Proxy, connect: Connect, upstream: Upstream, request_bytes: bytes, status: int
) -> None:
    sock = connect(proxy)
    sock.sendall(request_bytes)
    assert read_response(sock)[0].startswith(f"HTTP/1.1 {status} ".encode())
    assert sock.recv(1) == b""
    assert upstream.requests == []


@pytest.mark.parametrize(
    "start",
    [
        b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
        b"POST /v1/pki/sign/role HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf",
    ],
)
def test_request_that_ends_early_is_recorded(proxy: Proxy, connect: Connect, upstream: Upstream, start: bytes) -> None:
    sock = connect(proxy)
    sock.sendall(start)
    sock.close()
    (exchange,) = proxy.wait_for(Route.SIGN, timeout=10)
    assert (exchange.status, exchange.fault, exchange.upstream) == (None, "incomplete request", False)
    assert exchange.body == b"half"
    assert upstream.requests == []


@pytest.mark.parametrize("start", [b"", b"GET /v1", b"GET /v1/x HTTP/1.1\r\nHost"])
def test_vanishing_client_does_no_harm(
    proxy: Proxy, connect: Connect, client: Client, start: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    sock = connect(proxy)
    sock.sendall(start)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert client.sign().status_code == 200
    proxy.close()
    assert proxy.handshake_failures == ()
    assert capfd.readouterr() == ("", "")


def test_client_that_does_not_wait_for_its_response(
    new_proxy: Callable[..., Proxy], upstream: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    proxy = new_proxy(certificate=None)
    hold = Hold()
    proxy.inject(Route.SIGN, hold)
    host, _, port = proxy.url.removeprefix("http://").rpartition(":")
    sock = socket.create_connection((host, int(port)))
    sock.sendall(b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert hold.arrived.wait(10)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    hold.release()
    (exchange,) = proxy.wait_for(Route.SIGN, where=lambda exchange: exchange.status is None, timeout=10)
    assert (exchange.fault, exchange.upstream, exchange.response_body) == ("hold, client went away", True, b"")
    assert len(upstream.requests) == 1
    proxy.close()
    assert capfd.readouterr() == ("", "")


def test_plain_http(new_proxy: Callable[..., Proxy], new_client: Callable[..., Client]) -> None:
    proxy = new_proxy(certificate=None)
    assert proxy.url.startswith("http://127.0.0.1:")
    assert proxy.ca_pem == ""
    assert new_client(proxy).sign().status_code == 200


def test_bind_and_advertise(new_proxy: Callable[..., Proxy], new_client: Callable[..., Client]) -> None:
    proxy = new_proxy(bind="0.0.0.0", advertise="localhost")
    assert proxy.url.startswith("https://localhost:")
    assert new_client(proxy).sign().status_code == 200
    assert new_proxy(advertise="fd00::1").url.startswith("https://[fd00::1]:")


def test_50_requests_in_parallel(proxy: Proxy, new_client: Callable[..., Client], upstream: Upstream) -> None:
    clients = [new_client(proxy) for _ in range(50)]
    upstream.body = None
    barrier = threading.Barrier(50)

    def call(number: int) -> str:
        barrier.wait(10)
        return clients[number]("POST", "/v1/pki/sign/role", data=f'{{"n": {number}}}').text

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(call, range(50))) == [f'{{"n": {number}}}' for number in range(50)]
    assert [exchange.number for exchange in proxy.exchanges] == list(range(50))
    assert sorted(exchange.json["n"] for exchange in proxy.exchanges) == list(range(50))
    assert all(exchange.json == exchange.response_json for exchange in proxy.exchanges)


def test_seen_and_mark(client: Client, proxy: Proxy) -> None:
    client.sign()
    mark = proxy.mark()
    client("GET", "/v1/sys/health")
    client.sign()
    assert [exchange.route for exchange in proxy.seen()] == [Route.SIGN, Route.HEALTH, Route.SIGN]
    assert [exchange.number for exchange in proxy.seen(Route.SIGN, since=mark)] == [2]
    assert proxy.seen(Route.LOGIN) == []


def test_request_in_flight_is_older_than_a_later_mark(client: Client, proxy: Proxy) -> None:
    hold = Hold()
    proxy.inject(Route.SIGN, hold)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.sign)
        assert hold.arrived.wait(10)
        mark = proxy.mark()
        assert proxy.exchanges == ()
        hold.release()
        assert answer.result(10).status_code == 200
    assert proxy.seen(since=mark) == []
    assert len(proxy.seen()) == 1


def test_wait_for_returns_when_enough_have_come(client: Client, proxy: Proxy) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            proxy.wait_for, Route.SIGN, count=2, since=1, where=lambda exchange: exchange.status == 200, timeout=10
        )
        for _ in range(3):
            client.sign()
        numbers = [exchange.number for exchange in waiting.result(10)]
    assert numbers[:2] == [1, 2]


def test_failed_wait_lists_the_observed_requests(client: Client, proxy: Proxy) -> None:
    proxy.inject(Route.HEALTH, Respond(503))
    client("GET", "/v1/sys/health")
    with pytest.raises(Unmet) as error:
        proxy.wait_for(Route.SIGN, count=2, timeout=0.01, what="the request of Certificate web")
    message = str(error.value)
    assert "expected the request of Certificate web within 0.01 s, saw 0 of 2" in message
    assert "#0 GET /v1/sys/health 503 [respond 503]" in message
    with pytest.raises(Unmet, match=r"2 request\(s\) of route SIGN.*\n.*\n  nothing"):
        proxy.wait_for(Route.SIGN, count=2, since=1, timeout=0)


def test_wait_for_counts_what_is_not_answered_yet(client: Client, proxy: Proxy) -> None:
    hold = Hold()
    proxy.inject(None, hold)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.sign)
        assert hold.arrived.wait(10)
        with pytest.raises(Unmet, match=r"1 request\(s\) not answered"):
            proxy.wait_for(None, timeout=0)
        hold.release()
        answer.result(10)


def test_close_ends_all_threads_and_keeps_the_record(
    proxy: Proxy, connect: Connect, client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    before = threading.active_count()
    connect(proxy)
    client.sign()
    hold = Hold()
    proxy.inject(None, hold)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.sign)
        assert hold.arrived.wait(10)
        proxy.close()
        assert held.exception(10) is not None
    proxy.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vault-proxy")]
    assert threading.active_count() < before + 2
    assert [exchange.status for exchange in proxy.exchanges] == [200, None]
    assert proxy.handshake_failures == ()
    assert capfd.readouterr() == ("", "")


def test_close_interrupts_a_wait_for_vault(authority: Authority, new_client: Callable[..., Client]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        proxy = Proxy(url, upstream_ca=None, certificate=authority.issue("127.0.0.1")).start()
        client = new_client(proxy)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.sign)
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(10)
                proxy.close()
            assert answer.exception(10) is not None
    assert [(exchange.status, exchange.fault) for exchange in proxy.exchanges] == [(None, "proxy closed")]


def test_close_before_start_and_use_out_of_turn(upstream: Upstream) -> None:
    proxy = Proxy(upstream.url, upstream_ca=upstream.ca, certificate=None)
    with pytest.raises(VaultIssuerError, match="no address yet"):
        _ = proxy.url
    proxy.close()
    with pytest.raises(VaultIssuerError, match="started before"):
        proxy.start()
    with (
        pytest.raises(VaultIssuerError, match="cannot listen"),
        Proxy(upstream.url, upstream_ca=None, certificate=None, bind="192.0.2.1"),
    ):
        pass


def test_exchange_of_a_sign_request_in_a_message_shows_no_values(client: Client, proxy: Proxy) -> None:
    client.sign(headers={"X-Vault-Token": "hvs.canarycanary"})
    exchange: Exchange = proxy.exchanges[0]
    assert repr(exchange) == "<Exchange #0 POST /v1/pki/sign/role 200>"
    assert "canary" not in repr(exchange.headers)


@pytest.mark.parametrize(
    ("values", "status"), [(["true"], 200), ([], 412), (["false"], 412), (["True"], 412), (["true", "true"], 412)]
)
@pytest.mark.parametrize("path", ["/v1/sys/health", "/v1/pki/sign/role"])
def test_request_header_may_be_required(
    new_proxy: Callable[..., Proxy],
    connect: Callable[..., ssl.SSLSocket],
    upstream: Upstream,
    values: list[str],
    status: int,
    path: str,
) -> None:
    proxy = new_proxy(request_header_required=True)
    sock = connect(proxy)
    headers = "".join(f"X-Vault-Request: {value}\r\n" for value in values)
    sock.sendall(f"PUT {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n".encode())
    answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b'missing \\"X-Vault-Request\\" header' in answer) == (status == 412)
    assert len(upstream.requests) == (1 if status == 200 else 0)
