"""The hook that lets a plugin or conftest describe an implementation in Python."""

from __future__ import annotations

import pytest

from .implementation import Implementation


@pytest.hookspec(firstresult=True)
def pytest_vault_issuer_implementation(config: pytest.Config, name: str) -> Implementation | None:
    """Return the implementation that ``--vault-issuer=NAME`` stands for.

    The plugin calls it first. If it returns None, the name is that of a built-in, a file or a factory.
    """
