"""Removes all objects of a cluster that carry a session's label, of every type and in every namespace."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass

from ..errors import StackError
from ..leftovers import Leftover, Removed
from ..timeouts import Timeouts, poll
from .client import CRDS, NAMESPACES, ApiError, Cluster, Object, Resource
from .ownership import name_of

#: A session that may not list a type has created no object of it; a type that is not served has no objects.
_NOTHING_THERE = (403, 404, 405, 503)
#: Seconds between two listings of objects that are being deleted.
_INTERVAL = 0.25


@dataclass(frozen=True)
class _Found:
    """An object with the label; its uid distinguishes it from a later object of the same name."""

    resource: Resource
    name: str
    namespace: str | None
    uid: str
    finalizers: tuple[str, ...]

    def leftover(self, why: str, verb: str = "delete") -> Leftover:
        where = f" --namespace={self.namespace}" if self.namespace else ""
        what = f"{name_of(self.resource)} {self.namespace + '/' if self.namespace else ''}{self.name}"
        return Leftover(what, why, f"kubectl {verb} {name_of(self.resource)} {self.name}{where}")


def remove_labeled(
    cluster: Cluster,
    selector: str,
    timeouts: Timeouts,
    *,
    created: Collection[Resource] = (),
    last: tuple[Resource, str] | None = None,
    removed: Removed | None = None,
    types: Iterable[Resource] = (),
) -> list[Leftover]:
    """Delete all objects that match a label selector, and wait until they are gone.

    If one cannot be deleted, the others are still deleted. CustomResourceDefinitions are kept, because their removal
    would delete all objects of these types.

    :param created: types of the created objects; it is a failure if these types cannot be listed.
    :param last: type and name of the object that is deleted after all others, and kept if one of them is left.
    :param removed: receives what was removed.
    :param types: types whose objects are deleted; () for all that the cluster serves.
    :return: what is left, and why.
    """
    removed = removed or Removed()
    left: list[Leftover] = []

    def failed(api_version: str, error: StackError) -> None:
        """Report an extension that fails, unless the session created nothing of it."""
        group = api_version.rpartition("/")[0]
        if not created or group in {resource.group for resource in created}:
            left.append(Leftover(f"anything of {api_version} labeled {selector}", error.message, _everything(selector)))

    try:
        served = types or cluster.served("list", "delete", failed=failed)
        resources = [resource for resource in served if resource != CRDS]
    except StackError as error:
        return [Leftover(f"everything labeled {selector} in the cluster", error.message, _everything(selector))]
    found = _find(cluster, resources, selector, created, left)
    held = [item for item in found if (item.resource, item.name) == last]
    left += _delete(cluster, [item for item in found if item not in held], selector, timeouts, removed)
    if left:
        return left + [item.leftover("stays until the rest is removed") for item in held]
    return _delete(cluster, held, selector, timeouts, removed)


def _find(
    cluster: Cluster,
    resources: Iterable[Resource],
    selector: str,
    created: Container[Resource],
    left: list[Leftover],
) -> list[_Found]:
    items: list[tuple[Resource, Object]] = []
    for resource in resources:
        try:
            items += [(resource, item) for item in cluster.list(resource, labels=selector)]
        except StackError as error:
            nothing = isinstance(error, ApiError) and error.code in _NOTHING_THERE
            if nothing and resource not in created:
                continue
            every = " --all-namespaces" if resource.namespaced else ""
            left.append(
                Leftover(
                    f"any {name_of(resource)} labeled {selector}",
                    error.message,
                    f"kubectl delete {name_of(resource)}{every} --selector={selector}",
                )
            )
    namespaces = {item["metadata"]["name"] for resource, item in items if resource == NAMESPACES}
    return [
        _found(resource, item)
        for resource, item in items
        # The API server deletes the others with their namespace or their owner. A view of another object, as extensions
        # serve it, has no uid.
        if item["metadata"].get("uid")
        and item["metadata"].get("namespace") not in namespaces
        and not item["metadata"].get("ownerReferences")
    ]


def _found(resource: Resource, item: Object) -> _Found:
    metadata = item["metadata"]
    spec = item.get("spec") if resource == NAMESPACES else None
    finalizers = (*(metadata.get("finalizers") or []), *((spec or {}).get("finalizers") or []))
    return _Found(resource, metadata["name"], metadata.get("namespace"), metadata["uid"], finalizers)


def _delete(
    cluster: Cluster, found: list[_Found], selector: str, timeouts: Timeouts, removed: Removed
) -> list[Leftover]:
    left = []
    waiting = []
    for item in found:
        try:
            cluster.delete(item.resource, item.name, item.namespace, uid=item.uid)
        except StackError as error:
            left.append(item.leftover(error.message))
        else:
            waiting.append(item)

    def remaining() -> list[_Found]:
        """Return the objects that still exist. It lists them, because this permission was needed to find them."""
        there = {
            entry["metadata"].get("uid")
            for resource in dict.fromkeys(item.resource for item in waiting)
            for entry in cluster.list(resource, labels=selector)
        }
        return [item for item in waiting if item.uid in there]

    def gone() -> bool | None:
        try:
            waiting[:] = remaining()
        except StackError:
            return None  # list again until the timeout
        return True if not waiting else None

    deleted = list(waiting)
    if waiting:
        poll(gone, timeout=timeouts.deletion, interval=_INTERVAL)
    for item in deleted:
        if item not in waiting:
            removed.add(name_of(item.resource), f"{item.namespace + '/' if item.namespace else ''}{item.name}")
    for item in waiting:
        kept = f" (finalizers: {', '.join(item.finalizers)})" if item.finalizers else ""
        left.append(item.leftover(f"still being deleted after {timeouts.deletion:g} s{kept}", verb="get --output=yaml"))
    return left


def _everything(selector: str) -> str:
    return (
        "kubectl api-resources --verbs=list,delete --output=name | xargs -I {} "
        f"kubectl delete {{}} --all-namespaces --selector={selector}"
    )
