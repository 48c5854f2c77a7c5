"""The objects of an implementation in the cluster: applied, paused, resumed."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from ..errors import ImplementationError
from ..kube.client import Cluster, Object
from ..kube.ownership import LABEL, create_own, owner_of
from ..timeouts import Timeouts
from .webhooks import is_registration
from .workloads import is_workload, workloads_of

#: File of a run directory that records the applied objects, in order.
RECORD = "applied.json"
#: A label that no node has; as a node selector it pauses a DaemonSet.
_NOWHERE = {"vault-issuer.test/paused": "true"}


def in_order(objects: Iterable[Object]) -> tuple[list[Object], list[Object]]:
    """Return the CustomResourceDefinitions, and the other objects in an order that suits their dependencies."""
    objects = list(objects)
    first = [item for item in objects if item["kind"] == "Namespace"]
    crds = [item for item in objects if item["kind"] == "CustomResourceDefinition"]
    rest = [item for item in objects if item["kind"] not in ("Namespace", "CustomResourceDefinition")]
    return crds, [*first, *rest]


def prepare(cluster: Cluster, item: Object, namespace: str, run: str, *, foreign: bool = False) -> Object:
    """Return an object ready to store: with a namespace, and with the label of the session that owns it.

    This session does not own an object that exists already, so the object keeps its label, or has none.

    :param namespace: the namespace of an object that names none.
    :param foreign: whether the cluster is external; there, the session only stores new objects of its own.
    :raises ImplementationError: if it is a workload of another session that is still active.
    """
    resource, item = cluster.located(item, namespace)
    metadata = item["metadata"]
    if foreign:
        return _labeled(item, run)
    before = cluster.find(resource, metadata["name"], metadata.get("namespace"))
    owner = run if before is None else owner_of(before)
    if is_registration(item) and owner != run:
        # The webhook of the other session stays registered, at its own address.
        return _labeled({**item, "metadata": {**metadata, "name": f"{metadata['name']}-{run}"}}, run)
    if before is not None and owner not in ("", run) and is_workload(item) and not _is_paused(before):
        raise ImplementationError(
            f"the {item['kind']} {metadata['namespace']}/{metadata['name']} belongs to the active session {owner}",
            hint="give it another name, or wait until that session ends",
        )
    return _labeled(item, owner)


def _labeled(item: Object, owner: str) -> Object:
    metadata = item["metadata"]
    labels = {**(metadata.get("labels") or {}), **({LABEL: owner} if owner else {})}
    return {**item, "metadata": {**metadata, "labels": labels}}


def store(cluster: Cluster, item: Object, *, foreign: bool) -> Object:
    """Store an object that :func:`prepare` returned, and return it as stored.

    :raises StackError: if the cluster is external and the object exists already; it stays unchanged.
    """
    return create_own(cluster, *cluster.located(item, "default")) if foreign else cluster.apply_manifest(item)


def pause(cluster: Cluster, objects: Iterable[Object], timeouts: Timeouts) -> bool:
    """Pause a controller: remove the pods of its workloads, and unregister its webhooks.

    A registered webhook would judge the objects of other controllers, or refuse them because nothing answers.

    :param objects: as applied.
    :return: whether there are workloads or webhooks.
    :raises ImplementationError: if a pod does not end in time.
    """
    objects = list(objects)
    webhooks = [cluster.located(item, "default") for item in objects if is_registration(item)]
    for resource, item in webhooks:
        # An object that replaced it belongs to another user.
        there = cluster.find(resource, item["metadata"]["name"])
        if there is not None and owner_of(there) == owner_of(item):
            cluster.delete(resource, item["metadata"]["name"], uid=there["metadata"]["uid"])
    workloads = workloads_of([cluster.apply_manifest(_paused(item)) for item in objects if is_workload(item)])
    for workload in workloads:
        workload.wait_gone(cluster, timeouts)
    return bool(workloads or webhooks)


def _paused(workload: Object) -> Object:
    paused = deepcopy(workload)
    if workload["kind"] == "DaemonSet":
        paused["spec"]["template"]["spec"]["nodeSelector"] = _NOWHERE
    else:
        paused["spec"]["replicas"] = 0
    return paused


def _is_paused(workload: Object) -> bool:
    spec = workload["spec"]
    if workload["kind"] == "DaemonSet":
        return bool(spec["template"]["spec"].get("nodeSelector") == _NOWHERE)
    return bool(spec.get("replicas") == 0)


def resume(cluster: Cluster, objects: Iterable[Object]) -> None:
    """Resume a paused controller: apply its objects again."""
    for item in objects:
        cluster.apply_manifest(item)
