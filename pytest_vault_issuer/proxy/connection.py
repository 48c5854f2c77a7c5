"""One client's connection: handshake, requests one after the other, responses."""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from ..certificates import ClientCertificate
from . import namespaces
from .exchange import Exchange, Head, Headers, Pace, Response
from .faults import Lifetime, Reset
from .http1 import CONTINUE, BadRequest, IncompleteBody, encode_response, read_body, read_head
from .recorder import Recorder
from .tls import ServerSocket
from .upstream import Unreachable, Upstream, UpstreamConnection

_log = logging.getLogger(__name__)
_LINGER = 1.0
"""Seconds in which a client may fetch a refusal before the connection is gone."""
_SENDING = 10.0
"""Seconds in which a client must have read its response."""
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
"""Events of a client that disconnected. Not POLLIN: TLS messages of a client that stays may arrive too. macOS has no
POLLRDHUP and reports POLLHUP instead."""


@dataclass
class Shared:
    """The common state of all connections of one proxy."""

    upstream: Upstream
    prefix: str = ""
    namespaces: tuple[str, ...] = ()
    health_in_namespace: int | None = None
    """Status of a health query in a namespace; None answers it."""
    request_header_required: bool = False
    clients: dict[bytes, ClientCertificate] = field(default_factory=dict)
    """The client certificates that the proxy also presents to Vault, by their DER form."""
    recorder: Recorder = field(default_factory=Recorder)
    lifetime: Lifetime = field(default_factory=Lifetime)

    def refuse(self, head: Head) -> Response | None:
        """Return the response to a request that the proxy refuses; None forwards it to Vault."""
        if self.prefix and not head.target.startswith(f"{self.prefix}/"):
            return _refusal(404, "there is nothing outside of the path prefix")
        # As in Vault Agent and Vault Proxy (Vault documentation, Vault Agent, listener, require_request_header).
        if self.request_header_required and head.headers.get_all("X-Vault-Request") != ["true"]:
            return _refusal(412, 'missing "X-Vault-Request" header')
        if self.health_in_namespace is not None and namespaces.asks_for_health(head, self.prefix):
            return _refusal(self.health_in_namespace, namespaces.health_refusal(self.health_in_namespace))
        return None


class _RequestLifetime(Lifetime):
    """The time that a fault of one request can last: until the proxy closes. A fault can also wait for the client."""

    def __init__(self, proxy: Lifetime, sock: socket.socket) -> None:
        super().__init__()
        self.over = proxy.over
        self._proxy = proxy
        self._socket = sock

    def on_end(self, callback: Callable[[], None]) -> None:
        self._proxy.on_end(callback)

    def wait_for_client(self, timeout: float) -> bool:
        # The proxy interrupts its connections when it closes, which ends the wait too.
        gone = _is_gone(self._socket, timeout)
        if self.over.is_set():
            raise Reset
        return gone


