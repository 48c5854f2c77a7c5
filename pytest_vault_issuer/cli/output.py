"""Output of commands: text, JSON and Markdown."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from ..text import coded, one_line

FORMATS = ("pretty", "json", "markdown")


class Parser(argparse.ArgumentParser):
    """A parser of a command, which may pass arguments on to another program."""

    _error_status = 2
    _passes = False

    def passes_on(self, first: str, others: str, *, error_status: int) -> None:
        """Pass on every argument that is not one of the command's options: to ``passed_on`` of the namespace.

        Options of the command are recognized wherever they are, except after ``--``.

        :param first: name of the first other argument in the usage. It is not passed on unless it begins with ``-``.
        :param others: name of the arguments that are passed on, in the usage.
        :param error_status: exit status for wrong arguments.
        """
        self._passes, self._error_status = True, error_status
        self.usage = f"{self.prog} [options] {first} [{others}]"

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse arguments, as the class above does; keep those that are passed on."""
        words = list(sys.argv[1:] if args is None else args)
        for word in itertools.takewhile(lambda word: word != "--", words):
            if re.fullmatch(r"--[\w-]+=--", word):
                self.error(f"argument {word[:-3]}: expected one argument")  # argparse makes an empty list of this value
        if not self._passes:
            return super().parse_known_args(args, namespace)
        own, others = self._divided(words)
        parsed, unknown = super().parse_known_args(own, namespace)
        parsed.passed_on = others
        return parsed, unknown

    def _divided(self, words: list[str]) -> tuple[list[str], list[str]]:
        """Return the command's own words, and those that it passes on."""
        own: list[str] = []
        others: list[str] = []
        value_follows = named = False
        for position, word in enumerate(words):
            if value_follows:
                own.append(word)
                value_follows = False
            elif word == "--":
                return own, [*others, *words[position + 1 :]]
            elif action := self._option_string_actions.get(word.partition("=")[0]):
                own.append(word)
                value_follows = action.nargs is None and "=" not in word
            elif named or others or word.startswith("-"):
                others.append(word)
            else:
                own.append(word)
                named = True
        return own, others

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, and exit."""
        self.print_usage(sys.stderr)
        self.exit(self._error_status, f"{self.prog}: error: {message}\n")


def add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add the option ``--format``, with further formats."""
    parser.add_argument(
        "--format",
        choices=(*FORMATS, *more),
        default="pretty",
        help="output format: pretty (default), json (for programs) or markdown (for a page or the summary of a CI job)",
    )


def add_command(commands: Any, name: str, text: str, description: str, examples: str = "") -> Parser:
    """Add a command with its help.

    :param text: its line in the list of commands: an imperative.
    :param description: the first paragraph of its help.
    :param examples: lines that users can type, each with a comment after ``#``.
    """
    parser: Parser = commands.add_parser(
        name,
        help=text,
        description=description,
        epilog=f"examples:\n{_indented(examples)}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip("\n").splitlines())


def positive(text: str) -> int:
    """Return the value of an option that is a number of things."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def show(form: str, value: Any, markdown: Iterable[str], pretty: Iterable[str]) -> None:
    """Print a result in one of :data:`FORMATS`.

    :param value: the result for JSON; :param markdown: its lines in Markdown; :param pretty: its lines for a terminal.
    """
    if form == "json":
        print_json(value)
    else:
        print("\n".join(markdown if form == "markdown" else pretty))


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
