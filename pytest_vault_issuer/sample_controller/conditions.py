"""Conditions in the status of objects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from .cluster import Cluster, ClusterError, Object, Resource

#: The most bytes of a message in a condition or event.
LONGEST_MESSAGE = 1024
#: How many times a status is written while others change the object.
ATTEMPTS = 10
CONFLICT = 409


def now() -> str:
    """Return the current time in the format of Kubernetes."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shorten(message: str) -> str:
    """Return a message, cut to a bounded length."""
    return message.encode()[:LONGEST_MESSAGE].decode(errors="ignore")


def condition(item: Object, kind: str) -> Object:
    """Return a condition of an object by its type, {} if it is not set."""
    for entry in item.get("status", {}).get("conditions") or []:
        if entry["type"] == kind:
            found: Object = entry
            return found
    return {}


def is_true(item: Object, kind: str) -> bool:
    """Whether a condition of an object is True."""
    return condition(item, kind).get("status") == "True"


def set_condition(
    item: Object, kind: str, status: str, reason: str, message: str, *, generation: int | None = None
) -> bool:
    """Set a condition of an object and leave all others as they are; return whether that changes anything.

    :param generation: the generation that was checked, for ``observedGeneration``; None to leave it out.
    """
    old = condition(item, kind)
    new: Object = {"type": kind, "status": status, "reason": reason, "message": shorten(message)}
    if generation is not None:
        new["observedGeneration"] = generation
    if old.get("status") == status:
        new["lastTransitionTime"] = old.get("lastTransitionTime") or now()
    else:
        new["lastTransitionTime"] = now()
    if _written(new) == _written(old):
        return False
    others = _others(item, kind)
    item.setdefault("status", {})["conditions"] = [*others, new]
    return True


def set_ready(item: Object, status: str, reason: str, message: str, *, generation: int | None = None) -> bool:
    """Set the condition Ready of an object; return whether that changes anything."""
    return set_condition(item, "Ready", status, reason, message, generation=generation)


def remove_condition(item: Object, kind: str) -> None:
    """Remove a condition of an object."""
    others = _others(item, kind)
    item.setdefault("status", {})["conditions"] = others


def _others(item: Object, kind: str) -> list[Object]:
    return [entry for entry in item.get("status", {}).get("conditions") or [] if entry["type"] != kind]


def _written(entry: Object) -> Object:
    """Return the fields of a condition that this controller writes."""
    return {
        field: entry.get(field) for field in ("status", "reason", "message", "observedGeneration", "lastTransitionTime")
    }


def write_status(cluster: Cluster, resource: Resource, item: Object, change: Callable[[Object], bool]) -> bool:
    """Change an object's status, also while others change the object; return whether anything was written.

    :param change: changes the object's status and returns whether it did; called again if the object has changed.
    """
    namespace, name, uid = item["metadata"].get("namespace", ""), item["metadata"]["name"], item["metadata"]["uid"]
    latest: Object | None = item
    for _ in range(ATTEMPTS):
        if latest is None:
            return False
        if latest["metadata"]["uid"] != uid:
            return False
        if not change(latest):
            return False
        try:
            cluster.replace_status(resource, latest)
        except ClusterError as error:
            if error.code != CONFLICT:
                raise
            latest = cluster.find(resource, namespace, name)
        else:
            return True
    raise ClusterError(CONFLICT, f"{name} changed during each of {ATTEMPTS} updates")
