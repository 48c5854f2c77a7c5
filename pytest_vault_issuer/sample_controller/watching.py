"""Keeps a copy of all objects of a type and reports every change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from .cluster import Cluster, ClusterError, Object, Resource

#: Called with the old object (None if it is new) and the new one (None if it is deleted).
Handler = Callable[[Object | None, Object | None], None]
#: (namespace, name); the namespace of a cluster-scoped object is ''.
Key = tuple[str, str]

#: Seconds before a failed connection is retried.
RECONNECT_DELAY = 1.0
#: The API server's status if a resource version is too old.
GONE = 410

log = logging.getLogger(__name__)


def key_of(item: Object) -> Key:
    """Return the namespace and name of an object."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


class Watcher:
    """The objects of one type, as the API server last reported them.

    :ivar resource: their type.
    """

    def __init__(self, cluster: Cluster, resource: Resource) -> None:
        self.resource = resource
        self._cluster = cluster
        self._handlers: list[Handler] = []
        self._items: dict[Key, Object] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def on_change(self, handler: Handler) -> None:
        """Register a function that is called after every change, one call at a time; use before :meth:`start`."""
        self._handlers.append(handler)

    def start(self) -> None:
        """Watch in a thread of its own."""
        threading.Thread(target=self._run, name=self.resource.plural, daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()

    def items(self) -> list[Object]:
        """Return all objects."""
        with self._lock:
            return list(self._items.values())

    def refresh(self, key: Key) -> None:
        """Read an object again after something else changed it, and report the change."""
        self._change(key, self._cluster.find(self.resource, *key))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                version = self._list()
                self._follow(version)
            except ClusterError as error:
                log.warning("listing %s: %s", self.resource.plural, error)
                self._stopped.wait(RECONNECT_DELAY)

    def _list(self) -> str:
        """Read all objects; return the resource version to watch from."""
        items, version = self._cluster.list_all(self.resource)
        present = {key_of(item): item for item in items}
        for key in [key for key in self._items if key not in present]:
            self._change(key, None)
        for key, item in present.items():
            self._change(key, item)
        return version

    def _follow(self, version: str) -> None:
        """Apply every change since a resource version, until the API server no longer has it."""
        while not self._stopped.is_set():
            try:
                for event in self._cluster.watch(self.resource, version):
                    if event["type"] == "ERROR":
                        raise ClusterError(event["object"].get("code", 0), event["object"].get("message", ""))
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._take_over(event["type"], event["object"])
            except ClusterError as error:
                if error.code == GONE:
                    return
                log.info("watching %s: %s", self.resource.plural, error)
                self._stopped.wait(RECONNECT_DELAY)

    def _take_over(self, kind: str, item: Object) -> None:
        if kind in ("ADDED", "MODIFIED"):
            self._change(key_of(item), item)
        elif kind == "DELETED":
            self._change(key_of(item), None)

    def _change(self, key: Key, new: Object | None) -> None:
        with self._lock:
            old = self._items.pop(key, None)
            if new is not None:
                self._items[key] = new
        for handler in self._handlers:
            handler(old, new)
