"""The proxy accepts a request completely or not at all, and rejects what two servers could read differently."""

from __future__ import annotations

import io
import re
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_vault_issuer.proxy.exchange import Head, Headers, Response
from pytest_vault_issuer.proxy.http1 import BadRequest, IncompleteBody, encode_response, read_body, read_head
from pytest_vault_issuer.proxy.server import Proxy

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Client, Upstream

Connect = Callable[..., ssl.SSLSocket]
repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=300)

GET = b"GET /v1/x HTTP/1.1\r\n"
POST = b"POST /v1/x HTTP/1.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"

#: Invalid request -> the status of the rejection.
REFUSED = {
    # the first line
    b"nonsense\r\n\r\n": 400,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n": 400,
    b"PRI * HTTP/2.0\r\n\r\n": 400,
    b"GET /v1/x\r\n\r\n": 400,
    b"GET /v1/x HTTP/0.9\r\n\r\n": 400,
    b"GET /v1/x HTTP/1.1 more\r\n\r\n": 400,
    b"GET /v1/x http/1.1\r\n\r\n": 400,
    b"GET /v1/a b HTTP/1.1\r\n\r\n": 400,
    b"GET\t/v1/x\tHTTP/1.1\r\n\r\n": 400,
    b"GET\x0b/v1/x\x0cHTTP/1.1\r\n\r\n": 400,
    b"GET\x85/v1/x\xa0HTTP/1.1\r\n\r\n": 400,
    b"GET\x1c/v1/x HTTP/1.1\r\n\r\n": 400,
    b" GET /v1/x HTTP/1.1\r\n\r\n": 400,
    b"GET  /v1/x HTTP/1.1\r\n\r\n": 400,
    b"G\x00T /v1/x HTTP/1.1\r\n\r\n": 400,
    b"G(T) /v1/x HTTP/1.1\r\n\r\n": 400,
    b"G\xc3\x89T /v1/x HTTP/1.1\r\n\r\n": 400,
    b"GET /v1/\x00 HTTP/1.1\r\n\r\n": 400,
    b"GET /v1/\x7f HTTP/1.1\r\n\r\n": 400,
    b"GET /v1/\x1b[31m HTTP/1.1\r\n\r\n": 400,
    b"GET /v1/\rX HTTP/1.1\r\n\r\n": 400,
    b"GET /\xff HTTP/1.1\r\n\r\n": 400,
    b"GET v1/x HTTP/1.1\r\n\r\n": 400,
    b"GET ftp://vault/v1/x HTTP/1.1\r\n\r\n": 400,
    b"GET ?list=true HTTP/1.1\r\n\r\n": 400,
    b"CONNECT vault:8200 HTTP/1.1\r\n\r\n": 400,
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n": 414,
    # headers
    GET + b" : broken\r\n\r\n": 400,
    GET + b": broken\r\n\r\n": 400,
    GET + b"no colon\r\n\r\n": 400,
    GET + b"X-Vault-Token : a\r\n\r\n": 400,
    GET + b"X Vault: a\r\n\r\n": 400,
    GET + b"X\x00: a\r\n\r\n": 400,
    GET + b"X(1): a\r\n\r\n": 400,
    GET + b"X\xc3\xa9: a\r\n\r\n": 400,
    GET + b"X: a\x00b\r\n\r\n": 400,
    GET + b"X: a\x08b\r\n\r\n": 400,
    GET + b"X: a\x1b]52;c;aGk=\x07\r\n\r\n": 400,
    GET + b"X: a\rX-Vault-Token: b\r\n\r\n": 400,
    GET + b"X: a\r\r\n\r\n": 400,
    GET + b"X: a\r\n folded\r\n\r\n": 400,
    GET + b"X: a\r\n\tX-Vault-Token: b\r\n\r\n": 400,
    GET + b" X-Vault-Token: a\r\n\r\n": 400,
    GET + b"Host: a\r\nHost: b\r\n\r\n": 400,
    GET + b"A: b\r\n" * 200 + b"\r\n": 431,
    GET + b"A: " + b"b" * 1_100_000 + b"\r\n\r\n": 431,
    # the length of the body
    POST + b"Content-Length: -1\r\n\r\n": 400,
    POST + b"Content-Length: +1\r\n\r\nx": 400,
    POST + b"Content-Length: 1_0\r\n\r\n": 400,
    POST + b"Content-Length: 0x1\r\n\r\nx": 400,
    POST + b"Content-Length: 1.0\r\n\r\nx": 400,
    POST + b"Content-Length: \xb2\r\n\r\nxx": 400,
    POST + b"Content-Length:\r\n\r\n": 400,
    POST + b"Content-Length: 1, 1\r\n\r\nx": 400,
    POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n": 400,
    POST + b"Content-Length: 99999999999\r\n\r\n": 413,
    POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n": 400,
    # chunked bodies
    POST + b"Transfer-Encoding: gzip\r\n\r\n": 501,
    POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n": 501,
    POST + b"Transfer-Encoding:\r\n\r\n": 501,
    POST + b"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n": 501,
    CHUNKED + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n": 501,
    CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n": 400,
    CHUNKED + b"\r\nzz\r\n": 400,
    CHUNKED + b"\r\n-1\r\n": 400,
    CHUNKED + b"\r\n0x1\r\nx\r\n0\r\n\r\n": 400,
    CHUNKED + b"\r\n1_0\r\n": 400,
    CHUNKED + b"\r\n\r\n": 400,
    CHUNKED + b"\r\n1\r\nab\r\n": 400,
    CHUNKED + b"\r\n1\r\na \r\n0\r\n\r\n": 400,
    CHUNKED + b"\r\nfffffffffff\r\n": 413,
    CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * 200 + b"\r\n": 431,
    CHUNKED + b"\r\n1;" + b"a" * 70_000 + b"\r\n": 400,
}


