"""An authorization plugin of Docker that refuses to delete chosen objects.

https://docs.docker.com/engine/extend/plugins_authorization/ describes the protocol. An engine finds plugins by their
sockets in a fixed directory, so that only root can add one.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socketserver
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.support.publisher import serving

_SOCKETS = Path("/run/docker/plugins")


class Plugin(socketserver.ThreadingUnixStreamServer):
    """The plugin.

    :ivar name: for the engine's option ``--authorization-plugin``.
    :ivar refused: ids of objects that the engine does not delete.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.name = f"vault-issuer-test-{secrets.token_hex(4)}"
        self.refused: set[str] = set()
        _SOCKETS.mkdir(parents=True, exist_ok=True)
        self.path = _SOCKETS / f"{self.name}.sock"
        super().__init__(str(self.path), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Plugin

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        if self.path == "/Plugin.Activate":
            self._answer({"Implements": ["authz"]})
            return
        refused = asked.get("RequestMethod") == "DELETE" and any(i in asked["RequestUri"] for i in self.server.refused)
        self._answer({"Allow": not refused, "Msg": "this is protected"})

    def _answer(self, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing, because a client of a Unix socket has no address."""


@contextlib.contextmanager
def plugin() -> Iterator[Plugin]:
    """Serve a plugin that initially refuses nothing."""
    served = Plugin()
    try:
        with serving(served):
            yield served
    finally:
        with contextlib.suppress(FileNotFoundError):
            served.path.unlink()
