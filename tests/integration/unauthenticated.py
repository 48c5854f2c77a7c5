"""A client without credentials, for another local user. Run as ``python -I unauthenticated.py UID < REQUESTS``.

It reads a JSON list of requests from standard input and writes a list of results. With a UID of 0 or more, it becomes
that user after it has imported everything, because that user may not be able to read Python.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - a connection would import it as a user who cannot read it
import http.client
import json
import os
import socket
import ssl
import sys
from typing import Any

TIMEOUT = 60.0


def context(alpn: list[str]) -> ssl.SSLContext:
    """Return a TLS context that trusts every server and presents no certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """Return ``status``, ``headers`` and ``body`` of an HTTP answer, or the name of the ``error``."""
    try:
        if request["kind"] == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT)
                connection.connect(request["path"])
            return {"status": 200}
        if request["kind"] == "file":
            return {"status": 200, "body": os.listdir(request["path"])}  # noqa: PTH208 - names of bytes are fine
        made = (
            http.client.HTTPSConnection(
                request["host"], request["port"], timeout=TIMEOUT, context=context(request["alpn"])
            )
            if request["kind"] == "https"
            else http.client.HTTPConnection(request["host"], request["port"], timeout=TIMEOUT)
        )
        made.request(request["method"], request["path"], request["body"] or None, request["headers"])
        answer = made.getresponse()
        return {"status": answer.status, "headers": answer.getheaders(), "body": answer.read().decode(errors="replace")}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "error": type(error).__name__, "message": str(error)}


def main() -> None:
    """Become another user, and send the requests."""
    user = int(sys.argv[1])
    requests = json.load(sys.stdin)
    if user >= 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    print(json.dumps([ask(request) for request in requests]))


if __name__ == "__main__":
    main()
