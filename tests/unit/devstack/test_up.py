"""What `vault-issuer stack up` shows of a controller."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pytest_vault_issuer.devstack.up import _seen
from pytest_vault_issuer.kube.client import Resource
from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.sandbox.handles import IssuerType

SECRET_ID = "5f0c7a3e-canary"


def test_message_of_an_issuer_object_is_redacted() -> None:
    redactor = Redactor()
    redactor.add(SECRET_ID)
    condition = {"type": "Ready", "status": "False", "message": f"login with {SECRET_ID} failed: hvs.CAESIcanarycanary"}
    item = {"metadata": {"name": "vault-approle"}, "status": {"conditions": [condition]}}
    cluster: Any = SimpleNamespace(wait=lambda *_, **__: (False, item))
    unused: Any = None
    kind = IssuerType("Issuer", Resource("cert-manager.io", "v1", "issuers"), unused, cluster_scoped=False)
    shown = _seen(cluster, kind, item, "approle", 0.0, redactor)
    assert (shown.name, shown.ready) == ("vault-approle", "False")
    assert "canary" not in shown.message
    assert shown.message.startswith("login with <secret")
