"""What an implementation has in the cluster: applied, made to stand still for a while, and set going again."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from ..errors import ImplementationError
from ..kube.client import Cluster, Object
from ..kube.ownership import LABEL, create_own, owner_of
from ..timeouts import Timeouts
from .webhooks import is_registration
from .workloads import PODS, is_workload, workloads_of

#: Where a run directory keeps what was applied, in this order.
RECORD = "applied.json"
#: On no node: what keeps the pods of a DaemonSet away.
_NOWHERE = {"vault-issuer.test/stands-still": "true"}


def in_order(objects: Iterable[Object]) -> tuple[list[Object], list[Object]]:
    """Return the CustomResourceDefinitions, and the rest in an order in which each finds what it needs."""
    objects = list(objects)
    first = [item for item in objects if item["kind"] == "Namespace"]
    crds = [item for item in objects if item["kind"] == "CustomResourceDefinition"]
    rest = [item for item in objects if item["kind"] not in ("Namespace", "CustomResourceDefinition")]
    return crds, [*first, *rest]


def prepare(cluster: Cluster, item: Object, namespace: str, run: str, *, foreign: bool = False) -> Object:
    """Return an object as it is to be stored: in a namespace, and with the label of the run that it goes with.

    What is there already is not this run's to remove: it keeps the label that it has, or has none.

    :param namespace: of what has none.
    :param foreign: whether the cluster is somebody else's, where only what is this run's own is stored.
    :raises ImplementationError: when it is a workload of another run that is under way.
    """
    resource, item = cluster.located(item, namespace)
    metadata = item["metadata"]
    if foreign:
        return _labelled(item, run)
    before = cluster.find(resource, metadata["name"], metadata.get("namespace"))
    owner = run if before is None else owner_of(before)
    if is_registration(item) and owner != run:
        # That session's webhook goes on, at its own address.
        return _labelled({**item, "metadata": {**metadata, "name": f"{metadata['name']}-{run}"}}, run)
    if before is not None and owner not in ("", run) and is_workload(item) and not _stands_still(before):
        raise ImplementationError(
            f"the {item['kind']} {metadata['namespace']}/{metadata['name']} is that of run {owner}, which is under way",
            hint="give it another name, or wait until that run ends",
        )
    return _labelled(item, owner)


def _labelled(item: Object, owner: str) -> Object:
    metadata = item["metadata"]
    labels = {**(metadata.get("labels") or {}), **({LABEL: owner} if owner else {})}
    return {**item, "metadata": {**metadata, "labels": labels}}


def store(cluster: Cluster, item: Object, *, foreign: bool) -> Object:
    """Store an object that :func:`prepare` has returned, and return it as stored.

    :raises StackError: when the cluster is somebody else's and has such an object, which is left as it is.
    """
    return create_own(cluster, *cluster.located(item, "default")) if foreign else cluster.apply_manifest(item)


def pause(cluster: Cluster, objects: Iterable[Object], timeouts: Timeouts) -> bool:
    """Leave the workloads among applied objects without pods, and their webhooks unregistered; say if there are any.

    A registered webhook would judge the objects of other controllers, or refuse them because nothing answers.

    :raises ImplementationError: when a pod does not go in time.
    """
    objects = list(objects)
    webhooks = [cluster.located(item, "default") for item in objects if is_registration(item)]
    for resource, item in webhooks:
        cluster.delete(resource, item["metadata"]["name"])
    workloads = workloads_of([cluster.apply_manifest(_still(item)) for item in objects if is_workload(item)])
    for workload in workloads:
        for pod in workload.pods(cluster):
            name = pod["metadata"]["name"]
            if not cluster.wait_gone(PODS, name, workload.namespace, timeout=timeouts.deletion):
                raise ImplementationError(
                    f"the pod {workload.namespace}/{name} of {workload} does not end",
                    hint=f"kubectl delete pod {name} --namespace={workload.namespace}",
                )
    return bool(workloads or webhooks)


def _still(workload: Object) -> Object:
    still = deepcopy(workload)
    if workload["kind"] == "DaemonSet":
        still["spec"]["template"]["spec"]["nodeSelector"] = _NOWHERE
    else:
        still["spec"]["replicas"] = 0
    return still


def _stands_still(workload: Object) -> bool:
    spec = workload["spec"]
    if workload["kind"] == "DaemonSet":
        return bool(spec["template"]["spec"].get("nodeSelector") == _NOWHERE)
    return bool(spec.get("replicas") == 0)


def resume(cluster: Cluster, objects: Iterable[Object]) -> None:
    """Have applied objects be as they were applied, whatever became of them meanwhile."""
    for item in objects:
        cluster.apply_manifest(item)
