"""Explain a failed ``==``: in this suite the left value is the observed one, the right value the expected one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography import x509

#: Characters shown of a value: pytest truncates an explanation of more than 640 characters.
_LONGEST = 240


def explanation(seen: Any, expected: Any, redact: Callable[[str], str]) -> list[str] | None:
    """Return the lines that pytest shows for ``seen == expected``, or None if they would not help."""
    values = {"expected": expected, "seen": seen}
    lines = {what: _shortened(value, redact) for what, value in values.items()}
    if any(" object at 0x" in line for line in lines.values()) or lines["seen"] == lines["expected"]:
        return None
    return ["seen == expected", *(f"{what}: {line}" for what, line in lines.items())]


def _shortened(value: Any, redact: Callable[[str], str]) -> str:
    """Return a value as text, long ones cut in the middle, because two similar values mostly differ at their ends."""
    # Redacted as a whole: of a secret that is cut, the halves would not be recognized.
    text = redact(_words(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def _words(value: Any) -> str:
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(map(_words, value))) or "none"
    if isinstance(value, list):
        return f"[{', '.join(map(_words, value))}]"
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, x509.Certificate):
        return f"certificate {value.subject.rfc4514_string()} serial {f'{value.serial_number:x}'[:8]}…"
    if isinstance(value, x509.Name):
        return value.rfc4514_string()
    return repr(value)


def _bytes(value: bytes) -> str:
    try:
        return _words(x509.load_der_x509_certificate(value))
    except ValueError:
        return f"{len(value)} bytes {value[:8].hex()}…"