@pytest.mark.parametrize("request_bytes", REFUSED, ids=lambda text: repr(text[:60]))
def test_hostile_request_is_refused_and_not_forwarded(
    proxy: Proxy, connect: Connect, upstream: Upstream, request_bytes: bytes
) -> None:
    sock = connect(proxy)
    sock.sendall(request_bytes)
    answer = b""
    while part := sock.recv(65536):
        answer += part
    assert answer.startswith(f"HTTP/1.1 {REFUSED[request_bytes]} ".encode()), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert upstream.requests == []


#: Valid requests in rare forms -> method, target, and the headers X and Y as Vault receives them.
ACCEPTED = {
    b"GET /v1/x HTTP/1.1\nX: a\nY: b\n\n": ("GET", "/v1/x", "a", "b"),
    b"\r\n\r\nGET /v1/x HTTP/1.1\r\nX:a\r\nY:\t b \t\r\n\r\n": ("GET", "/v1/x", "a", "b"),
    b"GET /v1/x?a=%00%1b HTTP/1.1\r\nX:\r\nY: a\tb\r\n\r\n": ("GET", "/v1/x?a=%00%1b", "", "a\tb"),
    b"GET HTTPS://vault:8200/v1/x?a HTTP/1.1\r\nX: \xe9\r\nY: 1\r\n\r\n": ("GET", "/v1/x?a", "\xe9", "1"),
    b"GET http://vault?a=b HTTP/1.1\r\nX: 1\r\nY: 2\r\n\r\n": ("GET", "/?a=b", "1", "2"),
    b"LIST //v1/../x;a|b HTTP/1.1\r\nX: 1\r\nY: 2\r\n\r\n": ("LIST", "//v1/../x;a|b", "1", "2"),
}


@pytest.mark.parametrize("request_bytes", ACCEPTED, ids=lambda text: repr(text[:60]))
def test_unusual_request_is_forwarded_as_it_is_recorded(
    proxy: Proxy, connect: Connect, upstream: Upstream, request_bytes: bytes
) -> None:
    sock = connect(proxy)
    sock.sendall(request_bytes)
    assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    (forwarded,) = upstream.requests
    (exchange,) = proxy.exchanges
    method, target, x, y = ACCEPTED[request_bytes]
    # The server behind the proxy reads // as /.
    assert (forwarded[0], forwarded[1].lstrip("/")) == (method, target.lstrip("/"))
    assert (forwarded[2]["X"], forwarded[2]["Y"]) == (x, y)
    assert (exchange.method, exchange.path) == (method, target.partition("?")[0])
    assert (exchange.headers.get("X"), exchange.headers.get("Y")) == (x, y)


@pytest.mark.parametrize(
    "start",
    [
        b"POST /v1/pki/sign/role HTTP/1.1\r\nX-Vault-Token: hvs.abcd",
        b"POST /v1/pki/sign/role HTTP/1.1\r\nX-Vault-Token: hvs.abcdef\r\n",
        b"POST /v1/pki/sign/role HTTP/1.1\r\nX-Vault-Token: hvs.abcdef\r\n\r",
        b"POST /v1/pki/sign/role HTTP/1.1\r\n",
        b"POST /v1/pki/sign/role HTTP/1.1",
    ],
)
def test_head_without_its_empty_line_is_no_request(
    proxy: Proxy, connect: Connect, client: Client, upstream: Upstream, start: bytes
) -> None:
    sock = connect(proxy)
    sock.sendall(start)
    sock.close()
    client("GET", "/v1/sys/health")
    proxy.close()
    assert [request[1] for request in upstream.requests] == ["/v1/sys/health"]
    assert [exchange.path for exchange in proxy.exchanges] == ["/v1/sys/health"]


