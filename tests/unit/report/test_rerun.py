"""The command in a report that repeats one test: its options, and that it selects the same test."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.report import rerun as again
from pytest_vault_issuer.report.outcomes import Outcome
from tests.support.sample_report import report

pytest_plugins = ("pytester",)

TEST = {"nodeid": "vault_issuer_conformance/test_sign.py::test_chain[Issuer]"}
INSTALLED, CHECKOUT = Path("/of/vault_issuer_conformance"), Path("of/conformance")


def words(settings: Settings, test: dict[str, Any] = TEST, *, line: str = "pytest", certify: bool = False) -> list[str]:
    """Return the words of the command for a test of a session with these settings."""
    built = report(Outcome.FAILED)
    built["reproduction"] |= {"options": settings.options(), "command": line}
    built["options"]["certify"] = certify
    return shlex.split(again.command(built, test))


def collect(*, line: Any = None, env: Any = None, ini: Any = None, base: Path = Path()) -> Settings:
    return Settings.collect((line or {}).get, (ini or {}).get, env or {}, base)


@pytest.mark.parametrize(
    ("settings", "implementation"),
    [
        (collect(line={"vault-issuer": "./mine.toml"}), "mine.toml"),
        (collect(env={"VAULT_ISSUER": "../mine.toml"}), "../mine.toml"),
        (collect(ini={"vault_issuer": "mine.toml"}, base=Path("/of/ours")), "/of/ours/mine.toml"),
        (collect(ini={"vault_issuer": "mine.toml"}, base=Path("/some where")), "/some where/mine.toml"),
        (collect(env={"VAULT_ISSUER": "a `b` $c.toml"}), "a `b` $c.toml"),
    ],
    ids=["command line", "environment", "ini file", "blank in a path", "what a shell would take for its own"],
)
def test_the_implementation_wherever_it_was_given(settings: Settings, implementation: str) -> None:
    said = ["pytest", *again.selecting(TEST["nodeid"]), f"--vault-issuer={implementation}"]
    assert words(settings) == [*said, "--vault-issuer-profile=core"]


def test_repetition_uses_the_same_stack() -> None:
    environment = {
        "VAULT_ISSUER": "x.toml",
        "VAULT_ISSUER_VAULT_VERSION": "1.19",
        "VAULT_ISSUER_STACK": "process",
        "VAULT_ISSUER_TIMEOUT_SCALE": "3",
    }
    assert words(collect(env=environment))[-5:-1] == [
        "--vault-issuer=x.toml",
        "--vault-issuer-stack=process",
        "--vault-issuer-timeout-scale=3",
        "--vault-issuer-vault-version=1.19",
    ]


def test_repetition_leaves_out_options_of_the_whole_session() -> None:
    line = {
        "vault-issuer": "x",
        "vault-issuer-report": "out",
        "vault-issuer-select": ["SIGN"],
        "vault-issuer-keep-stack": "true",
        "vault-issuer-certify": "true",
    }
    assert words(collect(line=line))[len(words(collect())) - 1 : -1] == ["--vault-issuer=x"]


def test_a_token_is_in_no_command() -> None:
    existing = {"VAULT_ISSUER_VAULT_TOKEN": "canary", "VAULT_ISSUER_VAULT_TOKEN_FILE": "/of/a file"}
    said = words(collect(env=existing))
    assert "--vault-issuer-vault-token-file=/of/a file" in said
    assert "canary" not in " ".join(said)


@pytest.mark.parametrize(("line", "first"), [("pytest --vault-issuer-certify", "pytest"), ("pytest", "VAULT_ISSUER_")])
def test_one_test_cannot_be_certified(line: str, first: str) -> None:
    """The command overrides other sources of this option, because one test is not the whole suite."""
    assert words(collect(), line=line, certify=True)[0].startswith(first)
    assert "VAULT_ISSUER_CERTIFY=false" not in words(collect(), line="pytest", certify=False)


@pytest.mark.parametrize(
    ("nodeid", "selecting"),
    [
        (
            "vault_issuer_conformance/test_sign.py::test_chain",
            ["--pyargs", "vault_issuer_conformance.test_sign::test_chain"],
        ),
        (
            "vault_issuer_conformance/test_sign.py::test_chain[a b-it's::c/d]",
            ["--pyargs", "vault_issuer_conformance.test_sign::test_chain[a b-it's::c/d]"],
        ),
        ("tests/test_ours.py::TestIt::test_chain[x]", ["tests/test_ours.py::TestIt::test_chain[x]"]),
    ],
    ids=["plain", "parameter", "user's own"],
)
def test_the_test_by_its_node(nodeid: str, selecting: list[str]) -> None:
    assert again.selecting(nodeid, INSTALLED) == selecting


def test_the_test_by_its_file_where_the_suite_is_a_checkout() -> None:
    assert again.selecting(TEST["nodeid"], CHECKOUT) == ["of/conformance/test_sign.py::test_chain[Issuer]"]


def test_pytest_finds_that_test_alone(pytester: pytest.Pytester) -> None:
    """Not a test with the same prefix, and not the same test with another parameter."""
    name = "test_denied_request_becomes_denied"
    test = {"nodeid": f"vault_issuer_conformance/test_request.py::{name}[Issuer]"}
    command = words(collect(line={"vault-issuer": "cert-manager"}), test)
    result = pytester.runpytest_inprocess(*command[1:], "--collect-only", "-q", "-p", "no:cacheprovider")
    assert result.ret == 0
    found = [line.partition("::")[2] for line in result.outlines if "::" in line]
    assert found == [f"{name}[Issuer]"]
