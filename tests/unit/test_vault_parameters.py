"""The list of Vault's parameters is consistent and names requirements, and additional parameters are reported."""

from __future__ import annotations

import importlib
import re
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.requirements.catalogue import SUITE, Catalogue

ROOT = Path(__file__).parents[2]
LIST = """
[endpoints.role]
title = "Roles"
paths = ["pki/roles/{name}"]

[[parameters]]
endpoints = ["role"]
names = ["ttl", "name"]
reason = "It is an example."

[[parameters]]
endpoints = ["role"]
names = ["not_before"]
server = "openbao"
reason = "It is an example."

[[paths]]
patterns = ["pki/acme/*"]
reason = "It is an example."
"""
VAULT = {"pki/roles/{name}": {"ttl", "name"}, "pki/acme/new-order": {"role"}}


@pytest.fixture(scope="module")
def parameters() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs/_ext")
        patch.delitem(sys.modules, "parameters", raising=False)
        yield importlib.import_module("parameters")


@pytest.fixture(scope="module")
def coverages(parameters: Any) -> list[Any]:
    """Yield every entry of the list."""
    listing = parameters.load()
    return [*listing.paths, *(entry for endpoint in listing.endpoints.values() for entry in endpoint.coverages)]


def test_a_server_as_listed_has_no_differences(parameters: Any) -> None:
    listing = parameters.load(LIST)
    assert listing.differences("vault", VAULT) == []
    assert listing.differences("openbao", VAULT | {"pki/roles/{name}": {"ttl", "name", "not_before"}}) == []


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        ({"pki/roles/{name}": {"ttl", "name", "usage"}}, "Vault has the parameter usage of pki/roles/{name}, which"),
        ({"pki/roles/{name}": {"name"}}, "Vault has no parameter ttl of pki/roles/{name}: remove it"),
        ({"pki/sign/{role}": {"csr"}}, "Vault has the path pki/sign/{role} (csr), which is not in the list"),
    ],
)
def test_new_release_shows_its_differences(parameters: Any, seen: dict[str, set[str]], message: str) -> None:
    (difference,) = parameters.load(LIST).differences("vault", VAULT | seen)
    assert difference.startswith(message)


@pytest.mark.parametrize("path", sorted(VAULT))
def test_a_path_that_is_gone_is_reported(parameters: Any, path: str) -> None:
    seen = {name: names for name, names in VAULT.items() if name != path}
    (difference,) = parameters.load(LIST).differences("vault", seen)
    assert difference.startswith("Vault has no path pki/")


def test_a_parameter_that_is_listed_twice_is_refused(parameters: Any) -> None:
    text = LIST.replace('["not_before"]\nserver = "openbao"', '["ttl"]')
    with pytest.raises(parameters.ListError, match=r"lists ttl of pki/roles/\{name\} twice"):
        parameters.load(text).differences("vault", VAULT)


def test_an_entry_of_an_unknown_endpoint_is_refused(parameters: Any) -> None:
    with pytest.raises(parameters.ListError, match=r"has no \[endpoints.roles\]"):
        parameters.load(LIST.replace('["role"]', '["roles"]', 1))


def test_the_requirements_of_the_list_exist(coverages: list[Any]) -> None:
    named = {identifier for entry in coverages for identifier in entry.requirements}
    assert named - set(Catalogue.load().ids) == set()


def test_every_entry_has_requirements_or_a_reason(coverages: list[Any]) -> None:
    assert [entry.names for entry in coverages if not (entry.requirements or entry.reason)] == []
    sentence = re.compile(r"[A-Z`].*[^.]\.")
    assert [entry.reason for entry in coverages if entry.reason and not sentence.fullmatch(entry.reason)] == []


def test_the_suite_sets_or_reads_each_parameter_that_a_requirement_alone_covers(parameters: Any) -> None:
    """An entry without a reason claims that a test depends on the parameter."""
    folders = (Path(str(resources.files(SUITE))), ROOT / "pytest_vault_issuer")
    source = "\n".join(path.read_text() for folder in folders for path in sorted(folder.rglob("*.py")))
    claimed = {
        name
        for endpoint in parameters.load().endpoints.values()
        for entry in endpoint.coverages
        for name in entry.names
        if not entry.reason
    }
    assert sorted(name for name in claimed if not re.search(rf"\b{name}\b", source)) == []


def test_every_listed_parameter_is_on_the_page(parameters: Any) -> None:
    text = parameters.sections()
    listed = {
        name
        for server in parameters.SERVERS
        for names in parameters.load().parameters(server).values()
        for name in names
    }
    assert sorted(name for name in listed if f"`{name}`" not in text) == []
    assert "<!-- generated: vault-parameters -->" in (ROOT / "docs/vault-parameters.md").read_text()
