"""Every fault, and how the proxy selects faults."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from pytest_vault_issuer.errors import BarrierUnmet, Unmet
from pytest_vault_issuer.proxy import faults as faults_module
from pytest_vault_issuer.proxy.exchange import Route
from pytest_vault_issuer.proxy.faults import (
    AddHeader,
    Compress,
    Delay,
    EmptyResponse,
    Fault,
    Hang,
    Hold,
    Latency,
    Redirect,
    ResetAfter,
    ResetBefore,
    Respond,
    ResponseHeader,
    Tamper,
    TamperBody,
    Trickle,
    add_to_chain,
    drop_chain,
    duplicate_chain,
    reorder_chain,
    replace_certificate,
    retry_later,
    set_data,
)
from pytest_vault_issuer.proxy.recorder import Observer
from pytest_vault_issuer.proxy.server import Proxy
from pytest_vault_issuer.timeouts import Bound, poll

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Client, Upstream

CHAIN = ["intermediate-1", "intermediate-2", "root"]
SIGNED = {"data": {"certificate": "leaf", "issuing_ca": "intermediate-1", "ca_chain": CHAIN}}


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body", "name"),
    [
        (Respond(503, json={"errors": ["sealed"]}), 503, "application/json", b'{"errors": ["sealed"]}', "respond 503"),
        (Respond(200, body="<html>"), 200, "text/plain", b"<html>", "respond 200"),
        (Respond(200, body=b"\xff", content_type="x/y"), 200, "x/y", b"\xff", "respond 200"),
        (Respond(472, json=[]), 472, "application/json", b"[]", "respond 472"),
        (Respond(500), 500, None, b"", "respond 500"),
        (EmptyResponse(), 204, None, b"", "empty response 204"),
        (EmptyResponse(200), 200, None, b"", "empty response 200"),
    ],
)
def test_response_without_upstream(
    client: Client,
    proxy: Proxy,
    upstream: Upstream,
    fault: Fault,
    status: int,
    content_type: str | None,
    body: bytes,
    name: str,
) -> None:
    proxy.inject(Route.SIGN, fault)
    answer = client.sign()
    assert (answer.status_code, answer.headers.get("Content-Type"), answer.content) == (status, content_type, body)
    (exchange,) = proxy.exchanges
    assert (exchange.status, exchange.response_body, exchange.fault) == (status, body, name)
    assert not exchange.upstream
    assert upstream.requests == []
    assert client("GET", "/v1/sys/health").status_code == 200
    assert proxy.connections == 1


def test_add_header(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    proxy.inject(Route.SIGN, AddHeader("X-Asked", "by the proxy"), times=1)
    for _ in range(2):
        assert client.sign(headers={"x-asked": "by the client", "X-Other": "stays"}).status_code == 200
    sent = [{name.lower(): value for name, value in headers.items()} for _, _, headers, _ in upstream.requests]
    assert [headers["x-asked"] for headers in sent] == ["by the proxy", "by the client"]
    assert {headers["x-other"] for headers in sent} == {"stays"}
    exchange, _ = proxy.exchanges
    assert (exchange.headers.get("X-Asked"), exchange.fault) == ("by the client", "add header X-Asked")
    assert exchange.upstream


def test_response_header(client: Client, proxy: Proxy) -> None:
    proxy.inject(Route.SIGN, ResponseHeader("content-type", "Application/JSON"), times=1)
    answers = [client.sign() for _ in range(2)]
    assert [answer.headers["Content-Type"] for answer in answers] == ["Application/JSON", "application/json"]
    assert answers[0].content == answers[1].content
    exchange, _ = proxy.exchanges
    assert exchange.fault == "response with header content-type"
    assert exchange.upstream


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip", "gzip"), ("deflate, GZIP", "gzip"), ("identity", None), ("x-gzip", None)]
)
def test_compress(client: Client, proxy: Proxy, accepted: str, encoding: str | None) -> None:
    plain = client.sign().content
    proxy.inject(Route.SIGN, Compress())
    answer = client.sign(headers={"Accept-Encoding": accepted})
    assert (answer.headers.get("Content-Encoding"), answer.content) == (encoding, plain)
    exchange = proxy.exchanges[-1]
    assert (exchange.response_body, exchange.fault) == (plain, "compress")


def test_respond_with_headers(client: Client, proxy: Proxy) -> None:
    proxy.inject(None, Respond(429, json={}, headers=[("Retry-After", "1")]))
    assert client.sign().headers["Retry-After"] == "1"


def test_respond_takes_one_body() -> None:
    with pytest.raises(ValueError, match="not both"):
        Respond(200, json={}, body="x")


def test_respond_to_head(client: Client, proxy: Proxy) -> None:
    proxy.inject(None, Respond(503, body="four"), times=1)
    answer = client("HEAD", "/v1/sys/health")
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (503, "4", b"")
    assert client.sign().status_code == 200


def test_redirect(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    proxy.inject(Route.SIGN, Redirect("https://other.invalid/v1/x"))
    answer = client.sign()
    assert (answer.status_code, answer.headers["Location"]) == (307, "https://other.invalid/v1/x")
    assert proxy.exchanges[0].fault == "redirect 307"
    assert upstream.requests == []


def test_reset_before(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    injection = proxy.inject(Route.SIGN, ResetBefore(), times=1)
    with pytest.raises(requests.ConnectionError):
        client.sign()
    (exchange,) = proxy.wait_for(Route.SIGN, timeout=10)
    assert (exchange.status, exchange.fault, exchange.upstream) == (None, "reset before", False)
    assert exchange.json == {"common_name": "a.example"}
    assert upstream.requests == []
    assert injection.exhausted
    assert client.sign().status_code == 200


def test_reset_after(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    proxy.inject(Route.SIGN, ResetAfter(), times=1)
    with pytest.raises(requests.ConnectionError):
        client.sign()
    (exchange,) = proxy.wait_for(Route.SIGN, timeout=10)
    assert (exchange.status, exchange.fault, exchange.upstream) == (None, "reset after", True)
    assert exchange.response_body == b""
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("fault", [ResetBefore(), ResetAfter()])
def test_reset_is_one_for_tcp(proxy: Proxy, connect: Callable[..., ssl.SSLSocket], fault: Fault) -> None:
    proxy.inject(None, fault)
    sock = connect(proxy)
    sock.sendall(b"GET /v1/x HTTP/1.1\r\n\r\n")
    # On the TCP socket, because TLS may report any end without close_notify as the end of the stream.
    with pytest.raises(ConnectionResetError):
        socket.socket.recv(sock, 1)


def test_delay(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    proxy.inject(Route.SIGN, Delay(0.05))
    assert client.sign().status_code == 200
    (exchange,) = proxy.exchanges
    assert exchange.ended - exchange.started >= 0.05
    assert (exchange.fault, exchange.upstream) == ("delay 0.05 s", True)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("fault", [Delay(600), Latency.between(600, 600), Hang()], ids=lambda fault: fault.name)
def test_close_ends_a_delay(client: Client, proxy: Proxy, upstream: Upstream, fault: Fault) -> None:
    injection = proxy.inject(Route.SIGN, fault)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.sign)
        injection.wait(10)
        proxy.close()
        assert isinstance(answer.exception(10), requests.ConnectionError)
    assert upstream.requests == []


def test_latency_delays_each_request_by_its_own_sample(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    samples = iter([0.05, 0.0])
    proxy.inject(Route.SIGN, Latency(lambda source: next(samples), at_most=8))
    assert [client.sign().status_code for _ in range(2)] == [200, 200]
    slow, _ = proxy.exchanges
    assert slow.ended - slow.started >= 0.05
    assert (slow.fault, slow.upstream) == ("latency up to 8 s", True)
    assert len(upstream.requests) == 2
    assert next(samples, None) is None


def delays(latency: Latency) -> list[float]:
    return [latency.next_delay() for _ in range(100)]


def test_latency_of_the_same_seed_is_the_same() -> None:
    assert delays(Latency.between(1, 2, seed=7)) == delays(Latency.between(1, 2, seed=7))
    assert delays(Latency.between(1, 2, seed=7)) != delays(Latency.between(1, 2, seed=8))


def test_latency_stays_between_its_bounds() -> None:
    assert all(6 <= delay <= 8 for delay in delays(Latency.between(6, 8)))
    heavy = delays(Latency(lambda source: source.gauss(0, 5), at_most=2))
    assert (min(heavy), max(heavy)) == (0.0, 2)


@pytest.mark.parametrize("bounds", [(2, 1), (-1, 1)])
def test_latency_refuses_bounds_in_disorder(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be in order"):
        Latency.between(*bounds)
    with pytest.raises(ValueError, match="must not be negative"):
        Latency(random.Random.random, at_most=-1)


def test_hang_lasts_until_the_client_disconnects(
    proxy: Proxy,
    connect: Callable[..., ssl.SSLSocket],
    new_client: Callable[..., Client],
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faults_module, "_PATIENCE", 0.001)
    injection = proxy.inject(Route.SIGN, Hang(), times=1)
    sock = connect(proxy)
    sock.sendall(b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    injection.wait(10)
    assert new_client(proxy).sign().status_code == 200, "others are served"
    assert [exchange.fault for exchange in proxy.exchanges] == [None]
    sock.close()
    hung, _ = proxy.wait_for(Route.SIGN, count=2, timeout=10)
    assert (hung.status, hung.fault, hung.upstream) == (None, "hang", False)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(("at_most", "pieces"), [(None, 1000), (2, 2), (0, 0)])
def test_trickle_sends_small_pieces(
    proxy: Proxy, connect: Callable[..., ssl.SSLSocket], at_most: int | None, pieces: int
) -> None:
    proxy.inject(Route.SIGN, Trickle(10, 0, at_most))
    sock = connect(proxy)
    sock.sendall(b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    # The client reads each TLS record separately.
    received = list(iter(lambda: sock.recv(65536), b""))
    assert all(len(piece) == 10 for piece in received[: min(pieces, len(received) - 1)])
    assert pieces > 2 or len(received) == pieces + 1
    assert b"".join(received).endswith(json.dumps(SIGNED).encode())
    (exchange,) = proxy.exchanges
    assert (exchange.status, exchange.fault, exchange.upstream) == (200, "trickle 10 bytes every 0 s", True)


def test_trickled_response_is_recorded_with_its_last_piece(client: Client, proxy: Proxy) -> None:
    proxy.inject(Route.SIGN, Trickle(64, 0.02, 3))
    assert client.sign().json() == SIGNED
    assert client("HEAD", "/v1/pki/cert/ca").status_code == 200
    exchange, _ = proxy.exchanges
    assert exchange.ended - exchange.started >= 0.06


def test_client_that_leaves_a_trickle_has_no_response(proxy: Proxy, connect: Callable[..., ssl.SSLSocket]) -> None:
    proxy.inject(Route.SIGN, Trickle(8, 600))
    sock = connect(proxy)
    sock.sendall(b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert sock.recv(8) == b"HTTP/1.1"
    assert proxy.exchanges == ()
    sock.close()
    (exchange,) = proxy.wait_for(Route.SIGN, timeout=10)
    assert (exchange.status, exchange.fault) == (None, "trickle 8 bytes every 600 s, client went away")
    assert exchange.upstream


def test_close_ends_a_trickle(proxy: Proxy, connect: Callable[..., ssl.SSLSocket]) -> None:
    proxy.inject(Route.SIGN, Trickle(8, 600))
    sock = connect(proxy)
    sock.sendall(b"POST /v1/pki/sign/role HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert sock.recv(8) == b"HTTP/1.1"
    proxy.close()
    (exchange,) = proxy.exchanges
    assert (exchange.status, exchange.fault) == (None, "trickle 8 bytes every 600 s, proxy closed")


@pytest.mark.parametrize(
    ("arguments", "complaint"), [((0, 1), "at least one byte"), ((1, -1), "negative"), ((1, 1, -1), "negative")]
)
def test_trickle_refuses_an_invalid_pace(arguments: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Trickle(*arguments)


@pytest.mark.parametrize(
    ("fault", "status", "after", "error", "name"),
    [
        (retry_later(429, after=2), 429, "2", "rate limit quota exceeded", "respond 429, retry after 2"),
        (retry_later(429, after=0), 429, "0", "rate limit quota exceeded", "respond 429, retry after 0"),
        (retry_later(429), 429, None, "rate limit quota exceeded", "respond 429"),
        (retry_later(412), 412, None, "required index state not present", "respond 412"),
        (retry_later(503), 503, None, "overloaded, try again later", "respond 503"),
        (retry_later(500), 500, None, "try again later", "respond 500"),
        (retry_later(503, error="a quota"), 503, None, "a quota", "respond 503"),
    ],
)
def test_retry_later(
    client: Client, proxy: Proxy, fault: Fault, status: int, after: str | None, error: str, name: str
) -> None:
    proxy.inject(Route.SIGN, fault, times=1)
    answer = client.sign()
    assert (answer.status_code, answer.headers.get("Retry-After"), answer.json()) == (
        status,
        after,
        {"errors": [error]},
    )
    assert proxy.exchanges[0].fault == name
    assert client.sign().status_code == 200


def test_hold(proxy: Proxy, new_client: Callable[..., Client], upstream: Upstream) -> None:
    hold = Hold()
    proxy.inject(Route.SIGN, hold)
    first, second = new_client(proxy), new_client(proxy)
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(first.sign)
        assert hold.arrived.wait(10)
        assert second("GET", "/v1/sys/health").status_code == 200
        assert [request[1] for request in upstream.requests] == ["/v1/sys/health"]
        assert not held.done()
        hold.release()
        assert held.result(10).status_code == 200
    assert second.sign().status_code == 200
    assert [exchange.fault for exchange in proxy.seen(Route.SIGN)] == ["hold", "hold"]


class Remembering(Observer):
    """Records which requests are in progress, and continues waits once."""

    def __init__(self) -> None:
        self.in_progress: list[Route] = []
        self.bounds: list[float] = []

    @contextlib.contextmanager
    def request(self, route: Route) -> Iterator[None]:
        self.in_progress.append(route)
        yield
        self.in_progress.remove(route)

    def bound(self, seconds: float) -> Bound:
        self.bounds.append(seconds)
        return Bound(seconds)


def test_an_observer_sees_a_held_request_until_it_is_answered(
    new_proxy: Callable[..., Proxy], new_client: Callable[..., Client]
) -> None:
    observer, hold = Remembering(), Hold()
    proxy = new_proxy(observer=observer)
    proxy.inject(Route.SIGN, hold)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(new_client(proxy).sign)
        assert hold.arrived.wait(10)
        assert observer.in_progress == [Route.SIGN]
        hold.release()
        held.result(10)
    assert poll(lambda: observer.in_progress == [] or None, timeout=10)


def test_an_observer_bounds_every_wait(new_proxy: Callable[..., Proxy]) -> None:
    observer = Remembering()
    proxy = new_proxy(observer=observer)
    for wait in (
        lambda: proxy.inject(Route.SIGN, Hold()).wait(0.01),
        lambda: proxy.wait_for(Route.SIGN, timeout=0.02),
        lambda: proxy.wait_for_handshake_failure(0.03),
    ):
        with pytest.raises(Unmet, match=r"expected .* within 0\.0\d s, "):
            wait()
    assert observer.bounds == [0.01, 0.02, 0.03]


@pytest.mark.parametrize(
    ("fault", "chain", "name"),
    [
        (reorder_chain((2, 0, 1)), ["root", "intermediate-1", "intermediate-2"], "reorder chain"),
        (duplicate_chain(), CHAIN + CHAIN, "duplicate chain"),
        (add_to_chain("other"), [*CHAIN, "other"], "add to chain"),
        (set_data("ca_chain", []), [], "set data.ca_chain"),
        (drop_chain(), None, "drop chain"),
    ],
)
def test_tampered_chain(client: Client, proxy: Proxy, fault: Tamper, chain: list[str] | None, name: str) -> None:
    proxy.inject(Route.SIGN, fault)
    data = client.sign().json()["data"]
    assert data.get("ca_chain") == chain
    assert (data["certificate"], data["issuing_ca"]) == ("leaf", "intermediate-1")
    (exchange,) = proxy.exchanges
    assert (exchange.fault, exchange.upstream) == (name, True)
    assert exchange.response_json["data"] == data


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_chain_is_another_order_of_the_same(client: Client, proxy: Proxy, seed: int) -> None:
    proxy.inject(Route.SIGN, reorder_chain(seed=seed))
    chains = [client.sign().json()["data"]["ca_chain"] for _ in range(2)]
    assert chains[0] == chains[1] != CHAIN
    assert sorted(chains[0]) == sorted(CHAIN)


def test_replaced_certificate(client: Client, proxy: Proxy) -> None:
    proxy.inject(Route.SIGN, replace_certificate("other"))
    assert client.sign().json()["data"]["certificate"] == "other"


@pytest.mark.parametrize("body", [b'{"errors": ["permission denied"]}', b"not json", b"[]", b'{"data": null}'])
@pytest.mark.parametrize("fault", [reorder_chain(), drop_chain(), duplicate_chain(), replace_certificate("other")])
def test_what_cannot_be_tampered_with_stays_and_says_so(
    client: Client, proxy: Proxy, upstream: Upstream, body: bytes, fault: Tamper
) -> None:
    upstream.body = body
    proxy.inject(Route.SIGN, fault)
    assert client.sign().content == body
    assert proxy.exchanges[0].fault == f"{fault.name} (response unchanged)"


def test_chain_of_one_cannot_be_reordered(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    upstream.body = b'{"data": {"certificate": "leaf", "ca_chain": ["root"]}}'
    proxy.inject(Route.SIGN, reorder_chain())
    assert client.sign().content == upstream.body
    assert proxy.exchanges[0].fault == "reorder chain (response unchanged)"


def test_own_tampering(client: Client, proxy: Proxy) -> None:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "lease_id": "x"}

    proxy.inject(Route.SIGN, Tamper(change, name="lease"))
    assert client.sign().json()["lease_id"] == "x"
    assert proxy.exchanges[0].fault == "lease"


def test_own_tampering_with_raw_body(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    proxy.inject(Route.SIGN, TamperBody(lambda body: body[:10], name="truncate"))
    proxy.inject(Route.HEALTH, TamperBody(lambda body: body))
    assert client.sign().content == (upstream.body or b"")[:10]
    client("GET", "/v1/sys/health")
    assert [exchange.fault for exchange in proxy.exchanges] == ["truncate", "tamper body (response unchanged)"]


@pytest.mark.parametrize("fault", [Tamper(lambda answer: answer["missing"]), reorder_chain((0, 7))])
def test_tampering_that_fails_is_seen_in_the_record(
    client: Client, proxy: Proxy, fault: Tamper, capfd: pytest.CaptureFixture[str]
) -> None:
    proxy.inject(Route.SIGN, fault)
    assert client.sign().status_code == 500
    assert (proxy.exchanges[0].fault or "").startswith(f"{fault.name}, failed: ")
    proxy.close()
    assert capfd.readouterr() == ("", "")


def test_condition_that_fails_is_seen_in_the_record(client: Client, proxy: Proxy) -> None:
    proxy.inject(Route.SIGN, Respond(503), where=lambda request: bool(request.json["missing"]))
    assert client.sign().status_code == 500
    assert proxy.exchanges[0].fault == "failed: KeyError: 'missing'"


def test_fault_and_unreachable_upstream(client: Client, proxy: Proxy, upstream: Upstream) -> None:
    upstream.close()
    proxy.inject(Route.SIGN, Delay(0))
    assert client.sign().status_code == 502
    assert proxy.exchanges[0].fault == "delay 0 s, upstream unreachable"


def test_times_and_skip(client: Client, proxy: Proxy) -> None:
    injection = proxy.inject(Route.SIGN, Respond(503), times=2, skip=1)
    assert [client.sign().status_code for _ in range(4)] == [200, 503, 503, 200]
    assert (injection.hits, injection.exhausted) == (2, True)


def test_every_second_request_from_the_first(client: Client, proxy: Proxy) -> None:
    injection = proxy.inject(Route.SIGN, Respond(503), times=2, skip=1, every=2)
    answers = [client.sign().status_code for _ in range(6)]
    assert answers == [200, 503, 200, 503, 200, 200]
    assert injection.hits == 2


def test_faults_alternate(client: Client, proxy: Proxy) -> None:
    proxy.inject(Route.SIGN, Respond(503), every=2)
    proxy.inject(Route.SIGN, Respond(500), every=2)
    answers = [client.sign().status_code for _ in range(4)]
    # The second injection does not count requests that the first one handles.
    assert answers == [503, 500, 503, 200]


def test_every_takes_a_positive_number(proxy: Proxy) -> None:
    with pytest.raises(ValueError, match="every=0"):
        proxy.inject(None, Respond(503), every=0)


def test_where_and_route(client: Client, proxy: Proxy) -> None:
    injection = proxy.inject(Route.SIGN, Respond(503), where=lambda request: request.json.get("common_name") == "b")
    assert client.sign().status_code == 200
    assert client("POST", "/v1/auth/kubernetes/login", json={"common_name": "b"}).status_code == 200
    assert client("POST", "/v1/pki/sign/role", json={"common_name": "b"}).status_code == 503
    assert (injection.hits, injection.exhausted) == (1, False)


def test_earliest_matching_injection_wins(client: Client, proxy: Proxy) -> None:
    first = proxy.inject(Route.SIGN, Respond(500), times=1)
    second = proxy.inject(None, Respond(503))
    assert [client.sign().status_code for _ in range(2)] == [500, 503]
    assert (first.hits, second.hits) == (1, 1)
    second.remove()
    assert client.sign().status_code == 200


def test_clear_faults(client: Client, proxy: Proxy) -> None:
    proxy.inject(None, Respond(500))
    proxy.inject(None, Respond(501))
    proxy.clear_faults()
    assert client.sign().status_code == 200


def test_injection_that_meets_no_request_is_a_failed_barrier(proxy: Proxy) -> None:
    """The controller sent no request, so it did not handle the answer wrongly."""
    with pytest.raises(BarrierUnmet, match=r"^the barrier failed: expected the fault 'respond 503' to apply"):
        proxy.inject(Route.SIGN, Respond(503)).wait(0)


def test_waiting_for_an_injection(client: Client, proxy: Proxy) -> None:
    injection = proxy.inject(Route.SIGN, Respond(503), times=2)
    client.sign()
    with pytest.raises(
        Unmet, match=r"'respond 503' to apply to 2 request\(s\) of route SIGN within 0 s, it applied to 1"
    ):
        injection.wait(0)
    waiting = threading.Thread(target=injection.wait, args=(10,))
    waiting.start()
    client.sign()
    waiting.join(10)
    assert not waiting.is_alive()
    assert injection.exhausted
