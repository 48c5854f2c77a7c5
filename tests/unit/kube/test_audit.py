"""What the audit log of the API server shows of a controller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_vault_issuer.kube.audit import AuditLog

USER = "system:serviceaccount:mine:controller"
STATUS = {"resource": "certificaterequests", "subresource": "status", "apiGroup": "cert-manager.io"}


def record(
    target: dict[str, str], *, verb: str = "update", decision: str = "forbid", user: str = USER
) -> dict[str, Any]:
    decided = {"authorization.k8s.io/decision": decision}
    return {"verb": verb, "user": {"username": user}, "objectRef": target, "annotations": decided}


def test_refused_calls_of_the_controller_are_listed_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text(json.dumps(record({"resource": "secrets"}, verb="create")) + "\n")  # of an earlier session
    log = AuditLog(path, timeout=1)
    records = [
        record(STATUS),
        record(STATUS),
        record({"resource": "events"}, verb="create"),
        # In a namespace that is being deleted, the API server answers 403.
        record({"resource": "leases", "apiGroup": "coordination.k8s.io"}, decision="allow")
        | {"responseStatus": {"code": 403}},
        record({"resource": "configmaps"}, user="system:serviceaccount:other:controller"),
        record({"resource": "serviceaccounts", "subresource": "token"}, verb="create"),
    ]
    with path.open("a") as file:
        file.write("".join(json.dumps(one) + "\n" for one in records))
    assert log.refusals(USER) == ["update certificaterequests/status.cert-manager.io", "create events"]
