"""Checks addresses that users write. The reason for a wrong address never contains a password."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")


def why_no_url(text: str, schemes: Iterable[str] = ("https", "http"), *, user: bool = False) -> str:
    """Return why a text is not the URL of a server; '' if it is one.

    :param user: whether it may contain a user and a password.
    """
    if any(character.isspace() or not character.isprintable() for character in text):
        return "it contains a space or a control character"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # an incomplete IPv6 address, or an invalid port
        return "its host or port cannot be read"
    schemes = list(schemes)
    if parts.scheme not in schemes or not text.lower().startswith(f"{parts.scheme}://"):
        return f"it does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if "@" in parts.netloc and not user:
        return "it contains a user or a password"
    if not parts.hostname or why_no_host(parts.hostname):
        return "its host is missing or cannot be one"
    if port == 0:
        return "its port is 0"
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        return "it contains ? or #"
    return ""


def why_no_host(text: str) -> str:
    """Return why a text is neither an IP address nor a host name; '' if it is one."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # A text of only digits and dots is a mistyped address.
        if not _HOST.fullmatch(text) or len(text) > 253 or re.fullmatch(r"[0-9.]+", text):
            return "it is neither an IP address nor a host name"
    return ""
