"""Options of a session that a command also accepts."""

from __future__ import annotations

import argparse

import pytest

from pytest_vault_issuer.cli import session_options
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.options import OPTIONS

FIELDS = ("timeout_scale", "vault_version")


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    session_options.add_options(parser, *FIELDS)
    return parser.parse_args(arguments)


def test_values_are_typed() -> None:
    options = parsed("--timeout-scale=2", "--vault-version=1.21")
    assert session_options.given(options, *FIELDS) == {"timeout_scale": 2.0, "vault_version": "1.21"}


def test_missing_and_empty_values_are_not_given() -> None:
    assert session_options.given(parsed("--vault-version="), *FIELDS) == {}


def test_value_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be a number, got long"):
        session_options.given(parsed("--timeout-scale=long"), *FIELDS)


def test_help_is_that_of_the_session(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--help")
    printed = " ".join(capsys.readouterr().out.split())
    assert all(option.help in printed for option in OPTIONS if option.field in FIELDS)
