"""The structure that CONTRIBUTING.md promises, beyond what import-linter checks."""

from __future__ import annotations

import pytest_vault_issuer


def test_each_public_name_can_be_imported() -> None:
    for name in pytest_vault_issuer.__all__:
        assert getattr(pytest_vault_issuer, name) is not None
