"""The mark that assigns requirements to a test."""

from __future__ import annotations

import pytest

REQUIREMENT = "vault_issuer_requirement"


def requirement(*identifiers: str) -> pytest.MarkDecorator:
    """Return the mark for the requirements that a test judges.

    :param identifiers: ids of requirements.
    """
    return getattr(pytest.mark, REQUIREMENT)(*identifiers)  # type: ignore[no-any-return]
