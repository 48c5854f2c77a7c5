"""What a sandbox does when its test begins and ends."""

from __future__ import annotations

import base64
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.errors import NotRunnable, StackError
from pytest_vault_issuer.sandbox import Sandbox
from pytest_vault_issuer.sandbox.shapes import InexpressibleError


def sandbox_with(*troubles: tuple[str, ...]) -> tuple[Any, list[str]]:
    """Return a sandbox whose proxies had these problems, and what it removed."""
    removed: list[str] = []
    sandbox = object.__new__(Sandbox)
    sandbox._cleanup = contextlib.ExitStack()
    sandbox._cleanup.callback(removed.append, "everything")
    sandbox.proxies = [SimpleNamespace(troubles=of_one) for of_one in troubles]  # type: ignore[misc]
    return sandbox, removed


def test_failure_of_a_proxy_is_an_error_of_the_suite() -> None:
    sandbox, removed = sandbox_with((), ("no connection accepted: too many open files",), ("no thread",))
    with pytest.raises(StackError, match="no connection accepted: too many open files; no thread") as error:
        sandbox.close()
    assert "ulimit -n" in error.value.hint
    assert removed == ["everything"]


def test_sandbox_without_trouble_closes_quietly() -> None:
    sandbox, removed = sandbox_with((), ())
    sandbox.close()
    assert removed == ["everything"]


def sandbox_of(*, has_bundle: bool, system: Authority | None) -> Any:
    """Return a sandbox for issuer objects with or without a place for a CA bundle, and a known system trust store."""
    sandbox = object.__new__(Sandbox)
    sandbox.environment = SimpleNamespace(has_bundle=has_bundle, system_authority=system)  # type: ignore[assignment]
    sandbox.authority = sandbox._authority()
    return sandbox


def serving(authority: Authority) -> Any:
    """Return a proxy with a certificate of an authority."""
    return SimpleNamespace(ca_pem=authority.issue("127.0.0.1").ca_pem)


@pytest.mark.parametrize("system", [Authority(), None])
def test_issuer_object_has_the_ca_of_its_proxy_as_bundle(system: Authority | None) -> None:
    sandbox, other = sandbox_of(has_bundle=True, system=system), Authority()
    assert sandbox.authority is not system
    for authority in (sandbox.authority, other):
        assert base64.b64decode(sandbox._bundle_for(serving(authority))).decode() == authority.pem


def test_proxies_have_the_ca_of_the_system_if_there_is_no_bundle() -> None:
    sandbox = sandbox_of(has_bundle=False, system=Authority())
    assert sandbox.authority is sandbox.environment.system_authority
    assert sandbox._bundle_for(serving(sandbox.authority)) is None
    assert sandbox._bundle_for(SimpleNamespace(ca_pem="")) is None
    with pytest.raises(InexpressibleError, match="only its system trust store"):
        sandbox._bundle_for(serving(Authority()))


def test_test_is_not_run_if_there_is_neither_a_bundle_nor_a_known_system_trust_store() -> None:
    with pytest.raises(NotRunnable, match="system trust store of the controller is unknown"):
        sandbox_of(has_bundle=False, system=None)
