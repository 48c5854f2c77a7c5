"""Makes text of others safe: of a controller, of Vault, of a report of unknown origin.

:func:`writable` and :func:`plain` make it safe to write, :func:`printable` and :func:`one_line` safe to show on a
terminal, and :func:`markdown` safe to put into a sentence of Markdown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

#: The nesting limit of a JSON value. Readers and writers of JSON recurse.
LEVELS = 100
#: The largest integer that every reader of JSON accepts.
LARGEST = 2**63 - 1
#: What a terminal obeys or hides: control characters except line feed and tab, marks and overrides of the writing
#: direction, invisible characters, line separators, surrogates, tags.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
#: What a runner of GitHub Actions executes: lines that begin with `::error::`, and `##[error]` anywhere.
_COMMAND = re.compile(r"^([^\S\n]*):(?=:[A-Za-z])", re.MULTILINE)
_OLD_COMMAND = re.compile(r"##(?=\[)")
_MARKDOWN = re.compile(r"[\\`*\[\]|$]|^\s*#")


def writable(text: str) -> str:
    """Return text that UTF-8 can hold: lone surrogates become escapes."""
    return _SURROGATE.sub(_escape, text)


def printable(text: str) -> str:
    """Return text that a terminal shows and does not obey. Line feeds and tabs stay.

    Control characters, overrides of the writing direction and lone surrogates become visible escapes,
    and so does the beginning of a command for a runner of GitHub Actions.
    """
    text = _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))
    return _OLD_COMMAND.sub(r"#\\x23", _COMMAND.sub(r"\1\\x3a", text))


def one_line(text: str) -> str:
    """Return :func:`printable` text in one line."""
    return printable(text).replace("\n", " ")


def markdown(text: str) -> str:
    """Return text that Markdown shows unchanged, in one line: no markup, image, HTML, table cell or mention."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A zero-width space prevents a mention; an escaped @ does not.
    return _MARKDOWN.sub(r"\\\g<0>", text).replace("@", "@\u200b")


def code(text: str) -> str:
    """Return text as Markdown code in one line, for use outside of tables."""
    text = one_line(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}{text}{fence}" if len(fence) == 1 and text.strip() else f"{fence} {text} {fence}"


def coded(text: str) -> str:
    """Return :func:`markdown` text in which text between backticks is code."""
    parts = one_line(text).split("`")
    if len(parts) % 2 == 0:
        return markdown(text)
    return "".join(
        # A bar ends a table cell even in code.
        "`{}`".format(part.replace("|", "\\|")) if index % 2 and part.strip() else markdown(part)
        for index, part in enumerate(parts)
    )


def plain(value: Any, levels: int = LEVELS) -> Any:
    """Return a value of JSON's types that every writer can write and every reader can read.

    Lone surrogates become escapes. NaN, infinities, integers of more than 64 bits and values of other types become
    strings. Values nested deeper than `levels` become an ellipsis.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST else f"<a number of {value.bit_length()} bits>"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return _mapped(value, writable, plain, levels)


def all_printable(value: Any, levels: int = 2 * LEVELS) -> Any:
    """Return a copy of a JSON value in which every string, including keys, is :func:`printable`."""
    if value is None or isinstance(value, int | float):
        return value
    return _mapped(value, printable, all_printable, levels)


def depth_exceeds(value: Any, levels: int = LEVELS) -> bool:
    """Whether a JSON value is nested deeper than `levels`."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return any(isinstance(value, dict | list) for value in layer)


def _mapped(value: Any, of_text: Callable[[str], str], of_any: Callable[[Any, int], Any], levels: int) -> Any:
    if isinstance(value, dict | list | tuple):
        if levels == 0:
            return "…"
        if isinstance(value, dict):
            return {of_text(str(key)): of_any(inner, levels - 1) for key, inner in value.items()}
        return [of_any(inner, levels - 1) for inner in value]
    return of_text(str(value))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
