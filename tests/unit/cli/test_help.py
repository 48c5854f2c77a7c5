"""Every command has examples in its help, and every example is valid."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator

import pytest

from pytest_vault_issuer.cli.main import main, parser


def commands(of: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from commands(command)


ALL = {command.prog: command for command in commands(parser())}


def examples(command: argparse.ArgumentParser) -> list[str]:
    """Return the lines of the epilog that run this command, with continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", command.epilog or "")
    return re.findall(r"vault-issuer [^#\n|)]*", text)


@pytest.mark.parametrize("name", ALL)
def test_help_describes_and_shows_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*name.split()[1:], "--help"])
    assert left.value.code == 0
    assert "examples:" in capsys.readouterr().out
    assert ALL[name].description
    assert any(name in example for example in examples(ALL[name])), "an example of this very command"


@pytest.mark.parametrize("name", ALL)
def test_examples_can_be_typed(name: str) -> None:
    for example in examples(ALL[name]):
        words = shlex.split(re.sub(r">>.*", "", example.rstrip('" ')))
        parser().parse_args(words[1:])


@pytest.mark.parametrize("name", ALL)
def test_every_option_has_help(name: str) -> None:
    undocumented = [
        action.dest
        for action in ALL[name]._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction) and action.dest != "shell"
    ]
    assert undocumented == []


@pytest.mark.parametrize("name", ALL)
def test_lines_fit_a_terminal(name: str) -> None:
    lines = f"{ALL[name].description}\n{ALL[name].epilog}".splitlines()
    assert [line for line in lines if len(line) > 118] == []


def test_every_command_that_prints_has_formats() -> None:
    silent = {
        "vault-issuer stack env",
        "vault-issuer completion",
        "vault-issuer judge",
        "vault-issuer report html",
        "vault-issuer report merge",
        "vault-issuer report publish",
        "vault-issuer toolchain pin",
    }
    groups = {name for name in ALL if any(other.startswith(f"{name} ") for other in ALL)}
    without = {name for name in ALL if "--format" not in ALL[name]._option_string_actions}
    assert without == silent | groups


def test_top_of_the_page_names_the_first_failures(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert "start here:" in printed
    assert "vault-issuer doctor" in printed
