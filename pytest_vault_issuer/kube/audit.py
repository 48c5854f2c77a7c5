"""The audit log of the API server: the API calls of the controller, independent of its own log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..timeouts import poll

Record = dict[str, Any]

#: Records TokenRequests with their bodies (responses would contain the token), and the names of Secrets and ConfigMaps.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Request", "resources": [{"group": "", "resources": ["serviceaccounts/token"]}]},
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets", "configmaps"]}]},
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]},
        {"level": "None"},
    ],
}


class AuditLog:
    """Reads the audit log from its end at the creation of this object.

    :param path: JSON lines of ``audit.k8s.io/v1`` events.
    :param timeout: of :meth:`wait`, in seconds.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._start = path.stat().st_size

    def records(self) -> Iterator[Record]:
        """Yield the records since the start, from complete lines."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def wait(self, matches: Callable[[Record], bool], *, count: int = 1) -> list[Record]:
        """Return the matching records as soon as there are `count`, or all matching records at the timeout.

        The API server writes a record after it has answered the call, so that the log lags behind.
        """

        def probe() -> list[Record] | None:
            found = [record for record in self.records() if matches(record)]
            return found if len(found) >= count else None

        return poll(probe, timeout=self._timeout) or [record for record in self.records() if matches(record)]

    def token_requests(self, namespace: str, service_account: str, *, count: int = 1) -> list[Record]:
        """Return the granted TokenRequests for a ServiceAccount; wait until there are `count`."""

        def matches(record: Record) -> bool:
            target = record.get("objectRef", {})
            return bool(
                target.get("resource") == "serviceaccounts"
                and target.get("subresource") == "token"
                and target.get("namespace") == namespace
                and target.get("name") == service_account
                and record.get("responseStatus", {}).get("code") == 201
            )

        return self.wait(matches, count=count)

    def refusals(self, user: str) -> list[str]:
        """Return the writes that a user tried and may not do: "update certificaterequests/status.cert-manager.io".

        Without tokens of ServiceAccounts, which tests withhold.
        """
        found: dict[str, None] = {}
        for record in self.records():
            target = record.get("objectRef", {})
            # Admission answers 403, too, for example in a namespace that is being deleted.
            refused = record.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
            if refused and record.get("user", {}).get("username") == user and target.get("subresource") != "token":
                parts = [target.get("resource", ""), target.get("subresource", "")]
                group = f".{target['apiGroup']}" if target.get("apiGroup") else ""
                found[f"{record.get('verb')} {'/'.join(filter(None, parts))}{group}"] = None
        return list(found)

    def writes(self, user: str) -> list[Record]:
        """Return the writes of a user (``system:serviceaccount:…``) to Secrets and ConfigMaps until now."""
        return [
            record
            for record in self.records()
            if record.get("user", {}).get("username") == user
            and record.get("objectRef", {}).get("resource") in ("secrets", "configmaps")
            and record.get("verb") in ("create", "update", "patch")
            and not record.get("objectRef", {}).get("subresource")
        ]
