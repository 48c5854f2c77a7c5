"""Tests whose cases alternate between the kinds of issuer objects."""

from __future__ import annotations

import pytest
from vault_issuer_conformance.conftest import with_present_kind

CASES = [("Issuer", "token"), ("ClusterIssuer", "approle"), ("Issuer", "approle")]


@pytest.mark.parametrize("kind", ["Issuer", "ClusterIssuer"])
def test_implementation_with_one_kind_gets_all_cases(kind: str) -> None:
    assert with_present_kind(CASES, [kind]) == [(kind, "token"), (kind, "approle")]


def test_cases_keep_their_kind_for_an_implementation_with_both() -> None:
    assert with_present_kind(CASES, ["Issuer", "ClusterIssuer"]) == CASES


def test_pairs_of_kinds_become_one_pair_of_the_only_kind() -> None:
    pairs = [("Issuer", "Issuer"), ("Issuer", "ClusterIssuer"), ("ClusterIssuer", "Issuer")]
    assert with_present_kind(pairs, ["ClusterIssuer"]) == [("ClusterIssuer", "ClusterIssuer")]
