"""What every test of the suite gets: a sandbox, and one run per kind of issuer."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vault_issuer.errors import NotRunnable
from pytest_vault_issuer.run import Run
from pytest_vault_issuer.sandbox import FEATURES as AUTHENTICATIONS
from pytest_vault_issuer.sandbox import Sandbox

from .comparing import explanation

KINDS = ("Issuer", "ClusterIssuer")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for each kind of issuer, and for each way of authenticating, that it asks for by name."""
    if "kind" in metafunc.fixturenames and not _given(metafunc, "kind"):
        metafunc.parametrize("kind", KINDS)
    if "feature" in metafunc.fixturenames and not _given(metafunc, "feature"):
        metafunc.parametrize("feature", AUTHENTICATIONS)


def pytest_assertrepr_compare(op: str, left: Any, right: Any) -> list[str] | None:
    """Say which of two values was seen and which expected: of an issuer's author nobody asks to read the test."""
    return explanation(left, right) if op == "==" else None


def _given(metafunc: pytest.Metafunc, name: str) -> bool:
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0]
        if name in ([part.strip() for part in names.split(",")] if isinstance(names, str) else names):
            return True
    return False


@pytest.fixture
def sandbox(vault_issuer_sandbox: Sandbox) -> Sandbox:
    """What the test owns."""
    return vault_issuer_sandbox


@pytest.fixture
def only_we_approve(vault_issuer_run: Run) -> None:
    """Leave a test out where the implementation would approve the request that must not be."""
    if vault_issuer_run.implementation.run.approves:
        raise NotRunnable(
            "the implementation approves requests itself",
            hint="describe it with its approver turned off: approves = false",
        )
