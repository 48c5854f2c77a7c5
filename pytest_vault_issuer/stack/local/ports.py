"""Free ports for components that must be told theirs."""

from __future__ import annotations

import contextlib
import socket


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return `count` different TCP ports nobody listens on now.

    Another process can take one before its user does: whoever starts a
    component with one starts it again with another when that happens.
    """
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind((host, 0))
            ports.append(listener.getsockname()[1])
        return ports


def taken(log: str) -> bool:
    """Whether a component's log says that its port was taken."""
    return "address already in use" in log
