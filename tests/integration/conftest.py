"""All tests in this folder use the real stack."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.toolchain import Toolchain


@pytest.fixture(autouse=True, scope="session")
def built(toolchain: Toolchain) -> None:
    """Build the components first."""
