"""The objects that a shape adds to an issuer object: a connection, an auth object, a ConfigMap or a Secret."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..kube.client import ApiError, Cluster, Object, Resource

_Key = tuple[Resource, str, str | None]


class Companions:
    """The additional objects of one issuer object. They are created before it and deleted with it.

    :param home: the namespace of objects that name none.
    :param labels: labels of each object.
    """

    def __init__(self, cluster: Cluster, home: str, labels: dict[str, str]) -> None:
        self._cluster = cluster
        self._home = home
        self._labels = labels
        self._present: list[_Key] = []

    def update(self, objects: Iterable[Object]) -> None:
        """Create, change and delete objects, so that exactly these exist.

        :raises ApiError: if the API server refuses one.
        """
        wanted: list[_Key] = []
        for item in objects:
            resource, located = self._cluster.located(item, self._home)
            metadata = located["metadata"]
            key = (resource, metadata["name"], metadata.get("namespace"))
            wanted.append(key)
            if key in self._present:
                rewrite(self._cluster, key, located)
            else:
                labels = {**(metadata.get("labels") or {}), **self._labels}
                self._cluster.create(resource, {**located, "metadata": {**metadata, "labels": labels}})
                self._present.append(key)
        for key in [key for key in self._present if key not in wanted]:
            self._cluster.delete(*key)
            self._present.remove(key)

    def delete(self) -> None:
        """Delete all of them."""
        for key in self._present:
            self._cluster.delete(*key)
        self._present.clear()

    def get(self) -> list[Object]:
        """Return the objects that exist."""
        found = (self._cluster.find(*key) for key in self._present)
        return [item for item in found if item is not None]


def rewrite(cluster: Cluster, key: _Key, rendered: Object) -> None:
    """Replace an object by a rendered one; metadata and status stay."""
    for attempt in range(10):
        current = cluster.get(*key)
        kept: dict[str, Any] = {name: current[name] for name in ("metadata", "status") if name in current}
        body = {name: value for name, value in rendered.items() if name not in ("metadata", "status")} | kept
        if body == current:
            return
        try:
            cluster.replace(key[0], body)
        except ApiError as error:
            if error.code != 409 or attempt == 9:
                raise
        else:
            return
