"""Other ways to write an issuer's configuration than the block ``spec.vault``, translated to that block.

``flat`` has all of it in fields of ``spec``; ``auth-object`` refers to a VaultAuth for the authentication;
``configmap`` refers to a ConfigMap. Every part of the sample controller reads ``spec.vault`` only: objects are
translated when they come from the API server.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .cluster import Cluster, Object, Resource
from .watching import Watcher, key_of

_LOGINS = {
    "token.secret": "auth.tokenSecretRef.name",
    "token.key": "auth.tokenSecretRef.key",
    "appRole.mount": "auth.appRole.path",
    "appRole.roleId": "auth.appRole.roleId",
    "appRole.secret": "auth.appRole.secretRef.name",
    "appRole.key": "auth.appRole.secretRef.key",
    "kubernetes.mount": "auth.kubernetes.mountPath",
    "kubernetes.role": "auth.kubernetes.role",
    "kubernetes.secret": "auth.kubernetes.secretRef.name",
    "kubernetes.key": "auth.kubernetes.secretRef.key",
    "kubernetes.serviceAccount": "auth.kubernetes.serviceAccountRef.name",
}


def _joined(name: str) -> str:
    """Return ``appRoleMount`` for ``appRole.mount``."""
    first, last = name.split(".")
    return first + last[0].upper() + last[1:]


def _upper(name: str) -> str:
    """Return ``APPROLE_MOUNT`` for ``appRole.mount``."""
    return name.replace(".", "_").upper()


#: Shape -> its field -> the field of ``spec.vault``.
_FIELDS: dict[str, dict[str, str]] = {
    "flat": {"url": "server", "mount": "mount", "role": "role", "ca": "ca"}
    | {_joined(name): field for name, field in _LOGINS.items()},
    "auth-object": {"connection.address": "server", "connection.signPath": "path", "connection.ca": "ca"}
    | {f"auth.{name}": field for name, field in _LOGINS.items()},
    "configmap": {"VAULT_ADDR": "server", "VAULT_PATH": "path", "ca.crt": "ca"}
    | {_upper(name): field for name, field in _LOGINS.items()},
}
NAMES = tuple(_FIELDS)


@dataclass(frozen=True)
class _Reference:
    """The other object that an issuer of a shape refers to.

    :ivar resource: its type; :ivar field: of ``spec``, with its name; :ivar content: where it has its part.
    """

    resource: Resource
    field: str
    content: str


class ShapedCluster(Cluster):
    """Translates issuers as they are read; what they refer to is read with them.

    :param shape: one of :data:`NAMES`.
    """

    def __init__(self, kubeconfig: str, shape: str, *, rate: float = 0.0) -> None:
        super().__init__(kubeconfig, rate=rate)
        self._shape = shape
        self._kinds: list[Resource] = []
        self._home = ""
        self._reference: _Reference | None = None

    def translate(self, kinds: list[Resource], home: str) -> None:
        """Translate objects of these kinds from now on.

        :param home: where the objects are that cluster-scoped issuers refer to.
        """
        self._kinds, self._home = kinds, home
        if self._shape == "auth-object":
            resource = self.discover(kinds[0].api_version, "VaultAuth")
            self._reference = _Reference(resource, "authRef", "spec")
        elif self._shape == "configmap":
            self._reference = _Reference(Resource("", "v1", "ConfigMap", "configmaps"), "configMapName", "data")

    def watch_references(self, issuers: list[Watcher]) -> Iterable[Watcher]:
        """Return watchers that have issuers looked at again when what they refer to changes."""
        if self._reference is None:
            return []
        reference = self._reference
        watcher = Watcher(self, reference.resource)

        def changed(old: Object | None, new: Object | None) -> None:
            key = key_of(new or old or {})
            for kind in issuers:
                for item in kind.items():
                    if (self._home_of(item), _at(item["spec"], reference.field)) == key:
                        kind.refresh(key_of(item))

        watcher.on_change(changed)
        return [watcher]

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return an object as it is now, None when there is none."""
        item = super().find(resource, namespace, name)
        return item and self._translated(resource, item)

    def list_all(self, resource: Resource, namespace: str = "") -> tuple[list[Object], str]:
        """Return all objects of a type, and the resource version they are of."""
        items, version = super().list_all(resource, namespace)
        return [self._translated(resource, item) for item in items], version

    def watch(self, resource: Resource, version: str) -> Iterator[Object]:
        """Yield watch events."""
        for event in super().watch(resource, version):
            if event["type"] in ("ADDED", "MODIFIED"):
                event = event | {"object": self._translated(resource, event["object"])}
            yield event

    def _home_of(self, item: Object) -> str:
        return str(item["metadata"].get("namespace", self._home))

    def _translated(self, resource: Resource, item: Object) -> Object:
        if resource not in self._kinds:
            return item
        values: Any = item.get("spec", {})
        if self._reference is not None:
            name = _at(values, self._reference.field)
            other = super().find(self._reference.resource, self._home_of(item), name) if name else None
            content = (other or {}).get(self._reference.content, {})
            values = content if self._shape == "configmap" else values | {"auth": content}
        return item | {"spec": item.get("spec", {}) | {"vault": block(self._shape, values)}}


def secret_namespace(item: Object, otherwise: str) -> str:
    """Return the namespace of the Secrets that a cluster-scoped issuer refers to; only ``flat`` has a field for it."""
    return _at(item.get("spec", {}), "secretNamespace") or otherwise


def block(shape: str, values: Any) -> dict[str, Any]:
    """Return what a shape's fields say, as ``spec.vault`` says it."""
    vault: dict[str, Any] = {"auth": {}}
    for name, field in _FIELDS[shape].items():
        value = values.get(name) if shape == "configmap" else _at(values, name)
        if value is None:
            continue
        if field.endswith("mountPath") and value:
            value = f"/v1/auth/{value}"
        inner = vault
        *parents, last = field.split(".")
        for part in parents:
            inner = inner.setdefault(part, {})
        inner[last] = value
    if "ca" in vault:
        vault["caBundle"] = base64.b64encode(vault.pop("ca").encode()).decode()
    if mount := vault.pop("mount", ""):
        vault["path"] = f"{mount}/sign/{vault.pop('role', '')}"
    return vault


def _at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
