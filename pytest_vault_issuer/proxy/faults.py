"""The faults that the proxy can inject into a request or into Vault's response."""

from __future__ import annotations

import copy
import json as jsonlib
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .exchange import Headers, Pace, Response

_NOTHING_CHANGED = " (response unchanged)"
_PATIENCE = 60.0
"""Seconds between two looks at a client that waits for a response; its end is noticed at once."""


class Reset(Exception):
    """Reset the connection without a response."""


class Lifetime:
    """Ends the waits of faults when the proxy closes."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once :attr:`over` is set; not when it is set already."""
        with self._lock:
            self._callbacks.append(callback)

    def end(self) -> None:
        """Set :attr:`over` and wake all waiting threads."""
        self.over.set()
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def wait_for_client(self, timeout: float) -> bool:
        """Wait until the client of this request disconnects; return whether it did within `timeout` seconds.

        :raises Reset: if the proxy closes first.
        """
        if self.over.wait(timeout):
            raise Reset
        return False


class Fault(ABC):
    """One way to treat a request; subclasses override one of the hooks."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Recorded in :attr:`Exchange.fault`."""

    def on_request(self, lifetime: Lifetime) -> Response | None:
        """Called before the request is forwarded: a response is sent instead of Vault's, None forwards.

        :raises Reset: the connection is reset.
        """
        return None

    def on_forward(self, headers: Headers) -> Headers:
        """Called with the request's headers when it is forwarded: those that Vault gets."""
        return headers

    def on_response(self, response: Response) -> tuple[Response, str]:
        """Called with Vault's response: what the client gets, and a remark to add to the recorded name.

        :raises Reset: the connection is reset.
        """
        return response, ""


@dataclass(frozen=True, eq=False)
class Respond(Fault):
    """Answer without Vault.

    :param status: any HTTP status, also Vault's own such as 472.
    :param json: the body as a JSON value.
    :param body: the raw body; not together with ``json``.
    :param content_type: default ``application/json`` for ``json``, else ``text/plain``.
    """

    status: int
    json: Any = None
    body: bytes | str = b""
    headers: Sequence[tuple[str, str]] = ()
    content_type: str | None = None

    def __post_init__(self) -> None:
        if self.json is not None and self.body:
            raise ValueError("Respond takes json or body, not both")

    @property
    def name(self) -> str:
        """``respond 503``, or ``respond 429, retry after 2`` with the header Retry-After."""
        after = Headers(self.headers).get("Retry-After")
        return f"respond {self.status}" + (f", retry after {after}" if after else "")

    def on_request(self, lifetime: Lifetime) -> Response:
        """The declared response."""
        if self.json is not None:
            body, content_type = jsonlib.dumps(self.json).encode(), "application/json"
        else:
            body, content_type = self.body.encode() if isinstance(self.body, str) else self.body, "text/plain"
        headers = [("Content-Type", self.content_type or content_type), *self.headers] if body else self.headers
        return Response(self.status, Headers(headers), body)


@dataclass(frozen=True, eq=False)
class Redirect(Fault):
    """Answers with a redirect to another URL."""

    location_url: str
    status: int = 307

    @property
    def name(self) -> str:
        """``redirect 307``."""
        return f"redirect {self.status}"

    def on_request(self, lifetime: Lifetime) -> Response:
        """The redirect."""
        return Response(self.status, Headers([("Location", self.location_url)]))


@dataclass(frozen=True, eq=False)
class EmptyResponse(Fault):
    """Answers with a status and nothing else."""

    status: int = 204

    @property
    def name(self) -> str:
        """``empty response 204``."""
        return f"empty response {self.status}"

    def on_request(self, lifetime: Lifetime) -> Response:
        """The empty response."""
        return Response(self.status)


@dataclass(frozen=True, eq=False)
class Delay(Fault):
    """Forward the request after a number of seconds. To prove that a request is in flight, use :class:`Hold`."""

    seconds: float

    @property
    def name(self) -> str:
        """``delay 1.5 s``."""
        return f"delay {self.seconds:g} s"

    def on_request(self, lifetime: Lifetime) -> None:
        """Wait."""
        if lifetime.over.wait(self.seconds):
            raise Reset


