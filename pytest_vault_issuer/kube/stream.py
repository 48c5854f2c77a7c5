"""One watch that serves many waits: it follows the objects of a type that carry a label.

A watch of its own for each wait costs a connection with its TLS handshake, and the API server has to set it up: about
3 ms of CPU time, for thousands of waits in a session.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import StackError
from ..timeouts import Bound

Object = dict[str, Any]
#: Namespace (None for a cluster-scoped object) and name.
Key = tuple[str | None, str]
#: Seconds in which the watch must report a state that the API server has already returned.
_LAG = 2.0


class Stream:
    """Follows objects in a thread until it is closed, or until the watch fails.

    :param watch: yields pairs of event type and object, the present state of each object first.
    :param interrupt: ends the watch.
    """

    def __init__(self, watch: Callable[[], Iterator[tuple[str, Object]]], interrupt: Callable[[], None]) -> None:
        self._watch = watch
        self._interrupt = interrupt
        self._lock = threading.Lock()
        self._states: dict[Key, Object] = {}
        self._waiting: defaultdict[Key, list[SimpleQueue[Object | None]]] = defaultdict(list)
        self._ended = False
        self._thread = threading.Thread(target=self._follow, name="stream of objects", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether it follows nothing any more."""
        return self._ended

    def close(self) -> None:
        """End the watch."""
        self._interrupt()
        self._thread.join()

    def wait(
        self, key: Key, version: int, until: Callable[[Object], bool], *, bound: Bound
    ) -> tuple[bool, Object | None] | None:
        """Wait until a condition is true of an object. Each of its states is tested, in order.

        :param version: the resourceVersion of the object when it was last seen; older states do not count.
        :return: whether it became true, and the last state of the object; None if the watch does not show the object:
            it was deleted, it lost its label, or the watch failed.
        """
        states: SimpleQueue[Object | None] = SimpleQueue()
        with self._lock:
            if self._ended:
                return None
            self._waiting[key].append(states)
            if key in self._states:
                states.put(self._states[key])
        try:
            return _wait(states, version, until, bound)
        finally:
            with self._lock:
                self._waiting[key].remove(states)
                if not self._waiting[key]:
                    del self._waiting[key]

    def _follow(self) -> None:
        try:
            for kind, item in self._watch():
                metadata = item["metadata"]
                self._report((metadata.get("namespace"), metadata["name"]), None if kind == "DELETED" else item)
        except StackError:
            pass  # who waits watches the object itself, and gets the error
        finally:
            with self._lock:
                self._ended = True
                for waiting in self._waiting.values():
                    for states in waiting:
                        states.put(None)

    def _report(self, key: Key, state: Object | None) -> None:
        with self._lock:
            if state is None:
                self._states.pop(key, None)
            elif key in self._states and version_of(self._states[key]) == version_of(state):
                return  # a new watch begins with the present states
            else:
                self._states[key] = state
            for states in self._waiting.get(key, ()):
                states.put(state)


def _wait(
    states: SimpleQueue[Object | None], version: int, until: Callable[[Object], bool], bound: Bound
) -> tuple[bool, Object | None] | None:
    last: Object | None = None
    while (left := bound.left()) > 0:
        try:
            state = states.get(timeout=left if last else min(left, _LAG))
        except Empty:
            if last is None:
                return None
            continue
        if state is None:
            return None
        if version_of(state) >= version:
            last = state
            if until(state):
                return True, state
    return False, last


def version_of(item: Object) -> int:
    """Return an object's resourceVersion. The versions of a type are numbers that grow."""
    return int(item["metadata"]["resourceVersion"])
