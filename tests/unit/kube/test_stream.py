"""One watch for many waits: every state is tested in order, and what the watch does not show is watched by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import Any

import pytest

from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.kube import stream as module
from pytest_vault_issuer.kube.client import CERTIFICATE_REQUESTS, Cluster
from pytest_vault_issuer.kube.stream import Stream
from pytest_vault_issuer.timeouts import Bound

Event = tuple[str, dict[str, Any]]
KEY = ("here", "mine")
MARK = {"test/process": "a"}


def state(version: int, value: str = "", *, name: str = "mine", labels: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"namespace": "here", "name": name, "resourceVersion": str(version), "labels": labels or {}}
    return {"metadata": metadata, "value": value}


class Watch:
    """A watch whose events a test sends."""

    def __init__(self, *events: Event) -> None:
        self._events: SimpleQueue[Event | Exception | None] = SimpleQueue()
        for event in events:
            self._events.put(event)
        self.send = self._events.put

    def __call__(self) -> Iterator[Event]:
        while (event := self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def stream(self) -> Stream:
        return Stream(self, lambda: self.send(None))


def test_every_state_is_tested_in_order() -> None:
    watch, seen = Watch(("ADDED", state(3))), list[int]()
    reached = threading.Event()

    def until(item: dict[str, Any]) -> bool:
        seen.append(int(item["metadata"]["resourceVersion"]))
        reached.set()
        return seen[-1] == 6

    with closing(watch.stream()) as stream, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stream.wait, KEY, 3, until, bound=Bound(10))
        assert reached.wait(10)
        for version in (4, 5, 6, 7):
            watch.send(("MODIFIED", state(version)))
        assert waiting.result(10) == (True, state(6))
    assert seen == [3, 4, 5, 6]


def test_state_from_before_the_last_call_does_not_count() -> None:
    watch = Watch(("ADDED", state(3, "old")), ("MODIFIED", state(4, "new")))
    with closing(watch.stream()) as stream:
        assert stream.wait(KEY, 4, bool, bound=Bound(10)) == (True, state(4, "new"))


def test_state_of_before_the_wait_counts() -> None:
    watch = Watch(("ADDED", state(3)), ("ADDED", state(4, name="other")))
    with closing(watch.stream()) as stream:
        assert stream.wait(("here", "other"), 4, bool, bound=Bound(10)) == (True, state(4, name="other"))
        assert stream.wait(KEY, 3, bool, bound=Bound(10)) == (True, state(3))


def test_wait_ends_at_its_bound_with_the_last_state() -> None:
    with closing(Watch(("ADDED", state(3))).stream()) as stream:
        assert stream.wait(KEY, 3, lambda _: False, bound=Bound(0.1)) == (False, state(3))


def test_repeated_state_is_tested_once() -> None:
    watch, seen = Watch(("ADDED", state(3)), ("ADDED", state(3)), ("MODIFIED", state(4))), list[dict[str, Any]]()
    with closing(watch.stream()) as stream:
        stream.wait(KEY, 3, lambda item: (seen.append(item), item == state(4))[1], bound=Bound(10))
    assert seen == [state(3), state(4)] or seen == [state(4)]


@pytest.mark.parametrize("end", [("DELETED", state(4)), StackError("no answer")], ids=["deleted", "failed"])
def test_object_that_the_watch_no_longer_shows_ends_the_wait(end: Event | Exception) -> None:
    watch, reached = Watch(("ADDED", state(3))), threading.Event()
    with closing(watch.stream()) as stream, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stream.wait, KEY, 3, lambda _: reached.set(), bound=Bound(60))  # type: ignore[arg-type]
        assert reached.wait(10)
        watch.send(end)
        assert waiting.result(10) is None
        assert isinstance(end, tuple) or stream.wait(KEY, 3, bool, bound=Bound(60)) is None


def test_object_that_the_watch_never_shows_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LAG", 0.05)
    with closing(Watch(("ADDED", state(3))).stream()) as stream:
        assert stream.wait(KEY, 4, bool, bound=Bound(60)) is None


# -- in a client ----------------------------------------------------------------------------------


class Fake(Cluster):
    """A client whose watches of one object, and its calls, a test answers."""

    def __init__(self, followed: Watch, *alone: Event, present: dict[str, Any] | None = None) -> None:
        self.mark: dict[str, str] = {}
        self._versions, self._streams, self._starting = {}, {}, threading.Lock()
        self._announce = lambda _: None
        self._followed, self._alone, self._present = followed, alone, present
        self.watched: list[tuple[str | None, str]] = []

    def watch(self, *arguments: Any, labels: str = "", **options: Any) -> Iterator[Event]:
        self.watched.append((arguments[2], labels))
        if not labels:
            return iter(self._alone)
        return self._followed()

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return options.get("body") or self._present or {}

    def find(self, *_: Any) -> dict[str, Any] | None:
        return self._present


def wait(cluster: Cluster, until: Any = bool, seconds: float = 10) -> tuple[bool, dict[str, Any] | None]:
    return cluster.wait(CERTIFICATE_REQUESTS, "mine", "here", until, timeout=seconds)


def test_own_objects_are_followed_and_others_watched() -> None:
    own, other = state(3, labels=MARK), state(3)
    cluster = Fake(Watch(("ADDED", own)), ("ADDED", other)).marking(MARK)
    cluster.create(CERTIFICATE_REQUESTS, other)
    assert wait(cluster) == (True, other)
    cluster.create(CERTIFICATE_REQUESTS, own)
    for _ in range(2):
        assert wait(cluster) == (True, own)
    assert cluster.watched == [("mine", ""), (None, "test/process=a")]  # type: ignore[attr-defined]


def test_version_that_a_call_returned_is_awaited() -> None:
    watch = Watch(("ADDED", state(3, labels=MARK)), ("MODIFIED", state(5, labels=MARK)))
    cluster = Fake(watch, present=state(5, labels=MARK)).marking(MARK)
    cluster.create(CERTIFICATE_REQUESTS, state(3, labels=MARK))
    cluster.get(CERTIFICATE_REQUESTS, "mine", "here")
    assert wait(cluster) == (True, state(5, labels=MARK))


def test_object_that_lost_its_label_is_watched_by_itself() -> None:
    bare = state(6, "bare")
    watch = Watch(("ADDED", state(3, labels=MARK)), ("DELETED", state(5, labels=MARK)))
    cluster = Fake(watch, ("ADDED", bare)).marking(MARK)
    cluster.create(CERTIFICATE_REQUESTS, state(3, labels=MARK))
    assert wait(cluster, lambda item: item == bare) == (True, bare)


@pytest.mark.parametrize(
    ("present", "expected"),
    [(state(3, labels=MARK), False), (state(4, labels=MARK), True), (None, False)],
    ids=["the same", "a newer state", "gone"],
)
def test_object_is_read_when_the_bound_expires(present: dict[str, Any] | None, expected: bool) -> None:
    cluster = Fake(Watch(("ADDED", state(3, labels=MARK))), present=present).marking(MARK)
    cluster.create(CERTIFICATE_REQUESTS, state(3, labels=MARK))
    assert wait(cluster, lambda item: item == state(4, labels=MARK), 0.1) == (expected, present)


def test_failed_watch_is_started_again() -> None:
    own, watch = state(3, labels=MARK), Watch(("ADDED", state(3, labels=MARK)), StackError("no answer"))
    cluster = Fake(watch, ("ADDED", own)).marking(MARK)
    cluster.create(CERTIFICATE_REQUESTS, own)
    assert wait(cluster, lambda item: item == own) == (True, own)
    first = cluster._streams[CERTIFICATE_REQUESTS]
    first._thread.join(10)
    watch.send(("ADDED", own))
    assert wait(cluster) == (True, own)
    assert cluster._stream(CERTIFICATE_REQUESTS) is not first