# -- properties

TOKEN = st.from_regex(re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}"), fullmatch=True)
TARGET = st.from_regex(re.compile(r"/[!-~]{0,40}"), fullmatch=True)
VALUE = st.from_regex(re.compile(r"([!-~\xa0-\xff]([\t -~\xa0-\xff]{0,30}[!-~\xa0-\xff])?)?"), fullmatch=True)
HEADERS = st.lists(st.tuples(TOKEN.filter(lambda name: name.lower() != "host"), VALUE), max_size=8)
#: Bytes that are similar to a request, so that the parser gets past the first line.
PIECES = [
    GET,
    b"GET ",
    b"/v1/x",
    b" HTTP/1.1",
    b"\r\n",
    b"\n",
    b"\r",
    b"Host: a",
    b": ",
    b" ",
    b"\t",
    b"\x00",
    b"X",
    b"\xff",
]
ALMOST = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=12).map(b"".join)


def head_of(data: bytes) -> Head | None:
    return read_head(io.BytesIO(data), lambda: None)


@repeatable
@given(ALMOST)
@example(b"GET /v1/x HTTP/1.1\r\nX: a\rX-Vault-Token: b\r\n\r\n")
@example(b"GET /v1/x HTTP/1.1\r\nX-Vault-Token : a\r\n\r\n")
@example(b"GET /v1/x HTTP/1.1\r\nX: a\r\n b\r\n\r\n")
@example(b"GET\x0b/v1/x\x0bHTTP/1.1\r\n\r\n")
@example(b"GET /v1/\x1c HTTP/1.1\r\n\r\n")
@example(b"GET /v1/x HTTP/1.1\r\nX-Vault-Token: half")
def test_any_bytes_are_a_clean_head_or_none_or_refused(data: bytes) -> None:
    try:
        head = head_of(data)
    except BadRequest:
        return
    if head is None:
        return
    assert b"\n\r\n" in data or b"\n\n" in data
    assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", head.method)
    assert re.fullmatch(r"/[!-~]*|\*", head.target)
    for name, value in head.headers:
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
        assert re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", value)
        assert value == value.strip(" \t")


def written(method: str, target: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1")


@repeatable
@given(TOKEN, TARGET, HEADERS)
def test_what_is_written_is_read(method: str, target: str, headers: list[tuple[str, str]]) -> None:
    head = head_of(written(method, target, headers))
    assert head is not None
    assert (head.method, head.target, list(head.headers)) == (method, target, headers)


@repeatable
@given(TOKEN, TARGET, HEADERS, st.data())
def test_no_part_of_a_head_is_read_as_one(
    method: str, target: str, headers: list[tuple[str, str]], data: st.DataObject
) -> None:
    whole = written(method, target, headers)
    end = data.draw(st.integers(0, len(whole) - 1))
    try:
        assert head_of(whole[:end]) is None
    except BadRequest as refused:
        pytest.fail(f"{whole[:end]!r} may go on as {whole!r}, and was refused: {refused}")


@repeatable
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.data())
def test_chunked_body_is_complete_or_reported_as_incomplete(chunks: list[bytes], data: st.DataObject) -> None:
    headers = Headers([("Transfer-Encoding", "Chunked")])
    sent = b"".join(b"%x;name=value\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\n"
    assert read_body(io.BytesIO(sent + b"next"), headers) == b"".join(chunks)
    end = data.draw(st.integers(0, len(sent) - 1))
    with pytest.raises(IncompleteBody) as incomplete:
        read_body(io.BytesIO(sent[:end]), headers)
    assert b"".join(chunks).startswith(incomplete.value.partial)


@repeatable
@given(st.binary(max_size=60))
@example(b"1\r\nab\r\n0\r\n\r\n")
@example(b"0\r\n" + b"A: b\r\n" * 200)
def test_any_bytes_are_a_body_in_chunks_or_refused(data: bytes) -> None:
    try:
        body = read_body(io.BytesIO(data), Headers([("Transfer-Encoding", "chunked")]))
    except (BadRequest, IncompleteBody):
        return
    assert len(body) < len(data)


@repeatable
@given(st.integers(200, 599), HEADERS, st.binary(max_size=40), st.booleans(), st.booleans())
def test_response_is_one_head_and_its_body(
    status: int, headers: list[tuple[str, str]], body: bytes, head_only: bool, keep_alive: bool
) -> None:
    data = encode_response(Response(status, Headers(headers), body), head_only=head_only, keep_alive=keep_alive)
    head, end, rest = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert end
    assert rest == (b"" if head_only or status in (204, 304) else body)
