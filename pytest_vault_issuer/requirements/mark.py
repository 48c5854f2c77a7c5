"""Marks with which a test says what it is about."""

from __future__ import annotations

import pytest

REQUIREMENT = "vault_issuer_requirement"


def requirement(*identifiers: str) -> pytest.MarkDecorator:
    """Say which requirements a test judges, by id."""
    return getattr(pytest.mark, REQUIREMENT)(*identifiers)  # type: ignore[no-any-return]
