"""The API server's audit log: who asked for what, whatever the implementation says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..timeouts import poll

Record = dict[str, Any]

#: TokenRequests with their bodies (an answer would hold the token), Secrets and ConfigMaps by name.
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
    """Reads the audit log from the position it had when this object was made.

    :param path: JSON lines of ``audit.k8s.io/v1`` events.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._start = path.stat().st_size

    def records(self) -> Iterator[Record]:
        """Yield what was recorded since the start, complete lines only."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def wait(self, matches: Callable[[Record], bool], *, count: int = 1) -> list[Record]:
        """Return the records that match, once there are `count`, or those there are at the timeout.

        The log is written when a call has been answered, so that it can be a
        moment behind what a test has already seen.
        """

        def probe() -> list[Record] | None:
            found = [record for record in self.records() if matches(record)]
            return found if len(found) >= count else None

        return poll(probe, timeout=self._timeout) or [record for record in self.records() if matches(record)]

    def token_requests(self, namespace: str, service_account: str, *, count: int = 1) -> list[Record]:
        """Return the granted TokenRequests for a ServiceAccount, waiting for `count` of them."""

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

    def writes(self, user: str, resources: tuple[str, ...] = ("secrets", "configmaps")) -> list[Record]:
        """Return the writes of a user (``system:serviceaccount:…``) to Secrets and ConfigMaps so far."""
        return [
            record
            for record in self.records()
            if record.get("user", {}).get("username") == user
            and record.get("objectRef", {}).get("resource") in resources
            and record.get("verb") in ("create", "update", "patch")
            and not record.get("objectRef", {}).get("subresource")
        ]
