"""Options of a session that a command takes too, under their names without ``vault-issuer-``."""

from __future__ import annotations

import argparse
from typing import Any

from ..options import OPTIONS


def add_options(parser: argparse.ArgumentParser, *fields: str) -> None:
    """Add the options of some fields of :class:`~..options.Settings`, as these declare them."""
    for option in OPTIONS:
        if option.field in fields:
            name = option.name.removeprefix("vault-issuer-")
            extra: dict[str, Any] = {"metavar": option.metavar}
            if option.many:
                extra["action"] = "append"
            if option.flag:
                extra = {"action": "store_true"}
            parser.add_argument(f"--{name}", dest=option.field, help=option.help.replace("%", "%%"), **extra)


def given(options: argparse.Namespace, *fields: str) -> dict[str, Any]:
    """Return the values of those options that were given, by field.

    :raises ConfigurationError: when a value has the wrong form.
    """
    texts = {option: getattr(options, option.field) for option in OPTIONS if option.field in fields}
    return {option.field: option.convert(text) for option, text in texts.items() if text}
