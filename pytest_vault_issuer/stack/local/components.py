"""What the components of a local stack share: free ports, and settings of the Go runtime."""

from __future__ import annotations

import contextlib
import socket

#: Environment of the components; not of the controller under test. They live for minutes and have memory to spare.
#: With the default (100), the garbage collector takes a fifth of the API server's CPU time.
#: See https://go.dev/doc/gc-guide.
GO_RUNTIME = {"GOGC": "400"}


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return `count` different free TCP ports.

    Another process can take a port before the component listens on it. The caller then starts the component again, with
    other ports.
    """
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind((host, 0))
            ports.append(listener.getsockname()[1])
        return ports


def taken(log: str) -> bool:
    """Whether the log of a component states that another process uses its port."""
    return "address already in use" in log
