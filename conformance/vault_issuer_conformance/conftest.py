"""Fixtures of all tests: a sandbox, the kinds of issuer objects, and what stops and starts the stack."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from pytest_vault_issuer import FEATURES as AUTHENTICATIONS
from pytest_vault_issuer import (
    KINDS,
    SESSION_KEY,
    Control,
    Controller,
    ControlPlane,
    NotRunnable,
    Redactor,
    Sandbox,
    Session,
)

from .comparing import explanation

ALTERNATING = "vault_issuer_alternating"


def pytest_configure(config: pytest.Config) -> None:
    """Register the suite's own mark."""
    config.addinivalue_line(
        "markers", f"{ALTERNATING}(names, values): cases, each with one of the kinds of issuer objects"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test by ``kind`` of issuer object and ``feature`` (authentication method), if it names them."""
    for mark in metafunc.definition.iter_markers(ALTERNATING):
        names, values = mark.args
        metafunc.parametrize(names, with_present_kind(values, present_kinds(metafunc.config)))
    if "kind" in metafunc.fixturenames and not _given(metafunc, "kind"):
        metafunc.parametrize("kind", list(KINDS))
    if "feature" in metafunc.fixturenames and not _given(metafunc, "feature"):
        metafunc.parametrize("feature", AUTHENTICATIONS)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Report a test that passed without a part of it, which the implementation cannot show, as unsupported."""
    result = yield
    sandbox = pyfuncitem.funcargs.get("sandbox")
    for reason in sandbox.left_out if isinstance(sandbox, Sandbox) else ():
        raise reason
    return result


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: Any, right: Any) -> list[str] | None:
    """Name the observed and the expected value, so that a controller's author need not read the test."""
    run = config.stash.get(SESSION_KEY, None)
    redactor = run.redactor if run else Redactor()
    return explanation(left, right, redactor.redact) if op == "==" else None


def present_kinds(config: pytest.Config) -> list[str]:
    """Return the kinds of issuer objects that the implementation has, all of them if it is not known."""
    session = config.stash.get(SESSION_KEY, None)
    if session is None or not session.settings.implementation:
        return list(KINDS)
    return [kind for kind, feature in KINDS.items() if feature in session.implementation.features]


def with_present_kind(values: list[tuple[Any, ...]], kinds: list[str]) -> list[tuple[Any, ...]]:
    """Return cases that contain kinds; if there is only one kind, each case once, with this kind."""
    if len(kinds) != 1:
        return values
    found: list[tuple[Any, ...]] = []
    for case in values:  # a value may be a dict, which has no hash
        present = tuple(kinds[0] if isinstance(value, str) and value in KINDS else value for value in case)
        if present not in found:
            found.append(present)
    return found


def _given(metafunc: pytest.Metafunc, name: str) -> bool:
    marks = [*metafunc.definition.iter_markers("parametrize"), *metafunc.definition.iter_markers(ALTERNATING)]
    for mark in marks:
        names = mark.args[0]
        if name in ([part.strip() for part in names.split(",")] if isinstance(names, str) else names):
            return True
    return False


@pytest.fixture
def sandbox(vault_issuer_sandbox: Sandbox) -> Sandbox:
    """Return the sandbox with the resources of this test."""
    return vault_issuer_sandbox


@pytest.fixture
def control(vault_issuer_session: Session, sandbox: Sandbox) -> Iterator[Control]:
    """Return what stops and starts the controller; afterwards, it runs as before."""
    control = vault_issuer_session.control()
    yield control
    control.restore()


@pytest.fixture
def controller(control: Control) -> Controller:
    """Return the controller; after the test, it runs as before."""
    return control.controller


@pytest.fixture
def control_plane(vault_issuer_session: Session, sandbox: Sandbox) -> Iterator[ControlPlane]:
    """Return what stops and starts the API server; afterwards, it runs as before."""
    control_plane = vault_issuer_session.control_plane()
    yield control_plane
    control_plane.restore()


@pytest.fixture
def suite_approves(vault_issuer_session: Session) -> None:
    """Skip a test whose requests must stay unapproved if the controller approves requests itself."""
    if vault_issuer_session.implementation.run.approves:
        raise NotRunnable(
            "the controller approves requests itself, so the suite cannot leave a request unapproved",
            hint="turn its approver off and set approves = false in the [run] table of the implementation file",
        )
