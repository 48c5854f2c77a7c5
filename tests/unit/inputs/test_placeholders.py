"""Placeholders in the texts of an implementation file."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.inputs.placeholders import fill, names, single_brace

VALUES = {"name": "n", "auth.appRole": "role"}


@pytest.mark.parametrize(
    ("text", "doubled", "found", "filled"),
    [
        ("a{name}b{name}", False, ["name", "name"], "anbn"),
        ('{"name": "{name}"}', False, ["name"], '{"name": "n"}'),
        ("{{.Name}}", False, [], "{{.Name}}"),
        ("{{{name}}}", True, ["name"], "{n}"),
        ("{{name}}", True, [], "{name}"),
        ("{auth.appRole}", True, ["auth.appRole"], "role"),
    ],
)
def test_each_placeholder_gets_its_value(text: str, doubled: bool, found: list[str], filled: str) -> None:
    assert names(text, doubled=doubled) == found
    assert fill(text, VALUES.__getitem__, doubled=doubled) == filled


@pytest.mark.parametrize(("text", "brace"), [("{a", "{"), ("a}", "}"), ("{{a}}", ""), ("{a}", "")])
def test_single_brace_is_found(text: str, brace: str) -> None:
    assert single_brace(text) == brace
