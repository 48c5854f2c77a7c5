"""How commands print: for people, as JSON, or as Markdown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from ..text import coded, one_line

FORMATS = ("pretty", "json", "markdown")


def add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add the option ``--format``, with further formats that explain themselves."""
    parser.add_argument(
        "--format",
        choices=(*FORMATS, *more),
        default="pretty",
        help="pretty: for people (default); json: for programs; markdown: for a page or a CI job's summary",
    )


def add_command(commands: Any, name: str, text: str, description: str, examples: str = "") -> argparse.ArgumentParser:
    """Add a command that explains itself.

    :param text: what the list of commands says of it.
    :param description: the first thing its own help says.
    :param examples: lines that can be typed as they are, each with what it does behind ``#``.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=description,
        epilog=f"examples:\n{_indented(examples)}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip("\n").splitlines())


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of a table for people: columns that are as wide as what is in them."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [headers, *rows]) for column in range(len(headers))]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [headers, *rows]
    ]


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of the same table in Markdown."""
    return [
        f"| {' | '.join(headers)} |",
        f"|{'---|' * len(headers)}",
        *(f"| {' | '.join(coded(cell) for cell in row)} |" for row in rows),
    ]
