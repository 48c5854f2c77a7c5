"""Output of commands: text, JSON and Markdown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from ..text import coded, one_line

FORMATS = ("pretty", "json", "markdown")


def add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add the option ``--format``, with further formats."""
    parser.add_argument(
        "--format",
        choices=(*FORMATS, *more),
        default="pretty",
        help="output format: pretty (default), json (for programs) or markdown (for a page or the summary of a CI job)",
    )


def add_command(commands: Any, name: str, text: str, description: str, examples: str = "") -> argparse.ArgumentParser:
    """Add a command with its help.

    :param text: its line in the list of commands: an imperative.
    :param description: the first paragraph of its help.
    :param examples: lines that users can type, each with a comment after ``#``.
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
    """Return the lines of a table with aligned columns."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [headers, *rows]) for column in range(len(headers))]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [headers, *rows]
    ]


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of the same table in Markdown."""
    return [
        f"| {' | '.join(headers)} |",
        f"|{'---|' * len(headers)}",
        *(f"| {' | '.join(coded(cell) for cell in row)} |" for row in rows),
    ]
