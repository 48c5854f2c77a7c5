"""Views of a text: as written, and with its escapes decoded once or several times.

A secret can be JSON-escaped in a log that is JSON itself, percent-encoded in a form, or written as XML. Instead of
enumerating the encodings of every secret, a search examines the text and the result of each round of decoding. Each
view knows the positions of its characters in the original text. The cost is linear in the length of the text.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_ROUNDS = 5
"""How often escapes are undone: a JSON text in a JSON text in a structured log has three layers."""

_HEX = "[0-9A-Fa-f]"


def _utf8(prefix: str) -> str:
    """Return a pattern of one UTF-8 character, each byte of which is written as a prefix and two digits."""
    more = rf"{prefix}[89ABab]{_HEX}"
    return rf"{prefix}(?:[Ff][0-4](?:{more}){{3}}|[Ee]{_HEX}(?:{more}){{2}}|[CDcd]{_HEX}{more}|[0-7]{_HEX})"


_ESCAPE = re.compile(
    rf"(?P<percent>{_utf8('%')})"
    rf"|(?P<bytes>{_utf8(re.escape(chr(92) + 'x'))})|\\x(?P<latin>{_HEX}{{2}})"
    rf"|(?P<utf16>\\u[Dd][89ABab]{_HEX}{{2}}\\u[Dd][C-Fc-f]{_HEX}{{2}}|\\u{_HEX}{{4}})|\\U(?P<utf32>{_HEX}{{8}})"
    r"|\\(?P<plain>[\s\S])"
    rf"|&(?:(?P<entity>amp|lt|gt|quot|apos)|\#(?P<decimal>[0-9]{{1,7}})|\#[xX](?P<hex>{_HEX}{{1,6}}));"
)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "0": "\0"}
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ESCAPING = re.compile(r"[%\\&]")

# The line break of a wrapped text: base64 wraps at 64 or 76 characters, `fold` at 80.
_WIDTHS = range(60, 81, 4)
_BASE64 = "A-Za-z0-9+/_.-"
_WRAPPED = re.compile(
    "(?:"
    + "|".join(f"(?<=[^{_BASE64}=][{_BASE64}]{{{width}}})|(?<=\\A[{_BASE64}]{{{width}}})" for width in _WIDTHS)
    + rf")\r?\n[ \t]*(?=[{_BASE64}]{{1,80}}={{0,2}}[ \t]*(?:[\r\n\"']|$))"
)
# Between two parts of a Python literal: pprint, and with it pytest's -vv, wraps bytes and long strings. A comparison
# marks each line with a sign.
_LITERALS = re.compile(r"(?P<quote>['\"])[ \t]{0,4}\r?\n(?:E[ \t])?[ \t]{0,200}[-+?]?[ \t]{0,200}b?(?P=quote)")


@dataclass(frozen=True)
class View:
    """A text, and the positions of its characters in the original one.

    :ivar starts: for each character, the offset at which its origin starts; None if nothing was changed.
    :ivar ends: for each character, the offset at which its origin ends.
    """

    text: str
    starts: array[int] | None = field(default=None, repr=False)
    ends: array[int] | None = field(default=None, repr=False)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original text from which the characters `start` to `end` (> start) come."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def views(text: str) -> list[View]:
    """Return the text, each further round of decoding, and each of these with wrapped lines and literals joined."""
    found = [View(text)]
    for _ in range(_ROUNDS):
        if not _ESCAPING.search(found[-1].text):
            break
        decoded = _rewritten(found[-1], _ESCAPE, _unescaped)
        if decoded.text == found[-1].text:
            break
        found.append(decoded)
    for view in list(found):
        for pattern in (_WRAPPED, _LITERALS):
            joined = _rewritten(view, pattern, lambda _: "")
            if joined.text != view.text:
                found.append(joined)
    return found


def decoded(text: str) -> Iterator[str]:
    """Yield the text itself and each further round of decoding."""
    for _ in range(_ROUNDS + 1):
        yield text
        further = _ESCAPE.sub(_unescaped, text)
        if further == text:
            return
        text = further


def _unescaped(match: re.Match[str]) -> str:
    found = match.lastgroup
    digits = match[found] if found else ""
    if found in ("percent", "bytes"):
        try:
            return bytes.fromhex(re.sub(r"%|\\x", "", digits)).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # overlong, or beyond Unicode
            return match[0]
    if found == "utf16":
        units = bytes.fromhex(digits.replace("\\u", ""))
        return units.decode("utf-16-be", "surrogatepass")
    if found == "plain":
        return _PLAIN.get(digits, digits)
    if found == "entity":
        return _ENTITIES[digits]
    number = int(digits, 10 if found == "decimal" else 16)
    return chr(number) if number < 0x110000 else match[0]


def _rewritten(view: View, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> View:
    """Return a view of a view, with positions in the original text."""
    pieces: list[str] = []
    starts, ends = array("l"), array("l")
    at = 0

    def keep(until: int) -> None:
        pieces.append(view.text[at:until])
        if view.starts is None or view.ends is None:
            starts.extend(range(at, until))
            ends.extend(range(at + 1, until + 1))
        else:
            starts.extend(view.starts[at:until])
            ends.extend(view.ends[at:until])

    for match in pattern.finditer(view.text):
        keep(match.start())
        at = match.end()
        replaced = replacement(match)
        if replaced == match[0]:
            at = match.start()
            continue
        start, end = view.origin(*match.span())
        pieces.append(replaced)
        starts.extend([start] * len(replaced))
        ends.extend([end] * len(replaced))
    keep(len(view.text))
    return View("".join(pieces), starts, ends)
