"""What a test judges and needs, by its marks and parameters."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.judge.items import features_of, requirement_ids

pytest_plugins = ("pytester",)

MARK = "from pytest_vault_issuer import requirement\n"


def test_every_mark_names_requirements(pytester: pytest.Pytester) -> None:
    source = f"{MARK}@requirement('VI-A-1', 'VI-A-2')\n@requirement('VI-A-3')\ndef test_it(): pass\n"
    (item,) = pytester.getitems(source)
    assert sorted(requirement_ids(item)) == ["VI-A-1", "VI-A-2", "VI-A-3"]


@pytest.mark.parametrize(
    ("names", "values", "needed"),
    [
        ("feature", "approle", {"approle"}),
        ("kind", "ClusterIssuer", {"cluster-issuer"}),
        ("kind", "Issuer", {"issuer"}),
        ("feature,kind", "('token', 'ClusterIssuer')", {"token", "cluster-issuer"}),
        ("feature,other_feature", "('token', 'approle')", {"token", "approle"}),
        ("kind,other_kind", "('Issuer', 'ClusterIssuer')", {"issuer", "cluster-issuer"}),
        ("other", "ClusterIssuer", set()),
    ],
)
def test_parameters_need_features(pytester: pytest.Pytester, names: str, values: str, needed: set[str]) -> None:
    value = values if values.startswith("(") else repr(values)
    source = f"import pytest\n@pytest.mark.parametrize({names!r}, [{value}])\ndef test_it({names}): pass\n"
    assert {frozenset(features_of(item)) for item in pytester.getitems(source)} == {frozenset(needed)}
