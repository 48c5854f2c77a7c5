"""The requirements that a test judges: one per area in CI, and all in the complete run."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import CORE

#: Set for the complete run, `tox run -e full`: tests with the marker `full` run, too.
FULL = "TEST_FULL"


def complete() -> bool:
    """Return whether this is the complete run."""
    return os.environ.get(FULL) == "1"


def selecting(identifiers: Iterable[str]) -> list[str]:
    """Return the options that select requirements."""
    return [f"--vault-issuer-select={identifier}" for identifier in identifiers]


def few_or(few: Iterable[str], *areas: str) -> list[str]:
    """Return the options that select few requirements, and in the complete run whole areas."""
    return selecting(areas if complete() else few)


def one_per_area(*profiles: str) -> list[str]:
    """Return one requirement of each area of the profiles; without any, of the profile core."""
    return [requirement.id for requirement in Catalogue.load().one_per_area(profiles or (CORE,))]


def scopes(*profiles: str) -> pytest.MarkDecorator:
    """Run a test on one requirement per area, and in the complete run on all of them.

    Its parameter ``selected`` gets the selected requirements; () for all.
    """
    all_of_them = pytest.param((), id="all", marks=pytest.mark.full)
    return pytest.mark.parametrize(
        "selected", [pytest.param(tuple(one_per_area(*profiles)), id="one of each area"), all_of_them]
    )
