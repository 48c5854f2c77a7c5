"""Authenticating via an AppRole."""

from __future__ import annotations

from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import Route
from pytest_vault_issuer.sandbox import Sandbox


@requirement("VI-APPROLE-001")
def test_login_sends_role_id_and_secret_id(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.approle(kind)
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.issued(issuer)
    login = sandbox.proxy.seen(Route.LOGIN)[-1]
    assert auth.approle is not None
    assert login.path == auth.login_path
    assert login.json == {"role_id": auth.approle.role_id, "secret_id": auth.credential}
