"""The record of the proxy: one request and its response."""

from __future__ import annotations

import enum
import gzip
import http
import json
import math
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from cryptography import x509

from ..redaction.redactor import Redactor, decode_jwt

_WRITES = frozenset({"POST", "PUT", "PATCH"})
_SIGN_WITH_ROLE = frozenset({"sign", "issue", "sign-verbatim"})
_SIGN_WITHOUT_ROLE = frozenset({"sign-verbatim", "sign-intermediate", "sign-self-issued"})
_LONGEST_SHOWN = 4000
_DEEPEST_SHOWN = 50
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that change the direction of text, and halves of pairs, which UTF-8 cannot express."""


class Route(enum.Enum):
    """The purpose of a request to Vault, recognized by its method and path."""

    LOGIN = "login"
    HEALTH = "health"
    SIGN = "sign"
    OTHER = "other"

    @classmethod
    def of(cls, method: str, path: str) -> Route:
        """The route of a request; ``path`` is the raw path without its query.

        A path may have a prefix before ``/v1``, and a namespace between ``/v1`` and the mount.
        Endpoints that sign but are not ``sign/<role>`` count as SIGN too, so that a wrong endpoint is seen.
        """
        segments = [urllib.parse.unquote(segment) for segment in path.split("/") if segment]
        if "v1" not in segments:
            return cls.OTHER
        segments = segments[segments.index("v1") + 1 :]
        if segments[-2:] == ["sys", "health"]:
            return cls.HEALTH
        if method not in _WRITES or not segments:
            return cls.OTHER
        login = segments[-1] == "login"
        # A role may be named "login" and an auth mount "sign": a path that begins with auth/ is a login.
        if login and "auth" in segments[:-1]:
            return cls.LOGIN
        if segments[-1] in _SIGN_WITHOUT_ROLE or _SIGN_WITH_ROLE.intersection(segments[:-1]):
            return cls.SIGN
        return cls.LOGIN if login and "sys" not in segments else cls.OTHER


class Headers:
    """HTTP headers in the order they came: names are case-insensitive and may occur more than once."""

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = tuple(items)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header, or ``default``."""
        return next(iter(self.get_all(name)), default)

    def get_all(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self._items if key.lower() == name.lower()]

    def without(self, *names: str) -> Headers:
        """The headers except those named."""
        lowered = {name.lower() for name in names}
        return Headers((key, value) for key, value in self._items if key.lower() not in lowered)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __repr__(self) -> str:
        # Values may be credentials, and a repr ends up in assertion messages.
        return f"Headers({', '.join(key for key, _ in self._items)})"


