"""``vault-issuer completion``: what a shell needs to complete this command."""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from typing import Any

from ..errors import ConfigurationError
from .output import add_command

SHELLS = ("bash", "zsh", "fish")
#: Set by the shell when it asks.
_ASKED = "_ARGCOMPLETE"


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    parser = add_command(
        commands,
        "completion",
        "print what bash, zsh or fish need to complete this command",
        "Print code for a shell, after which Tab completes commands, options, their values, and names of stacks.\n"
        "It needs the extra `completion`: pip install 'pytest-vault-issuer[completion]'.",
        """
eval "$(vault-issuer completion bash)"        # in ~/.bashrc
eval "$(vault-issuer completion zsh)"         # in ~/.zshrc, after compinit
vault-issuer completion fish | source         # in ~/.config/fish/config.fish
""",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=_run)


def completing(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser; where a shell asks what completes a line, answer and end the process."""
    if _ASKED in os.environ and find_spec("argcomplete") is not None:
        import argcomplete

        argcomplete.autocomplete(parser)
    return parser


def _run(options: argparse.Namespace) -> int:
    if find_spec("argcomplete") is None:
        raise ConfigurationError(
            "completion needs the package argcomplete", hint="pip install 'pytest-vault-issuer[completion]'"
        )
    from argcomplete.shell_integration import shellcode

    print(shellcode(["vault-issuer"], shell=options.shell))
    return 0
