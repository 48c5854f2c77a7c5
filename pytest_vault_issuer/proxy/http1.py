"""The server's side of HTTP/1.1: reading requests and writing answers."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from pytest_vault_issuer.proxy.exchange import Answer, Headers

_LONGEST_LINE = 65536
_LARGEST_BODY = 64 * 1024 * 1024
"""Twice what Vault accepts: a wrong length must not take all memory."""
_HOP_BY_HOP = (
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
    "Transfer-Encoding", "Upgrade",
)  # fmt: skip
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BadRequest(Exception):
    """What the client sent cannot be understood."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class IncompleteBody(Exception):
    """The client went away in the middle of a body."""

    def __init__(self, partial: bytes) -> None:
        super().__init__("the body ended early")
        self.partial = partial


@dataclass(frozen=True)
class Head:
    """A request without its body."""

    method: str
    target: str
    """Path and query as they were sent."""
    headers: Headers
    keep_alive: bool
    expects_continue: bool

    @property
    def path(self) -> str:
        """The target up to its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.target.partition("?")[2]


def read_head(stream: BinaryIO, on_first_byte: Callable[[], None]) -> Head | None:
    """The next request's head, or None when the client is done (or went away in the middle of a head).

    :param on_first_byte: called when a request has begun to arrive.
    :raises BadRequest: it is no HTTP/1.x request.
    """
    line = b"\r\n"
    # RFC 9112, 2.2: a server should ignore an empty line before a request.
    while line in (b"\r\n", b"\n"):
        line = stream.readline(_LONGEST_LINE + 1)
    if not line:
        return None
    on_first_byte()
    if not line.endswith(b"\n"):
        if len(line) > _LONGEST_LINE:
            raise BadRequest(414, "the request line is too long")
        return None
    words = line.decode("iso-8859-1").split()
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise BadRequest(400, "this is no HTTP/1.x request")
    method, target, version = words
    if not target.isascii():
        raise BadRequest(400, "the request's target is not ASCII")
    try:
        message = http.client.parse_headers(stream)
    except http.client.HTTPException as error:
        raise BadRequest(431, "the request's header is too large") from error
    if message.defects:
        raise BadRequest(400, "the request's header is malformed")
    headers = Headers(message.items())
    connection = {token.strip().lower() for value in headers.get_all("Connection") for token in value.split(",")}
    return Head(
        method=method,
        target=_origin_form(target),
        headers=headers,
        keep_alive="close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection),
        expects_continue=version == "HTTP/1.1" and headers.get("Expect").lower() == "100-continue",
    )


def read_body(stream: BinaryIO, headers: Headers) -> bytes:
    """A request's body, decoded where it came in chunks.

    :raises BadRequest: its length is no length, or too large.
    :raises IncompleteBody: the client went away before its end.
    """
    coding = headers.get("Transfer-Encoding").strip().lower()
    if coding:
        if coding != "chunked":
            raise BadRequest(501, "only the transfer coding chunked is known")
        return _read_chunks(stream)
    lengths = set(headers.get_all("Content-Length")) or {"0"}
    if len(lengths) > 1:
        raise BadRequest(400, "two lengths of the body contradict each other")
    return _read_exactly(stream, _length(lengths.pop(), 10), b"")


def end_to_end(headers: Headers) -> Headers:
    """The headers without those that are about one connection only (RFC 9110, 7.6.1)."""
    named = [token.strip() for value in headers.get_all("Connection") for token in value.split(",")]
    return headers.without(*_HOP_BY_HOP, *named)


def encode_answer(answer: Answer, *, head_only: bool, keep_alive: bool) -> bytes:
    """The answer as it goes over the wire.

    :param head_only: it answers a HEAD request.
    """
    headers = end_to_end(answer.headers)
    lines = [f"HTTP/1.1 {answer.status} {answer.phrase}"]
    bodiless = answer.status in (204, 304) or answer.status < 200
    if not head_only or "Content-Length" not in headers:
        headers = headers.without("Content-Length")
        if not bodiless:
            lines.append(f"Content-Length: {len(answer.body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    if not keep_alive:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1", "replace")
    return head if head_only or bodiless else head + answer.body


def _origin_form(target: str) -> str:
    """``/path?query`` also for a target that is a whole URL, which a server must accept (RFC 9112, 3.2.2)."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return target
    return "/" + rest.partition("/")[2]


def _length(text: str, base: int) -> int:
    digits = text.strip()
    # int() would also take a sign, underscores and the prefix 0x.
    if not digits.isascii() or not digits.isalnum():
        raise BadRequest(400, "the body's length is no number")
    try:
        length = int(digits, base)
    except ValueError as error:
        raise BadRequest(400, "the body's length is no number") from error
    if length > _LARGEST_BODY:
        raise BadRequest(413, "the body is too large")
    return length


def _read_exactly(stream: BinaryIO, length: int, before: bytes) -> bytes:
    try:
        data = stream.read(length)
    except OSError as error:
        raise IncompleteBody(before) from error
    if len(data) < length:
        raise IncompleteBody(before + data)
    return data


def _read_chunks(stream: BinaryIO) -> bytes:
    body = b""
    while True:
        size = _length(_read_line(stream, body).partition(b";")[0].decode("iso-8859-1"), 16)
        if size == 0:
            break
        body += _read_exactly(stream, size, body)
        if len(body) > _LARGEST_BODY:
            raise BadRequest(413, "the body is too large")
        if _read_line(stream, body).strip():
            raise BadRequest(400, "a chunk does not end where it should")
    while _read_line(stream, body).strip():
        pass  # Trailers are about this connection only.
    return body


def _read_line(stream: BinaryIO, before: bytes) -> bytes:
    try:
        line = stream.readline(_LONGEST_LINE)
    except OSError as error:
        raise IncompleteBody(before) from error
    if not line.endswith(b"\n"):
        raise IncompleteBody(before)
    return line
