"""Removes what carries a label, of whatever kind and wherever in a cluster it is."""

from __future__ import annotations

from ..errors import StackError
from ..timeouts import Timeouts
from .api import CRDS, NAMESPACES, ApiError, Cluster, Object, Resource

#: Whoever may not list a type has made nothing of it; what is served by nobody at the moment keeps nothing.
_NOTHING_THERE = (403, 404, 405, 503)


def remove_labelled(cluster: Cluster, selector: str, timeouts: Timeouts) -> None:
    """Delete everything that a label selector finds, and wait until it is gone.

    CustomResourceDefinitions stay: to remove them would remove everybody's objects.

    :raises StackError: when something cannot be deleted in time.
    """
    namespaces = {item["metadata"]["name"] for item in cluster.list(NAMESPACES, labels=selector)}
    found = [
        (resource, item["metadata"]["name"], item["metadata"].get("namespace"))
        for resource in _resources(cluster)
        for item in _labelled(cluster, resource, selector)
        # These go with their namespace or their owner.
        if item["metadata"].get("namespace") not in namespaces and not item["metadata"].get("ownerReferences")
    ]
    for resource, name, namespace in found:
        cluster.delete(resource, name, namespace)
    for resource, name, namespace in found:
        if not cluster.wait_gone(resource, name, namespace, timeout=timeouts.deletion):
            where = f" --namespace={namespace}" if namespace else ""
            raise StackError(
                f"{resource.plural} {name} is still being deleted",
                hint=f"kubectl get {resource.plural} {name}{where} -o yaml",
            )


def _resources(cluster: Cluster) -> list[Resource]:
    """Return the types whose objects can be listed and deleted, each in the version that its group prefers."""
    groups = [("", "v1")]
    for entry in cluster.call("GET", "/apis").json()["groups"]:
        groups.append((entry["name"], entry["preferredVersion"]["version"]))
    found = []
    for group, version in groups:
        try:
            listing = cluster.call("GET", f"/apis/{group}/{version}" if group else f"/api/{version}").json()
        except ApiError as error:
            if error.code not in _NOTHING_THERE:
                raise
            continue
        for entry in listing["resources"]:
            if "/" not in entry["name"] and {"list", "delete"} <= set(entry["verbs"]):
                found.append(Resource(group, version, entry["name"], bool(entry["namespaced"])))
    return [resource for resource in found if resource != CRDS]


def _labelled(cluster: Cluster, resource: Resource, selector: str) -> list[Object]:
    try:
        return cluster.list(resource, labels=selector)
    except ApiError as error:
        if error.code not in _NOTHING_THERE:
            raise
        return []
