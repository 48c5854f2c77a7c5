"""Reads the list of modules that Go writes into a program, to detect a build that go.sum did not pin."""

from __future__ import annotations

import mmap
from pathlib import Path

#: Start of what ``go version -m`` prints: https://pkg.go.dev/debug/buildinfo, src/debug/buildinfo/buildinfo.go.
_MAGIC = b"\xff Go buildinf:"
#: Bytes from the magic to the first string, and the flag of the format of Go 1.18 and later in the second byte after.
_HEADER, _INLINE = 32, 2
#: Number of bytes before and after the list of modules.
_SENTINEL = 16
#: Maximum length of a list of modules in bytes.
_LONGEST = 1 << 20


def unpinned(binary: Path, sums: Path) -> str:
    """Return what in a program does not come from pinned modules; '' if nothing.

    :param sums: the go.sum that pins them.
    :raises OSError: if one of the files cannot be read.
    """
    listing = _modules(binary)
    lines = [line.split("\t") for line in listing.splitlines()]
    if not any(words[0] == "mod" for words in lines):
        return "it was not built from a Go module"
    pinned = set(sums.read_text().splitlines()) if any(words[0] == "dep" for words in lines) else set()
    for words, after in zip(lines, [*lines[1:], [""]], strict=True):
        if words[0] not in ("dep", "=>") or after[0] == "=>":  # a replaced module has no sum
            continue
        if " ".join(words[1:]) not in pinned:
            return f"{' '.join(words[1:3])} differs from go.sum"
    return ""


def _modules(binary: Path) -> str:
    """Return the list of modules of a program; '' if it has none."""
    with binary.open("rb") as file:
        if binary.stat().st_size == 0:
            return ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(_MAGIC)
            if start < 0 or start + _HEADER > len(content) or not content[start + len(_MAGIC) + 1] & _INLINE:
                return ""
            position = start + _HEADER
            for _ in ("the version of Go", "the modules"):
                length, position = _varint(content, position)
                if length > _LONGEST:
                    return ""
                text, position = content[position : position + length], position + length
    return text[_SENTINEL:-_SENTINEL].decode(errors="replace")


def _varint(content: mmap.mmap, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(content) and shift < 64:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, position