@dataclass(frozen=True)
class Head:
    """A request without its body."""

    method: str
    target: str
    """Path and query as they were sent."""
    headers: Headers = field(default_factory=Headers)
    keep_alive: bool = True
    expects_continue: bool = False

    @property
    def path(self) -> str:
        """The target up to its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.target.partition("?")[2]

    @cached_property
    def route(self) -> Route:
        """The purpose of the request."""
        return Route.of(self.method, self.path)


@dataclass(frozen=True)
class JWT:
    """A JSON web token's content; nothing about it is verified."""

    header: dict[str, Any]
    claims: dict[str, Any]

    @classmethod
    def of(cls, token: str) -> JWT | None:
        """Decode a token; return None for another text."""
        decoded = decode_jwt(token)
        return cls(*decoded) if decoded else None

    @property
    def subject(self) -> str:
        """The claim ``sub``, or the empty string."""
        return str(self.claims.get("sub", ""))

    @property
    def audiences(self) -> tuple[str, ...]:
        """The claim ``aud``, which may be a text or a list of them."""
        audience = self.claims.get("aud", [])
        return tuple(map(str, audience)) if isinstance(audience, list) else (str(audience),)

    @property
    def lifetime(self) -> float | None:
        """``exp`` minus ``iat`` in seconds; None if one of them is missing or is not a number."""
        try:
            return float(self.claims["exp"]) - float(self.claims["iat"])
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Pace:
    """How slowly a response is sent.

    :ivar size: bytes of a piece.
    :ivar pause: seconds after each piece.
    :ivar at_most: number of pauses, after which the rest follows at once; None for no limit.
    :raises ValueError: if a piece would be empty, or a number is negative.
    """

    size: int
    pause: float
    at_most: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"a piece of a response must have at least one byte, got {self.size}")
        if self.pause < 0 or (self.at_most or 0) < 0:
            raise ValueError(f"the pauses must not be negative, got {self.at_most} of {self.pause:g} s")

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the pieces of an encoded response."""
        count = 0
        while len(data) > self.size and (self.at_most is None or count < self.at_most):
            yield data[: self.size]
            data, count = data[self.size :], count + 1
        yield data


@dataclass(frozen=True)
class Response:
    """An HTTP response, from Vault or from the proxy.

    :ivar compressed: whether it is sent compressed to a client that accepts gzip. The record has the plain body.
    """

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    reason: str = ""
    pace: Pace | None = None
    compressed: bool = False

    def for_client(self, request: Headers) -> Response:
        """Return the response as a client gets it that sent these headers."""
        accepted = [part.strip().lower() for part in request.get("Accept-Encoding").split(",")]
        if not self.compressed or not self.body or "gzip" not in accepted:
            return self
        headers = Headers([*self.headers.without("Content-Encoding"), ("Content-Encoding", "gzip")])
        return replace(self, headers=headers, body=gzip.compress(self.body, mtime=0))

    @property
    def phrase(self) -> str:
        """The reason phrase: the given one, else the standard one, else nothing."""
        if self.reason:
            return self.reason
        try:
            return http.HTTPStatus(self.status).phrase
        except ValueError:
            return ""


@dataclass(frozen=True)
class HandshakeFailure:
    """A connection that ended without a request, because the TLS handshake failed."""

    time: float
    """When it failed, in seconds since the epoch."""
    reason: str
    """OpenSSL's message about the failure or the client's alert.

    Clients word one cause differently: where the CA is not trusted, OpenSSL alerts ``unknown ca`` and Go
    ``bad certificate``. So a test asks whether a handshake failed, not why.
    """
    server_name: str = ""
    """The name by which the client addressed the server (SNI); empty if it sent none, as for an IP address."""


@dataclass(frozen=True, repr=False)
class Exchange:
    """One request that the proxy received, and its response."""

    number: int
    """Counts requests in the order of their arrival, from 0."""
    head: Head
    body: bytes
    started: float
    """When the request's head had arrived, in seconds since the epoch."""
    ended: float
    """When the response was ready to be sent, in seconds since the epoch.

    For a response that trickles: when its last piece was ready. Without a response: when the connection ended.
    """
    status: int | None = None
    """The status that the client received; None if it received no response (a reset, or it disconnected)."""
    response_headers: Headers = field(default_factory=Headers)
    response_body: bytes = b""
    """What the client was sent, after any tampering."""
    fault: str | None = None
    """The name of the injected fault, or of another failure."""
    upstream: bool = False
    """Whether the real Vault answered the request."""
    client_certificate: bytes | None = None
    """The certificate the client presented (DER)."""
    server_name: str = ""
    """The name by which the client addressed the server (SNI); empty if it sent none, as for an IP address."""

    @property
    def route(self) -> Route:
        """The purpose of the request."""
        return self.head.route

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.head.method

    @property
    def path(self) -> str:
        """The path as it was sent, without the query."""
        return self.head.path

    @property
    def query(self) -> str:
        """The query as it was sent, without the question mark."""
        return self.head.query

    @property
    def headers(self) -> Headers:
        """The headers of the request."""
        return self.head.headers

    @property
    def json(self) -> dict[str, Any]:
        """The request's body, or an empty dict if it is not a JSON object."""
        return _json_object(self.body)

    @property
    def response_json(self) -> dict[str, Any]:
        """The response's body, or an empty dict if it is not a JSON object."""
        return _json_object(self.response_body)

    @property
    def token(self) -> str:
        """The Vault token of the request: ``X-Vault-Token``, else ``Authorization: Bearer``, else nothing."""
        scheme, _, credentials = self.headers.get("Authorization").partition(" ")
        return self.headers.get("X-Vault-Token") or (credentials.strip() if scheme.lower() == "bearer" else "")

    @property
    def namespace(self) -> str:
        """``X-Vault-Namespace``, or the empty string."""
        return self.headers.get("X-Vault-Namespace")

    @property
    def jwt(self) -> JWT | None:
        """The token in the body's field ``jwt``, or None."""
        token = self.json.get("jwt")
        return JWT.of(token) if isinstance(token, str) else None

    @property
    def summary(self) -> str:
        """One line without headers and bodies: number, method, path, status, fault."""
        status = self.status if self.status is not None else "no response"
        return f"#{self.number} {self.method} {self.path} {status}" + (f" [{self.fault}]" if self.fault else "")

    def record(self, redactor: Redactor) -> dict[str, Any]:
        r"""Everything about the exchange, redacted, as JSON values, for evidence that leaves the process.

        A body is a JSON value if it can be parsed, else a text; a long one is shortened, and then a text. Every JSON
        parser and every terminal can read the result: control characters and unpaired surrogates are written as
        ``\x1b`` and ``\ud800``, and numbers that JSON does not have as texts.
        """
        shown: dict[str, Any] = _writable(self._shown(redactor))
        return shown

    def _shown(self, redactor: Redactor) -> dict[str, Any]:
        return {
            "number": self.number,
            "route": self.route.value,
            "method": self.method,
            "path": redactor.redact(self.path),
            "query": _shown_query(self.query, redactor),
            "headers": [list(item) for item in redactor.redact_headers(self.headers)],
            "body": _shown_body(self.body, redactor),
            "jwt": _shown_jwt(self.jwt, redactor),
            "status": self.status,
            "response_headers": [list(item) for item in redactor.redact_headers(self.response_headers)],
            "response_body": _shown_body(self.response_body, redactor),
            "started": self.started,
            "milliseconds": round((self.ended - self.started) * 1000, 1),
            "fault": self.fault,
            "by_vault": self.upstream,
            "client_certificate": _certificate_name(self.client_certificate),
            "server_name": self.server_name,
        }

    def __repr__(self) -> str:
        # Bodies and headers hold credentials, and a repr ends up in assertion messages.
        return f"<Exchange {self.summary}>"


