"""The server's side of HTTP/1.1: reading requests and writing responses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

from .exchange import Head, Headers, Response

_LONGEST_LINE = 65536
_MOST_HEADERS = 100
_LARGEST_HEADER = 1024 * 1024
"""Bytes of all headers of a request: the limit of servers in Go."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[!-~]+")
_ABSOLUTE = re.compile("https?://[^/?#]*", re.IGNORECASE)
_DIGITS = {10: re.compile("[0-9]{1,20}"), 16: re.compile("[0-9A-Fa-f]{1,20}")}
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that the value of a header must not contain (RFC 9110, 5.5)."""
_LARGEST_BODY = 64 * 1024 * 1024
"""Twice what Vault accepts: a wrong length must not take all memory."""
_HOP_BY_HOP = (
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
    "Transfer-Encoding", "Upgrade",
)  # fmt: skip
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BadRequest(Exception):
    """The request of the client is not valid."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class IncompleteBody(Exception):
    """The client disconnected before the end of a body."""

    def __init__(self, partial: bytes) -> None:
        super().__init__("the body ended early")
        self.partial = partial


def read_head(stream: BinaryIO, on_first_byte: Callable[[], None]) -> Head | None:
    """Return the head of the next request, or None if the client disconnected (also inside a head).

    The check is as strict as RFC 9112 allows. It refuses a head that two servers could read differently, because the
    record of the proxy must match what Vault receives.

    :param on_first_byte: called when the first byte of a request arrives.
    :raises BadRequest: if it is not an HTTP/1.x request.
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
    words = _without_end(line).split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.0", b"HTTP/1.1") or not _TOKEN.fullmatch(words[0]):
        raise BadRequest(400, "this is not an HTTP/1.x request")
    target = _origin_form(words[1])
    headers = _read_headers(stream)
    if headers is None:
        return None
    if len(headers.get_all("Host")) > 1:
        raise BadRequest(400, "the request has two hosts")
    connection = {token.strip().lower() for value in headers.get_all("Connection") for token in value.split(",")}
    is_1_1 = words[2] == b"HTTP/1.1"
    return Head(
        method=words[0].decode(),
        target=target,
        headers=headers,
        keep_alive="close" not in connection and (is_1_1 or "keep-alive" in connection),
        expects_continue=is_1_1 and headers.get("Expect").lower() == "100-continue",
    )


def _read_headers(stream: BinaryIO) -> Headers | None:
    """Return the header lines up to the empty line that ends them, or None if it never arrives.

    :raises BadRequest: if there are too many or too long lines, or an invalid one.
    """
    items: list[tuple[str, str]] = []
    left = _LARGEST_HEADER
    while True:
        line = stream.readline(left + 1)
        left -= len(line)
        if left < 0:
            raise BadRequest(431, "the request's header is too large")
        if not line.endswith(b"\n"):
            return None
        if line in (b"\r\n", b"\n"):
            return Headers(items)
        if len(items) == _MOST_HEADERS:
            raise BadRequest(431, "the request has too many headers")
        name, colon, value = _without_end(line).partition(b":")
        # A folded line and a line with a space before the colon have no valid name.
        if not colon or not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise BadRequest(400, "the request's header is malformed")
        items.append((name.decode(), value.strip(b" \t").decode("iso-8859-1")))


def read_body(stream: BinaryIO, headers: Headers) -> bytes:
    """Return the body of a request, decoded if it is chunked.

    :raises BadRequest: if its length is not a number, or too large.
    :raises IncompleteBody: if the client disconnected before its end.
    """
    if "Transfer-Encoding" in headers:
        if [coding.lower() for coding in headers.get_all("Transfer-Encoding")] != ["chunked"]:
            raise BadRequest(501, "only the transfer coding chunked is known")
        if "Content-Length" in headers:
            raise BadRequest(400, "a body in chunks has no length")
        return _read_chunks(stream)
    lengths = set(headers.get_all("Content-Length")) or {"0"}
    if len(lengths) > 1:
        raise BadRequest(400, "two lengths of the body contradict each other")
    return _read_exactly(stream, _length(lengths.pop(), 10), bytearray())


def end_to_end(headers: Headers) -> Headers:
    """The headers without those for a single connection (RFC 9110, 7.6.1)."""
    named = [token.strip() for value in headers.get_all("Connection") for token in value.split(",")]
    return headers.without(*_HOP_BY_HOP, *named)


def encode_response(response: Response, *, head_only: bool, keep_alive: bool) -> bytes:
    """The response as it goes over the wire.

    :param head_only: it answers a HEAD request.
    """
    headers = end_to_end(response.headers)
    lines = [f"HTTP/1.1 {response.status} {response.phrase}"]
    bodiless = response.status in (204, 304) or response.status < 200
    if not head_only or "Content-Length" not in headers:
        headers = headers.without("Content-Length")
        if not bodiless:
            lines.append(f"Content-Length: {len(response.body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    if not keep_alive:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1", "replace")
    return head if head_only or bodiless else head + response.body


def _without_end(line: bytes) -> bytes:
    """A line without CRLF or LF."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _origin_form(target: bytes) -> str:
    """``/path?query`` also for a target that is a whole URL, which a server must accept (RFC 9112, 3.2.2).

    :raises BadRequest: it is neither, nor ``*``.
    """
    if not _TARGET.fullmatch(target):
        raise BadRequest(400, "the request's target is not printable ASCII")
    path = target.decode()
    if absolute := _ABSOLUTE.match(path):
        path = path[absolute.end() :]
        path = path if path.startswith("/") else f"/{path}"
    if not path.startswith("/") and path != "*":
        raise BadRequest(400, "the request's target is not a path")
    return path


def _length(text: str, base: int) -> int:
    digits = text.strip(" \t\r\n")
    # int() would also accept a sign, underscores, the prefix 0x and digits of other scripts.
    if not _DIGITS[base].fullmatch(digits):
        raise BadRequest(400, "the body's length is not a number")
    length = int(digits, base)
    if length > _LARGEST_BODY:
        raise BadRequest(413, "the body is too large")
    return length


def _read_exactly(stream: BinaryIO, length: int, before: bytearray) -> bytes:
    try:
        data = stream.read(length)
    except OSError as error:
        raise IncompleteBody(bytes(before)) from error
    if len(data) < length:
        raise IncompleteBody(bytes(before + data))
    return data


def _read_chunks(stream: BinaryIO) -> bytes:
    body = bytearray()
    while True:
        size = _length(_read_line(stream, body).partition(b";")[0].decode("iso-8859-1"), 16)
        if size == 0:
            break
        if len(body) + size > _LARGEST_BODY:
            raise BadRequest(413, "the body is too large")
        body += _read_exactly(stream, size, body)
        if _read_line(stream, body) not in (b"\r\n", b"\n"):
            raise BadRequest(400, "a chunk does not end where it should")
    for _ in range(_MOST_HEADERS + 1):
        if _read_line(stream, body) in (b"\r\n", b"\n"):
            return bytes(body)  # Trailers apply only to this connection.
    raise BadRequest(431, "the request has too many trailers")


def _read_line(stream: BinaryIO, before: bytearray) -> bytes:
    try:
        line = stream.readline(_LONGEST_LINE + 1)
    except OSError as error:
        raise IncompleteBody(bytes(before)) from error
    if len(line) > _LONGEST_LINE:
        raise BadRequest(400, "a line of a body in chunks is too long")
    if not line.endswith(b"\n"):
        raise IncompleteBody(bytes(before))
    return line
