"""A cleanup tries every step, whatever answers."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.leftovers import Removed
from pytest_vault_issuer.vault import VaultAdmin
from pytest_vault_issuer.vault.cleanup import Created, remove_created
from pytest_vault_issuer.vault.server import AUTH, NAMESPACE, POLICY, SECRETS_ENGINE, TOKEN
from tests.unit.vault.test_client import http, server, serving

SESSION = "vault-issuer-0123456789ab"
CREATED = [Created(NAMESPACE, "team"), Created(AUTH, "jwt", "auth_jwt_1"), Created(SECRETS_ENGINE, "pki")]


def page(status: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n"
    return head.encode() + b"<html>"


PAGE = page("200 OK")


@pytest.mark.parametrize("answer", [PAGE, http("200 OK", []), http("200 OK", {"data": None}), http("200 OK", "no")])
def test_response_that_is_not_vaults_stops_no_later_step(answer: bytes) -> None:
    with serving(answer) as (port, _):
        left = remove_created(VaultAdmin(server(port)), SESSION, CREATED)
    named = " ".join(leftover.what for leftover in left)
    assert "namespace team" in named
    assert "auth method jwt" in named
    assert "secrets engine pki" in named
    assert all("not Vault's" in leftover.why for leftover in left)


@pytest.mark.parametrize("answer", [PAGE, page("202 Accepted"), page("404 Not Found")])
def test_page_of_a_proxy_is_no_removal(answer: bytes) -> None:
    created = [*CREATED, Created(TOKEN, "accessor-1"), Created(POLICY, f"{SESSION}-a")]
    removed = Removed()
    with serving(answer) as (port, _):
        left = remove_created(VaultAdmin(server(port)), SESSION, created, removed)
    assert removed.names == {}
    assert [leftover.what for leftover in left] == [
        "Vault token with accessor accessor-1",
        "Vault namespace team",
        "Vault auth method jwt",
        "Vault secrets engine pki",
        f"Vault policy {SESSION}-a",
        f"Vault identity entities of logins of session {SESSION}",
    ]
    assert all("not Vault's" in leftover.why for leftover in left)
