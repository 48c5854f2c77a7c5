"""A queue of keys to reconcile: each key once at a time, failures again after growing delays."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

#: Seconds before the first retry of a key; each further delay is twice as long.
FIRST_DELAY = 0.5
#: The longest delay in seconds.
LONGEST_DELAY = 5.0
#: The longest time in seconds that a server can ask to wait.
LONGEST_PAUSE = 300.0

log = logging.getLogger(__name__)


class TryAgainError(Exception):
    """A key must be reconciled again, and no event will trigger it."""


class WorkQueue(Generic[Key]):
    """Keys to reconcile, by the time when they are due.

    A key is in the queue once, no matter how often it is added, and one worker
    at a time gets it. A key that is added while a worker has it is due again
    afterwards.
    """

    def __init__(self, *, first_delay: float = FIRST_DELAY, longest_delay: float = LONGEST_DELAY) -> None:
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._due: dict[Key, float] = {}
        self._taken: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._closed = False
        self._changed = threading.Condition()

    def set_delays(self, first: float, longest: float) -> None:
        """Change the seconds before the first retry of a key, and the most before any retry."""
        with self._changed:
            self._first_delay, self._longest_delay = first, longest

    def add(self, key: Key, *, delay: float = 0.0) -> None:
        """Add a key that is due in `delay` seconds, or sooner if it is in the queue already."""
        due = time.monotonic() + delay
        with self._changed:
            self._due[key] = min(due, self._due.get(key, due))
            self._changed.notify_all()

    def retry(self, key: Key, *, at_least: float = 0.0) -> float:
        """Add a key again after a delay that doubles with each failure; return it in seconds.

        :param at_least: the shortest delay in seconds.
        """
        with self._changed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            delay = min(self._first_delay * 2.0 ** min(failures, 30), self._longest_delay)
        delay = max(delay, min(at_least, LONGEST_PAUSE))
        self.add(key, delay=delay)
        return delay

    def forget(self, key: Key) -> None:
        """Reset the failures of a key."""
        with self._changed:
            self._failures.pop(key, None)

    def take(self) -> Key | None:
        """Wait for a key that is due and return it; None once the queue is closed.

        The caller must call :meth:`done` afterwards.
        """
        with self._changed:
            while not self._closed:
                key = self._first()
                wait = self._due[key] - time.monotonic() if key is not None else None
                if key is not None and wait is not None and wait <= 0:
                    del self._due[key]
                    self._taken.add(key)
                    return key
                self._changed.wait(wait)
            return None

    def done(self, key: Key) -> None:
        """Return a key that was taken."""
        with self._changed:
            self._taken.discard(key)
            self._changed.notify_all()

    def close(self) -> None:
        """Close the queue: callers that wait for a key get None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _first(self) -> Key | None:
        """Return the key that is due first, of those that no worker has."""
        free = [key for key in self._due if key not in self._taken]
        return min(free, key=self._due.__getitem__, default=None)


def pause_asked_for(error: BaseException | None) -> float:
    """Return the seconds that a server asked to wait: the most that an error and its causes state, 0 for none."""
    asked = 0.0
    while error is not None:
        asked, error = max(asked, getattr(error, "retry_after", 0.0)), error.__cause__
    return asked


#: Whether this replica may work; one that may have lost its lease may not.
_guards: list[Callable[[], bool]] = []


def set_guard(guard: Callable[[], bool]) -> None:
    """Let workers reconcile only while `guard` returns True; otherwise they keep their key for later."""
    _guards[:] = [guard]


def work(queue: WorkQueue[Key], reconcile: Callable[[Key], None]) -> None:
    """Reconcile one key after the other until the queue is closed."""
    while (key := queue.take()) is not None:
        try:
            if not all(guard() for guard in _guards):
                raise TryAgainError("another replica may work")
            reconcile(key)
        except TryAgainError as error:
            delay = queue.retry(key, at_least=pause_asked_for(error))
            log.info("%s: again in %g s: %s", key, delay, error)
        except Exception as error:
            # Without its message, which may contain a secret.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.warning("%s: %s, again in %g s\n%s", key, type(error).__name__, queue.retry(key), where)
        else:
            queue.forget(key)
        finally:
            queue.done(key)


def start_workers(queue: WorkQueue[Key], reconcile: Callable[[Key], None], count: int) -> None:
    """Start `count` threads that :func:`work`."""
    for _ in range(count):
        threading.Thread(target=work, args=(queue, reconcile), daemon=True).start()