def _shown_query(query: str, redactor: Redactor) -> str:
    """Return the parameters of a query, decoded: percent signs would hide the shape of a secret."""
    pairs = [
        redactor.redact_json({name: value}) for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True)
    ]
    return "&".join(f"{name}={value}" for shown in pairs for name, value in shown.items())


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _shown_body(body: bytes, redactor: Redactor) -> Any:
    try:
        value = _writable(redactor.redact_json(json.loads(body)), 1)
    except (ValueError, RecursionError):
        value = _writable(redactor.redact(body.decode("utf-8", "replace")))
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    # Shorten only after redacting: half a secret would not be recognized.
    return value if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… ({len(body)} bytes)"


def _shown_jwt(token: JWT | None, redactor: Redactor) -> Any:
    if token is None:
        return None
    try:
        return _writable(redactor.redact_json({"header": token.header, "claims": token.claims}), 1)
    except RecursionError:
        return "nested too deeply"


def _writable(value: Any, depth: int = 0) -> Any:
    """Return a JSON value with only printable texts and valid numbers.

    :raises RecursionError: if a body is nested too deeply for its readers.
    """
    if depth > _DEEPEST_SHOWN:
        raise RecursionError("nested too deeply")
    match value:
        case str():
            return _UNWRITABLE.sub(_escaped, value)
        case float() if not math.isfinite(value):
            return json.dumps(value)
        case dict():
            return {_writable(str(key)): _writable(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_writable(item, depth + 1) for item in value]
    return value


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _certificate_name(der: bytes | None) -> str:
    if der is None:
        return ""
    try:
        return x509.load_der_x509_certificate(der).subject.rfc4514_string() or "without a subject"
    except ValueError:
        return "not readable"
