"""Fixtures of all tests: a sandbox, and one run for each kind of issuer object."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vault_issuer import FEATURES as AUTHENTICATIONS
from pytest_vault_issuer import SESSION_KEY, NotRunnable, Redactor, Sandbox, Session

from .comparing import explanation

KINDS = ("Issuer", "ClusterIssuer")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test by ``kind`` of issuer object and ``feature`` (authentication method), if it names them."""
    if "kind" in metafunc.fixturenames and not _given(metafunc, "kind"):
        metafunc.parametrize("kind", KINDS)
    if "feature" in metafunc.fixturenames and not _given(metafunc, "feature"):
        metafunc.parametrize("feature", AUTHENTICATIONS)


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: Any, right: Any) -> list[str] | None:
    """Name the observed and the expected value, so that a controller's author need not read the test."""
    run = config.stash.get(SESSION_KEY, None)
    redactor = run.redactor if run else Redactor()
    return explanation(left, right, redactor.redact) if op == "==" else None


def _given(metafunc: pytest.Metafunc, name: str) -> bool:
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0]
        if name in ([part.strip() for part in names.split(",")] if isinstance(names, str) else names):
            return True
    return False


@pytest.fixture
def sandbox(vault_issuer_sandbox: Sandbox) -> Sandbox:
    """Return the sandbox with the resources of this test."""
    return vault_issuer_sandbox


@pytest.fixture
def suite_approves(vault_issuer_session: Session) -> None:
    """Skip a test whose requests must stay unapproved if the controller approves requests itself."""
    if vault_issuer_session.implementation.run.approves:
        raise NotRunnable(
            "the controller approves requests itself, so the suite cannot leave a request unapproved",
            hint="turn its approver off and set approves = false in the [run] table of the implementation file",
        )