class Latency(Fault):
    """Forward each request after a delay that is drawn from a distribution; the same seed gives the same delays.

    :param sample: returns the next delay in seconds from a source of random numbers:
        ``lambda source: source.lognormvariate(-1, 0.5)``.
    :param at_most: longest delay in seconds.
    """

    def __init__(self, sample: Callable[[random.Random], float], *, at_most: float, seed: int = 0) -> None:
        if at_most < 0:
            raise ValueError(f"the longest delay must not be negative, got {at_most:g} s")
        self._sample = sample
        self._at_most = at_most
        self._source = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._lock = threading.Lock()

    @classmethod
    def between(cls, shortest: float, longest: float, *, seed: int = 0) -> Latency:
        """Return delays that are uniform between two bounds in seconds.

        :raises ValueError: if the bounds are not in order.
        """
        if not 0 <= shortest <= longest:
            raise ValueError(f"the bounds must be in order and not negative, got {shortest:g} s and {longest:g} s")
        return cls(lambda source: source.uniform(shortest, longest), at_most=longest, seed=seed)

    @property
    def name(self) -> str:
        """``latency up to 8 s``."""
        return f"latency up to {self._at_most:g} s"

    def next_delay(self) -> float:
        """Draw the next delay in seconds."""
        with self._lock:
            return min(max(self._sample(self._source), 0.0), self._at_most)

    def on_request(self, lifetime: Lifetime) -> None:
        """Wait."""
        if lifetime.over.wait(self.next_delay()):
            raise Reset


class Hang(Fault):
    """Never answer and never forward: the exchange ends when the client disconnects.

    It is recorded at that time. Its duration (``ended - started``) is then the client's own limit.
    """

    name = "hang"

    def on_request(self, lifetime: Lifetime) -> None:
        """Wait for the client to disconnect, or for the proxy's end."""
        while not lifetime.wait_for_client(_PATIENCE):
            pass
        raise Reset


@dataclass(frozen=True, eq=False)
class Trickle(Fault):
    """Send Vault's response in small pieces with a pause after each.

    :param size: bytes of a piece, its headers included.
    :param pause: seconds.
    :param at_most: number of pauses; the rest follows in one piece. None pauses until the end.
    :raises ValueError: as :class:`~pytest_vault_issuer.proxy.exchange.Pace` does.
    """

    size: int
    pause: float
    at_most: int | None = None

    def __post_init__(self) -> None:
        self._pace()

    @property
    def name(self) -> str:
        """``trickle 64 bytes every 0.5 s``."""
        return f"trickle {self.size} bytes every {self.pause:g} s"

    def on_response(self, response: Response) -> tuple[Response, str]:
        """The response with its pace."""
        return replace(response, pace=self._pace()), ""

    def _pace(self) -> Pace:
        return Pace(self.size, self.pause, self.at_most)


class Hold(Fault):
    """Hold requests before Vault until :meth:`release`. Later requests pass at once.

    ``arrived`` is an event, set when the first request is held: ``assert hold.arrived.wait(timeout)``.
    """

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._changed = threading.Condition()
        self._released = False

    name = "hold"

    def release(self) -> None:
        """Let the held requests go on to Vault."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def on_request(self, lifetime: Lifetime) -> None:
        """Wait for the release, or for the proxy's end."""
        lifetime.on_end(self._wake)
        self._hold(lifetime)

    def _hold(self, lifetime: Lifetime) -> None:
        self.arrived.set()
        with self._changed:
            self._changed.wait_for(lambda: self._released or lifetime.over.is_set())
        if lifetime.over.is_set():
            raise Reset

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class HoldResponse(Hold):
    """Hold Vault's responses before the client until :meth:`release`. Vault has already acted on the request.

    ``arrived`` is set when the first response is held.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lifetime = Lifetime()

    name = "hold response"

    def on_request(self, lifetime: Lifetime) -> None:
        """Forward the request."""
        lifetime.on_end(self._wake)
        self._lifetime = lifetime

    def on_response(self, response: Response) -> tuple[Response, str]:
        """Wait for the release, or for the proxy's end."""
        self._hold(self._lifetime)
        return response, ""


@dataclass(frozen=True, eq=False)
class AddHeader(Fault):
    """Forward the request with one more header, for example one that changes how Vault treats it."""

    header: str
    value: str

    @property
    def name(self) -> str:
        """``add header X-Vault-No-Request-Forwarding``."""
        return f"add header {self.header}"

    def on_forward(self, headers: Headers) -> Headers:
        """Return the headers with this one; it replaces headers of the client with the same name."""
        return Headers([*headers.without(self.header), (self.header, self.value)])


@dataclass(frozen=True, eq=False)
class ResponseHeader(Fault):
    """Replace a header of Vault's response, as a proxy between the two may do."""

    header: str
    value: str

    @property
    def name(self) -> str:
        """``response with header Content-Type``."""
        return f"response with header {self.header}"

    def on_response(self, response: Response) -> tuple[Response, str]:
        """The response with this header."""
        return replace(
            response, headers=Headers([*response.headers.without(self.header), (self.header, self.value)])
        ), ""


@dataclass(frozen=True, eq=False)
class Compress(Fault):
    """Send Vault's response compressed if the client accepts gzip, as a proxy or load balancer may do."""

    @property
    def name(self) -> str:
        """``compress``."""
        return "compress"

    def on_response(self, response: Response) -> tuple[Response, str]:
        """The response, to be compressed; the record has the plain body."""
        return replace(response, compressed=True), ""


@dataclass(frozen=True, eq=False)
class ResetBefore(Fault):
    """Reset the connection. Vault never receives the request."""

    name = "reset before"

    def on_request(self, lifetime: Lifetime) -> None:
        """Reset."""
        raise Reset


@dataclass(frozen=True, eq=False)
class ResetAfter(Fault):
    """Reset the connection after Vault has answered: the client does not learn that Vault has acted."""

    name = "reset after"

    def on_response(self, response: Response) -> tuple[Response, str]:
        """Reset."""
        raise Reset


@dataclass(frozen=True, eq=False)
class Tamper(Fault):
    """Change Vault's response if it is a JSON object.

    ``fn`` gets a copy, which it may change, and returns the response for the client. If nothing changed (an error
    response, a chain of one reordered), the recorded name states this.
    """

    fn: Callable[[dict[str, Any]], dict[str, Any]]
    name: str = "tamper"

    def on_response(self, response: Response) -> tuple[Response, str]:
        """The changed response."""
        try:
            original = jsonlib.loads(response.body)
        except ValueError:
            return response, _NOTHING_CHANGED
        if not isinstance(original, dict):
            return response, _NOTHING_CHANGED
        changed = self.fn(copy.deepcopy(original))
        if changed == original:
            return response, _NOTHING_CHANGED
        return replace(response, body=jsonlib.dumps(changed).encode()), ""


@dataclass(frozen=True, eq=False)
class TamperBody(Fault):
    """Changes the raw body of Vault's response."""

    fn: Callable[[bytes], bytes]
    name: str = "tamper body"

    def on_response(self, response: Response) -> tuple[Response, str]:
        """The changed response."""
        body = self.fn(response.body)
        return replace(response, body=body), "" if body != response.body else _NOTHING_CHANGED


def retry_later(status: int, *, after: int | None = None, error: str = "") -> Respond:
    """Refuse a request temporarily, as Vault does with 412, 429 and 503.

    :param status: 429 for a rate limit, 412 for a node that lags behind, 503 for an overloaded one.
    :param after: seconds in the header Retry-After; None for no header. Vault sends it with 429 if
        ``enable_rate_limit_response_headers`` is set (Vault API, sys/quotas/config).
    :param error: Vault's message; default that of Vault for the status (Vault source, sdk/logical/error.go and
        sdk/helper/consts/error.go).
    """
    texts = {
        412: "required index state not present",
        429: "rate limit quota exceeded",
        503: "overloaded, try again later",
    }
    headers = [] if after is None else [("Retry-After", str(after))]
    return Respond(status, json={"errors": [error or texts.get(status, "try again later")]}, headers=headers)


def set_data(key: str, value: Any) -> Tamper:
    """Set a field of the response's ``data``."""
    return _tamper_data(f"set data.{key}", lambda data: data.update({key: value}))


def replace_certificate(pem: str) -> Tamper:
    """Replace the certificate that Vault signed."""
    return _tamper_data("replace certificate", lambda data: data.update(certificate=pem))


def drop_chain() -> Tamper:
    """Remove ``ca_chain``; ``issuing_ca`` stays."""
    return _tamper_data("drop chain", lambda data: data.pop("ca_chain", None))


def add_to_chain(pem: str) -> Tamper:
    """Add a certificate at the end of ``ca_chain``."""
    return _tamper_chain("add to chain", lambda chain: [*chain, pem])


def duplicate_chain() -> Tamper:
    """Send every certificate of ``ca_chain`` twice."""
    return _tamper_chain("duplicate chain", lambda chain: [*chain, *chain])


def reorder_chain(order: Sequence[int] | None = None, *, seed: int = 0) -> Tamper:
    """Send ``ca_chain`` in another order.

    :param order: the positions in Vault's chain in the order in which to send them, for example ``(2, 0, 1)``.
    :param seed: without ``order``, of a shuffle that never gives the original order.
    """

    def reorder(chain: list[Any]) -> list[Any]:
        if order is not None:
            if sorted(order) != list(range(len(chain))):
                raise ValueError(f"the order {tuple(order)} does not fit a chain of {len(chain)}")
            return [chain[position] for position in order]
        source = random.Random(seed)  # noqa: S311 - reproducible on purpose
        shuffled = list(chain)
        while len(set(chain)) > 1 and shuffled == chain:
            source.shuffle(shuffled)
        return shuffled

    return _tamper_chain("reorder chain", reorder)


def _tamper_data(name: str, change: Callable[[dict[str, Any]], object]) -> Tamper:
    def fn(response: dict[str, Any]) -> dict[str, Any]:
        data = response.get("data")
        if isinstance(data, dict):
            change(data)
        return response

    return Tamper(fn, name)


def _tamper_chain(name: str, change: Callable[[list[Any]], list[Any]]) -> Tamper:
    def change_data(data: dict[str, Any]) -> None:
        # Vault omits ca_chain if it does not know the chain of the issuer.
        if "certificate" in data:
            data["ca_chain"] = change(list(data.get("ca_chain") or []))

    return _tamper_data(name, change_data)
