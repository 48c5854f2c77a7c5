"""Tests whose cases alternate between the kinds of issuer objects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from vault_issuer_conformance.conftest import with_present_kind
from vault_issuer_conformance.helpers import for_each_kind

from pytest_vault_issuer import UnsupportedError

CASES = [("Issuer", "token"), ("ClusterIssuer", "approle"), ("Issuer", "approle")]


@pytest.mark.parametrize("kind", ["Issuer", "ClusterIssuer"])
def test_implementation_with_one_kind_gets_all_cases(kind: str) -> None:
    assert with_present_kind(CASES, [kind]) == [(kind, "token"), (kind, "approle")]


def test_cases_keep_their_kind_for_an_implementation_with_both() -> None:
    assert with_present_kind(CASES, ["Issuer", "ClusterIssuer"]) == CASES


def test_pairs_of_kinds_become_one_pair_of_the_only_kind() -> None:
    pairs = [("Issuer", "Issuer"), ("Issuer", "ClusterIssuer"), ("ClusterIssuer", "Issuer")]
    assert with_present_kind(pairs, ["ClusterIssuer"]) == [("ClusterIssuer", "ClusterIssuer")]


def checked(*failing: str, error: type[Exception]) -> set[str]:
    """Return the kinds whose check passes if those of others end with an error."""
    passed = set()

    def check(kind: str) -> None:
        if kind in failing:
            raise error(kind)
        passed.add(kind)

    sandbox: Any = SimpleNamespace(environment=SimpleNamespace(kinds=["Issuer", "ClusterIssuer"]), pki=None)
    for_each_kind(sandbox, check)
    return passed


def test_kind_that_is_unsupported_does_not_keep_the_other_from_being_judged() -> None:
    assert checked("Issuer", error=UnsupportedError) == {"ClusterIssuer"}


def test_check_that_no_kind_supports_is_unsupported() -> None:
    with pytest.raises(UnsupportedError):
        checked("Issuer", "ClusterIssuer", error=UnsupportedError)


def test_failure_of_one_kind_fails_the_check_of_all() -> None:
    with pytest.raises(AssertionError):
        checked("ClusterIssuer", error=AssertionError)


def test_values_may_be_mappings() -> None:
    cases = [("Issuer", {"size": 256}), ("ClusterIssuer", {"size": 256}), ("Issuer", {"size": 384})]
    assert with_present_kind(cases, ["ClusterIssuer"]) == [
        ("ClusterIssuer", {"size": 256}),
        ("ClusterIssuer", {"size": 384}),
    ]
