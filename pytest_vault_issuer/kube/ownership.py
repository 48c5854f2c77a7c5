"""The owner of an object in a cluster: a session labels what it creates, and changes nothing else."""

from __future__ import annotations

from ..errors import StackError
from .client import ApiError, Cluster, Object, Resource

#: Label of everything that the suite creates in a cluster; its value is the name of the session.
LABEL = "vault-issuer.test/run"

#: Label of what one process of a session creates in its sandboxes; its value is random.
PROCESS = "vault-issuer.test/process"


def selector(session: str) -> str:
    """Return the label selector for the objects of a session."""
    return f"{LABEL}={session}"


def owner_of(item: Object) -> str:
    """Return the name of the session that created an object; '' if no session did."""
    return str((item["metadata"].get("labels") or {}).get(LABEL, ""))


def create_own(cluster: Cluster, resource: Resource, body: Object) -> Object:
    """Create an object that carries a session's label. If the same session already created it, apply it again.

    :return: the object as stored.
    :raises StackError: if an object of this name exists that the session did not create; it is not changed.
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
    """Return the session that created the existing object, '' for none; None if the object cannot be read."""
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
    reason = "it has no label of the suite" if owner == "" else "its labels cannot be read"
    return StackError(
        f"{what} exists in the cluster, and this session did not create it ({reason}): it is not changed",
        hint=f"give it another name in the implementation's manifests, or delete it if it is not needed: {kubectl}",
    )


def name_of(resource: Resource) -> str:
    """Return the name of a resource type for kubectl, such as ``issuers.cert-manager.io``."""
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural
