"""``vault-issuer completion``: completion for shells."""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from typing import Any

from ..errors import ConfigurationError
from .output import add_command

SHELLS = ("bash", "zsh", "fish")
#: The shell sets this variable when it asks for completions.
_ASKED = "_ARGCOMPLETE"


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    parser = add_command(
        commands,
        "completion",
        "print completion code for bash, zsh or fish",
        "Print code for a shell. With it, Tab completes commands, options, their values, and names of dev stacks.\n"
        "This needs the extra `completion`: pip install 'pytest-vault-issuer[completion]'.",
        """
eval "$(vault-issuer completion bash)"        # in ~/.bashrc
eval "$(vault-issuer completion zsh)"         # in ~/.zshrc, after compinit
vault-issuer completion fish | source         # in ~/.config/fish/config.fish
""",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=_run)


def completing(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser. If a shell asks for completions, answer and end the process."""
    if _ASKED in os.environ and find_spec("argcomplete") is not None:
        import argcomplete

        argcomplete.autocomplete(parser)
    return parser


def _run(options: argparse.Namespace) -> int:
    if find_spec("argcomplete") is None:
        raise ConfigurationError(
            "completion needs the package argcomplete", hint="run: pip install 'pytest-vault-issuer[completion]'"
        )
    from argcomplete.shell_integration import shellcode

    print(shellcode(["vault-issuer"], shell=options.shell))
    return 0
