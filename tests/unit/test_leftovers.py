"""A cleanup lists what it removed, in one line for each type."""

from __future__ import annotations

from pytest_vault_issuer.leftovers import Removed


def test_each_kind_has_one_line_with_count_and_names() -> None:
    removed = Removed()
    removed.add("containers", "vault", "node")
    removed.add("directories", "/tmp/a")
    removed.add("containers", "proxy")
    removed.add("container networks")
    assert removed.lines == ["containers: 3 (vault, node, proxy)", "directories: 1 (/tmp/a)"]


def test_many_names_are_counted() -> None:
    removed = Removed()
    removed.add("secrets", *map(str, range(12)))
    assert removed.lines == ["secrets: 12 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more)"]


def test_what_stays_is_listed_apart() -> None:
    removed = Removed()
    removed.keep("Vault auth methods", "approle")
    assert removed.lines == []
    assert removed.kept_lines == ["Vault auth methods that others have mounted since, and that stay: approle"]
