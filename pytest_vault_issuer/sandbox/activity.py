"""Measures when the controller is busy: from requests at the proxies of the session, its API calls, and its log.

Each process of a session appends the requests at its proxies to its own file in the session's directory, and reads the
files of the other processes. All times are of the monotonic clock, which the processes of a machine share.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ..errors import StackError
from ..proxy.exchange import Route
from ..proxy.recorder import Observer
from ..timeouts import Bound, Busy
from .pace import Pace

#: Seconds for which the controller counts as busy after a request or an API call. Its next step may be invisible, such
#: as the pause before Vault's client retries, or a delay by client-side rate limiting.
RECENT = 2.5
#: Requests that a failure shows.
SHOWN = 10

Interval = tuple[float, float]


class Log(Protocol):
    """A log that can be read in parts."""

    def mark(self) -> str:
        """Return a mark for the current end of the log."""

    def since(self, mark: str) -> str:
        """Return the text written since a mark."""


@dataclass(frozen=True)
class Request:
    """A request at a proxy of the session.

    :ivar process: name of the file that records it; each process has its own.
    :ivar test: the test whose proxy received it, '' for none.
    :ivar began: monotonic seconds; :ivar ended: likewise, None while the request is in progress.
    """

    process: str
    route: str
    test: str
    began: float
    ended: float | None = None


class Activity(Observer):
    """Records the requests at the proxies of this process, and computes when the controller was busy.

    :param directory: where the processes of the session record requests; None records nothing.
    :param pace: the controller's pace; without it, the controller never counts as busy.
    :param stretch: maximum extension of a wait, in seconds.
    :param audit: path of the API server's audit log, and the controller's user name in it; None if it is not readable.
    :param log: the controller's log, used if there is no audit log.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        pace: Pace | None = None,
        stretch: float = 0.0,
        audit: tuple[Path, str] | None = None,
        log: Log | None = None,
    ) -> None:
        self._directory = directory
        self._pace = pace
        self._stretch = stretch
        self._audit = audit
        self._log = log if audit is None else None
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._file: int | None = None
        self._offsets: dict[Path, int] = {}
        self._requests: dict[tuple[str, int], Request] = {}
        #: Start of the last wait that exceeded its bound (monotonic seconds).
        self.waiting_since = 0.0

    # -- recording ------------------------------------------------------------------

    @contextlib.contextmanager
    def request(self, route: Route) -> Iterator[None]:
        """Record a request: its start, and its end when the block ends."""
        number = next(self._numbers)
        # pytest sets this variable: "path::test (call)"
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        self._append([number, time.monotonic(), route.value, _short(test)])
        try:
            yield
        finally:
            self._append([number, time.monotonic()])

    def _append(self, entry: list[Any]) -> None:
        if self._directory is None:
            return
        line = json.dumps(entry).encode() + b"\n"
        # This is only evidence. A full disk or a removed directory must not fail a request.
        with contextlib.suppress(OSError), self._lock:
            if self._file is None:
                self._directory.mkdir(mode=0o700, exist_ok=True)
                path = self._directory / f"{self._name}.jsonl"
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                weakref.finalize(self, os.close, self._file)
            os.write(self._file, line)

    # -- reading --------------------------------------------------------------------

    def requests(self) -> list[Request]:
        """Return all requests at the proxies of the session so far."""
        if self._directory is None:
            return []
        with self._lock:
            for path in self._directory.glob("*.jsonl"):
                self._read(path)
            return list(self._requests.values())

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offsets[path] = self._offsets.get(path, 0) + len(line)
                number, at, *about = json.loads(line)
                key = path.stem, number
                if about:
                    self._requests[key] = Request(path.stem, about[0], about[1], at)
                else:
                    self._requests[key] = replace(self._requests[key], ended=at)

    def others(self, since: float) -> list[Request]:
        """Return at most :data:`SHOWN` requests at proxies of other processes: those in progress first, longest first.

        :param since: start of the period (monotonic seconds).
        """
        now = time.monotonic()
        found = [
            request
            for request in self.requests()
            if request.process != self._name and (request.ended or now) >= since and _goes_on(request)
        ]
        return sorted(found, key=lambda r: (r.ended is not None, r.began - (r.ended or now)))[:SHOWN]

    # -- observing --------------------------------------------------------------------

    def bound(self, seconds: float) -> Bound:
        """Return the bound of a wait that starts now; time in which the controller is busy does not count."""
        return Bound(seconds, stretch=self._stretch, observe=self.observe)

    def observe(self) -> Busy:
        """Start to observe the controller; return a function that counts the seconds in which it has been busy."""
        level = self._pace.level if self._pace else None
        began = time.monotonic()
        audit_start = _size(self._audit[0]) if self._audit else 0
        logged: list[Interval] = []
        mark = ""

        def busy() -> float:
            nonlocal mark
            self.waiting_since = began
            if level is None:
                return 0.0
            now = time.monotonic()
            if level > 1:
                return covered([(r.began, r.ended or now) for r in self._going_on()], began, now, level)
            if self._log is not None:
                # The format of its timestamps is unknown, so only its growth since the last look counts.
                with contextlib.suppress(StackError):
                    if mark and self._log.since(mark):
                        logged.append((now - RECENT, now))
                    mark = self._log.mark()
            intervals = [*map(self._occupied, self._going_on()), *logged, *self._called(audit_start)]
            return covered(intervals, began, now)

        return busy

    def _going_on(self) -> list[Request]:
        return [request for request in self.requests() if _goes_on(request)]

    def _occupied(self, request: Request) -> Interval:
        """Return when a request kept a worker busy, from the view of a test that waits."""
        ended = request.ended or time.monotonic()
        if request.process == self._name:
            # If this test holds a request, it checks whether the controller goes on meanwhile.
            ended = min(ended, request.began + RECENT)
        return request.began, ended + RECENT

    def _called(self, start: int) -> Iterator[Interval]:
        """Yield when the controller was busy with API calls, from a position of the audit log on."""
        if self._audit is None:
            return
        path, user = self._audit
        offset = time.time() - time.monotonic()
        with contextlib.suppress(OSError), path.open("rb") as file:
            file.seek(start)
            for line in file:
                if user.encode() not in line or not line.endswith(b"\n"):
                    continue
                record = json.loads(line)
                # An idle controller renews its lease every few seconds, too.
                if record["user"]["username"] != user or record.get("objectRef", {}).get("resource") == "leases":
                    continue
                at = datetime.fromisoformat(record["stageTimestamp"]).timestamp() - offset
                yield at, at + RECENT


def covered(intervals: Iterable[Interval], since: float, until: float, level: int = 1) -> float:
    """Return the number of seconds in a period in which at least `level` intervals overlap."""
    edges = sorted(
        edge
        for began, ended in intervals
        if (first := max(began, since)) < (last := min(ended, until))
        for edge in ((first, 1), (last, -1))
    )
    total, depth, before = 0.0, 0, since
    for at, change in edges:
        if depth >= level:
            total += at - before
        depth, before = depth + change, at
    return total


def _goes_on(request: Request) -> bool:
    """Whether a request has ended or can still be in progress; a crashed process recorded no end."""
    if request.ended is not None:
        return True
    try:
        os.kill(int(request.process.partition("-")[0]), 0)
    except ProcessLookupError:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _short(test: str) -> str:
    """Return a test's node id with only the file name of its path."""
    path, separator, name = test.partition("::")
    return f"{Path(path).name}{separator}{name}"
