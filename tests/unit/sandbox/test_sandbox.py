"""What a sandbox does when its test ends."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.sandbox import Sandbox


def sandbox_with(*troubles: tuple[str, ...]) -> tuple[Any, list[str]]:
    """Return a sandbox with proxies that had these troubles, and what it removed."""
    removed: list[str] = []
    sandbox = object.__new__(Sandbox)
    sandbox._cleanup = contextlib.ExitStack()
    sandbox._cleanup.callback(removed.append, "everything")
    sandbox.proxies = [SimpleNamespace(troubles=of_one) for of_one in troubles]  # type: ignore[misc]
    return sandbox, removed


def test_trouble_of_a_proxy_is_an_error_of_the_harness() -> None:
    sandbox, removed = sandbox_with((), ("no connection accepted: too many open files",), ("no thread",))
    with pytest.raises(StackError, match="no connection accepted: too many open files; no thread") as error:
        sandbox.close()
    assert "ulimit -n" in error.value.hint
    assert removed == ["everything"]


def test_sandbox_without_trouble_closes_quietly() -> None:
    sandbox, removed = sandbox_with((), ())
    sandbox.close()
    assert removed == ["everything"]
