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
        for resource in cluster.served("list", "delete")
        if resource != CRDS
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


def _labelled(cluster: Cluster, resource: Resource, selector: str) -> list[Object]:
    try:
        return cluster.list(resource, labels=selector)
    except ApiError as error:
        if error.code not in _NOTHING_THERE:
            raise
        return []
