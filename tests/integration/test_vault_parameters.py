"""docs/vault-parameters.toml lists every parameter of the running Vault and of the running OpenBao."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac.exceptions
import pytest
from images import openbao

from pytest_vault_issuer.session.session import Session
from pytest_vault_issuer.stack.local.vault import VaultProcesses
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.vault import VaultAdmin

DOCS = Path(__file__).parents[2] / "docs"
#: The auth methods of the suite. OpenBao has no AWS auth.
METHODS = {
    "vault": ("approle", "aws", "cert", "jwt", "kubernetes"),
    "openbao": ("approle", "cert", "jwt", "kubernetes"),
}


@pytest.fixture(scope="module")
def parameters() -> Iterator[Any]:
    """The module that reads the list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS / "_ext")
        patch.delitem(sys.modules, "parameters", raising=False)
        yield importlib.import_module("parameters")


@pytest.fixture(params=["vault", "openbao"])
def server(
    request: pytest.FixtureRequest, vault_issuer_session: Session, vault_issuer_stack: Stack
) -> Iterator[tuple[str, VaultAdmin]]:
    """A new Vault, and a new OpenBao, without mounts."""
    launcher = vault_issuer_session.launcher()
    assert isinstance(launcher, VaultProcesses)
    if request.param == "openbao":
        ca_file = Path(vault_issuer_stack.vault.ca_file)
        launcher = VaultProcesses(
            vault_issuer_session.directory, ca_file, openbao.binary(), vault_issuer_session.timeouts
        )
    admin = VaultAdmin(launcher.start_vault())
    try:
        admin.initialize()
        admin.unseal()
        yield request.param, admin
    finally:
        launcher.stop_vault(admin.server)


def mount(admin: VaultAdmin, methods: tuple[str, ...]) -> None:
    """Mount the PKI engine and auth methods at their default paths, which the list also uses."""
    admin.enable_pki("pki", "24h")
    for method in methods:
        admin.enable_auth(method, method)


def parameters_of(admin: VaultAdmin) -> dict[str, set[str]]:
    """Return the names of the parameters of each path, in the notation of the list.

    The paths are those of the OpenAPI document. The parameters come from the help of each path, because in OpenBao's
    document, two paths of JWT auth share an operation name and therefore their parameters.
    """
    document = admin.client.read("sys/internal/specs/openapi?generic_mount_paths=true")
    found = {}
    for path, item in document["paths"].items():
        named = re.sub(r"\{(\w+?)_mount_path\}", r"\1", path.strip("/"))
        if named.startswith(("pki/", "auth/", "sys/mounts/", "sys/auth/")):
            names = _names_in_help(admin, re.sub(r"\{\w+\}", "x", named))
            found[named] = names if names is not None else _names_in_body(document, item)
    return found


def _names_in_help(admin: VaultAdmin, path: str) -> set[str] | None:
    try:
        text = admin.client.adapter.get(f"/v1/{path}?help=1")["help"]
    except hvac.exceptions.VaultError:
        return None  # Vault first sends some requests to plugins, which expect a valid request
    _, _, listed = text.partition("## PARAMETERS")
    return set(re.findall(r"^    (\S+) \(.*\)$", listed.partition("## DESCRIPTION")[0], re.MULTILINE))


def _names_in_body(document: dict[str, Any], item: dict[str, Any]) -> set[str]:
    content = item.get("post", {}).get("requestBody", {}).get("content", {})
    schemas = [body["schema"] for body in content.values()]
    named = [document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] for schema in schemas]
    return {name for schema in named for name in schema["properties"]}


def test_the_list_has_every_parameter_of_the_server(parameters: Any, server: tuple[str, VaultAdmin]) -> None:
    name, admin = server
    mount(admin, METHODS[name])
    seen = parameters_of(admin)
    assert len(seen) > 100, "expected the paths of the PKI engine and of the auth methods"
    differences = parameters.load().differences(name, seen)
    assert not differences, "\n".join([f"{parameters.FILE.name} differs from {name} {admin.version}:", *differences])
