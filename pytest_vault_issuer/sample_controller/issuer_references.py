"""Which issuer an ``issuerRef`` means."""

from __future__ import annotations

from collections.abc import Iterable

from .cluster import Object, Resource
from .watching import Key

#: What an ``issuerRef`` means that does not say.
DEFAULT_KIND = "Issuer"
DEFAULT_GROUP = "cert-manager.io"


def issuer_resource(kinds: Iterable[Resource], reference: Object) -> Resource | None:
    """Return the kind of issuer that a reference means, None when it is none of ours.

    :param kinds: ours.
    """
    kind = reference.get("kind") or DEFAULT_KIND
    group = reference.get("group") or DEFAULT_GROUP
    for resource in kinds:
        if resource.kind == kind and resource.group == group:
            return resource
    return None


def issuer_key(resource: Resource, namespace: str, reference: Object) -> Key:
    """Return which issuer of a kind a reference means.

    :param namespace: of the object that refers to it.
    """
    if not resource.namespaced:
        return "", reference["name"]
    return namespace, reference["name"]