class ClientConnection:
    """Serves one accepted socket; its thread runs :meth:`run`.

    :param sock: an :class:`ssl.SSLSocket` before its handshake, or a plain socket.
    """

    def __init__(self, sock: socket.socket, shared: Shared) -> None:
        self._socket = sock
        self._shared = shared
        self._upstream = UpstreamConnection()
        self._stream: BinaryIO = sock.makefile("rb")
        self._certificate: bytes | None = None
        self._lock = threading.Lock()
        self._heard = False
        self._number = 0
        self._busy = False
        self._ending = False

    def run(self) -> None:
        """Serve requests until the client or the proxy ends the connection."""
        try:
            if self._handshake():
                self._serve()
        except Exception:
            # The exchange has recorded the relevant errors. A traceback on stderr would only hide that of a test.
            _log.debug("a connection ended", exc_info=True)
        finally:
            self._upstream.close()
            self._close()

    @property
    def client_gone(self) -> bool:
        """Whether the client disconnected, perhaps unnoticed by the connection's own thread so far."""
        return _is_gone(self._socket, 0)

    def interrupt(self) -> None:
        """End the connection at once, from another thread."""
        # Without the lock, which is held while a response is sent to a client that may not read it.
        self._ending = True
        self._shut(socket.SHUT_RDWR)
        self._upstream.interrupt()

    def retire(self, timeout: float) -> None:
        """End the connection from another thread: at once if it is idle, otherwise after its current response.

        :param timeout: seconds to wait for a response that is being sent, in case the client does not read it.
        """
        self._ending = True
        if not self._lock.acquire(timeout=timeout):
            return  # Its thread ends the connection after the response, or when the client has taken too long.
        try:
            if not self._busy:
                self._shut(socket.SHUT_RDWR)
        finally:
            self._lock.release()

    def _handshake(self) -> bool:
        if not isinstance(self._socket, ssl.SSLSocket):
            return True
        # A client that connects and sends nothing (a port probe) has not verified our certificate. SSLSocket's own
        # method would read from the TLS layer, which does not exist yet.
        if not socket.socket.recv(self._socket, 1, socket.MSG_PEEK):
            return False
        try:
            self._socket.do_handshake()
        except (OSError, ValueError) as error:
            self._handshake_failed(error)
            self._linger()
            return False
        self._certificate = self._socket.getpeercert(binary_form=True)
        if self._certificate is not None:
            self._upstream.client = self._shared.clients.get(self._certificate)
        return True

    @property
    def _server_name(self) -> str:
        return self._socket.server_name if isinstance(self._socket, ServerSocket) else ""

    def _handshake_failed(self, error: Exception) -> None:
        if not self._ending:
            self._shared.recorder.handshake_failed(_reason(error), self._server_name)

    def _serve(self) -> None:
        while True:
            try:
                head = read_head(self._stream, self._begin)
            except BadRequest as error:
                self._send(encode_response(_refusal(error.status, str(error)), head_only=False, keep_alive=False))
                self._linger()
                return
            except ssl.SSLError as error:
                # With TLS 1.3, our side may be done before the client has verified our certificate: its alert is then
                # the first data to read.
                if not self._heard:
                    self._handshake_failed(error)
                return
            except ConnectionAbortedError:
                return
            if head is None:
                return
            with self._shared.recorder.observer.request(head.route):
                goes_on = self._exchange(head)
            if not goes_on or self._ending:
                return

    def _begin(self) -> None:
        """Accept a request whose first byte arrives.

        For a thread that retires the connection: accepted requests have a number, and no other will be accepted.

        :raises ConnectionAbortedError: if the connection was retired while the request was on its way.
        """
        with self._lock:
            if self._ending:
                raise ConnectionAbortedError("retired")
            self._heard = self._busy = True
            self._number = self._shared.recorder.arrive()

    def _exchange(self, head: Head) -> bool:
        """Handle one request; return whether the connection can serve another one."""
        recorder = self._shared.recorder
        started = time.time()
        exchange = Exchange(
            self._number, head, b"", started, started,
            client_certificate=self._certificate, server_name=self._server_name,
        )  # fmt: skip
        try:
            if head.expects_continue:
                self._send(CONTINUE)
            exchange = replace(exchange, body=read_body(self._stream, head.headers))
        except BadRequest as error:
            refused = replace(exchange, head=replace(head, keep_alive=False), fault="bad request")
            self._deliver(refused, _refusal(error.status, str(error)))
            self._linger()
            return False
        except (IncompleteBody, OSError) as error:
            partial = error.partial if isinstance(error, IncompleteBody) else b""
            recorder.record(replace(exchange, body=partial, ended=time.time(), fault="incomplete request"))
            return False
        response, fault, upstream = self._respond(exchange)
        exchange = replace(exchange, fault=fault, upstream=upstream)
        if response is None:
            recorder.record(replace(exchange, ended=time.time()))
            self._reset()
            return False
        return self._deliver(exchange, response) and head.keep_alive

    def _respond(self, exchange: Exchange) -> tuple[Response | None, str | None, bool]:
        """Return the response (None for a reset), the name of the fault, and whether Vault answered."""
        names: list[str] = []
        upstream = False
        response: Response | None = None
        lifetime = self._shared.lifetime
        head = exchange.head
        try:
            fault = self._shared.recorder.fault_for(exchange)
            if fault is not None:
                names.append(fault.name)
                response = fault.on_request(_RequestLifetime(lifetime, self._socket))
            if response is None:
                response = self._shared.refuse(head)
            if response is None:
                headers = fault.on_forward(head.headers) if fault is not None else head.headers
                head = replace(head, target=head.target.removeprefix(self._shared.prefix), headers=headers)
                if self._shared.namespaces:
                    head = namespaces.mapped(head, self._shared.namespaces)
                response = self._upstream.exchange(self._shared.upstream, head, exchange.body)
                upstream = True
                if fault is not None:
                    response, remark = fault.on_response(response)
                    names[-1] += remark
        except Reset:
            response = None
        except Unreachable as error:
            if lifetime.over.is_set():
                names.append("proxy closed")
            elif error.exhausted:
                self._shared.recorder.in_trouble(f"no connection to Vault: {error}")
                names.append("proxy out of resources")
                response = _refusal(502, f"the proxy could not connect to Vault: {error}")
            else:
                names.append("upstream unreachable")
                response = _refusal(502, f"the proxy got no response from Vault: {error}")
        except Exception as error:
            # A function of a test (a condition or a change) failed: its author finds the error in the exchange.
            names.append(f"failed: {type(error).__name__}: {error}")
            response = _refusal(500, "a fault of the proxy failed")
        return response, ", ".join(names) or None, upstream

    def _deliver(self, exchange: Exchange, response: Response) -> bool:
        """Record and send the response; return whether it could be sent."""
        unsent = exchange
        exchange = replace(
            exchange, ended=time.time(), status=response.status, response_headers=response.headers,
            response_body=response.body,
        )  # fmt: skip
        try:
            # Sent and idle in one step, so that a thread that retires the connection sees it as idle and closes it.
            with self._lock:
                keep_alive = exchange.head.keep_alive and not self._ending
                sent = response.for_client(exchange.headers)
                data = encode_response(sent, head_only=exchange.method == "HEAD", keep_alive=keep_alive)
                if response.pace is not None:
                    data = self._trickle(data, response.pace)
                    exchange = replace(exchange, ended=time.time())
                # Recorded before the last byte is sent, so that a test that has the response finds the exchange in the
                # record.
                self._shared.recorder.record(exchange)
                self._send(data)
                self._busy = False
        except (OSError, ValueError) as error:
            left = "client did not read its response" if isinstance(error, TimeoutError) else "client went away"
            left = "proxy closed" if isinstance(error, _ProxyClosed) else left
            remark = f"{unsent.fault}, {left}" if unsent.fault else left
            self._shared.recorder.record(replace(unsent, ended=time.time(), fault=remark))
            return False
        return True

    def _send(self, data: bytes) -> None:
        """Send all of it.

        :raises OSError: if the client has disconnected, or (TimeoutError) does not read.
        """
        # Not sendall(), whose timeout restarts with each TLS record.
        deadline = time.monotonic() + _SENDING
        rest = memoryview(data)
        try:
            while rest:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the client does not read")
                self._socket.settimeout(left)
                rest = rest[self._socket.send(rest) :]
        finally:
            with contextlib.suppress(OSError):
                self._socket.settimeout(None)

    def _trickle(self, data: bytes, pace: Pace) -> bytes:
        """Send it slowly, except for the last piece, which is returned.

        :raises OSError: the client has gone or does not read, or (_ProxyClosed) the proxy closes.
        """
        *pieces, last = pace.pieces(data)
        lifetime = _RequestLifetime(self._shared.lifetime, self._socket)
        for piece in pieces:
            self._send(piece)
            try:
                gone = lifetime.wait_for_client(pace.pause)
            except Reset as error:
                raise _ProxyClosed from error
            if gone:
                raise ConnectionResetError("the client disconnected")
        return last

    def _reset(self) -> None:
        self._stream.close()
        reset(self._socket)

    def _linger(self) -> None:
        """Wait until the client has read the response: closing with unread input would reset the connection."""
        self._say_goodbye()
        self._shut(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER
        with contextlib.suppress(OSError, ValueError):
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not socket.socket.recv(self._socket, 65536):
                    return

    def _say_goodbye(self) -> None:
        """Send TLS's close_notify without waiting for the client's."""
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._socket.settimeout(0)
                self._socket.unwrap()

    def _shut(self, how: int) -> None:
        with contextlib.suppress(OSError):
            # Not SSLSocket's own method, which takes the TLS layer away from the thread that is using it.
            socket.socket.shutdown(self._socket, how)

    def _close(self) -> None:
        self._say_goodbye()
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()


class _ProxyClosed(ConnectionAbortedError):
    """The proxy closes before it has sent a response."""


def _is_gone(sock: socket.socket, timeout: float) -> bool:
    """Return whether the client of a connection disconnects within some seconds, or the connection is closed."""
    poll = select.poll()
    try:
        poll.register(sock, _GONE)
    except ValueError:  # closed on our side
        return True
    return bool(poll.poll(timeout * 1000))


def reset(sock: socket.socket) -> None:
    """Close a connection with a TCP reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _refusal(status: int, message: str) -> Response:
    """Return a response of the proxy itself, in the form of Vault's errors."""
    body = json.dumps({"errors": [message]}).encode()
    return Response(status, Headers([("Content-Type", "application/json")]), body)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error) or type(error).__name__
