"""Whose an object in a cluster is: what a session creates carries its label, and nothing else is touched."""

from __future__ import annotations

from ..errors import StackError
from .client import ApiError, Cluster, Object, Resource

#: On everything this project creates in a cluster; its value names the session.
LABEL = "vault-issuer.test/run"


def selector(session: str) -> str:
    """Return the label selector for what a session has created."""
    return f"{LABEL}={session}"


def owner_of(item: Object) -> str:
    """Return the name of the session that has created an object, '' where none has."""
    return str((item["metadata"].get("labels") or {}).get(LABEL, ""))


def create_own(cluster: Cluster, resource: Resource, body: Object) -> Object:
    """Create an object that carries a session's label; change one of this name only where the same session made it.

    :return: the object as stored.
    :raises StackError: when there is one that the session has not made; it is left as it is.
    """
    try:
        return cluster.create(resource, body)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        owner = _owner(cluster, resource, body)
        if owner and owner == owner_of(body):
            return cluster.apply(resource, body)
        raise _taken(resource, body, owner) from error


def _owner(cluster: Cluster, resource: Resource, body: Object) -> str | None:
    """Return whose the object that is there is; None where that cannot be read."""
    metadata = body["metadata"]
    try:
        found = cluster.list(resource, metadata.get("namespace"), fields=f"metadata.name={metadata['name']}")
    except ApiError:
        return None
    return owner_of(found[0]) if found else ""


def _taken(resource: Resource, body: Object, owner: str | None) -> StackError:
    metadata = body["metadata"]
    namespace = metadata.get("namespace")
    what = f"the {body['kind']} {namespace + '/' if namespace else ''}{metadata['name']}"
    where = f" --namespace={namespace}" if namespace else ""
    kubectl = f"kubectl delete {name_of(resource)} {metadata['name']}{where}"
    if owner:
        return StackError(
            f"{what} exists in the cluster: it belongs to session {owner}",
            hint=f"wait until that session ends; if it was killed: vault-issuer stack down {owner}, or: {kubectl}",
        )
    whose = "it has no label of the suite" if owner == "" else "whose it is cannot be read"
    return StackError(
        f"{what} exists in the cluster, and this session did not create it ({whose}): it is left as it is",
        hint=f"give it another name in the implementation's manifests, or, if nobody needs it: {kubectl}",
    )


def name_of(resource: Resource) -> str:
    """Return a type as kubectl takes it, such as ``issuers.cert-manager.io``."""
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural
