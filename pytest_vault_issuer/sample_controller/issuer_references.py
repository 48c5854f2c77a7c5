"""Resolves ``issuerRef``."""

from __future__ import annotations

from collections.abc import Iterable

from .cluster import Object, Resource
from .watching import Key

#: The defaults of ``issuerRef``.
DEFAULT_KIND = "Issuer"
DEFAULT_GROUP = "cert-manager.io"


def issuer_resource(kinds: Iterable[Resource], reference: Object) -> Resource | None:
    """Return the issuer kind that a reference names, None if it is not one of ours.

    :param kinds: ours.
    """
    full = with_defaults(reference)
    for resource in kinds:
        if resource.kind == full["kind"] and resource.group == full["group"]:
            return resource
    return None


def with_defaults(reference: Object) -> Object:
    """Return a reference with its kind and its group."""
    kind, group = reference.get("kind") or DEFAULT_KIND, reference.get("group") or DEFAULT_GROUP
    return reference | {"kind": kind, "group": group}


def issuer_key(resource: Resource, namespace: str, reference: Object) -> Key:
    """Return the key of the issuer object that a reference names.

    :param namespace: of the object with the reference.
    """
    if not resource.namespaced:
        return "", reference["name"]
    return namespace, reference["name"]
