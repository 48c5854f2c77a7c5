"""The hook with which a plugin or conftest describes an implementation in Python."""

from __future__ import annotations

import pytest

from .implementation import Implementation


@pytest.hookspec(firstresult=True)
def pytest_vault_issuer_implementation(config: pytest.Config, name: str) -> Implementation | None:
    """Return the implementation that ``--vault-issuer=NAME`` stands for.

    Asked before anything else is tried; None leaves the name to the built-ins, files and factories.
    """
