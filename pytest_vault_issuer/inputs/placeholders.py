"""Placeholders in the texts of an implementation file: ``{name}`` stands for a value that a session knows later."""

from __future__ import annotations

import re
from collections.abc import Callable

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
#: In a text with doubled braces; group 1 is None for a brace.
_DOUBLED = re.compile(r"\{\{|\}\}|\{([A-Za-z.]*)\}|[{}]")


def names(text: str, *, doubled: bool = False) -> list[str]:
    """Return the names of the placeholders in a text, in order.

    :param doubled: whether a literal brace is written twice. Otherwise every other brace is literal, because a command
        may contain JSON or a Go template.
    """
    return [found[1] for found in _pattern(doubled).finditer(text) if found[1] is not None]


def fill(text: str, value: Callable[[str], object], *, doubled: bool = False) -> str:
    """Return a text with a value for each placeholder.

    :param value: returns the value of a name; called once for each placeholder, in order.
    :param doubled: as for :func:`names`.
    """
    return _pattern(doubled).sub(
        lambda found: found[0][0] if found[1] is None else str(value(found[1])),
        text,
    )


def single_brace(text: str) -> str:
    """Return the first brace of a text that is neither doubled nor part of a placeholder; '' if there is none."""
    return next((found[0] for found in _DOUBLED.finditer(text) if found[0] in ("{", "}")), "")


def _pattern(doubled: bool) -> re.Pattern[str]:
    return _DOUBLED if doubled else _PLACEHOLDER
