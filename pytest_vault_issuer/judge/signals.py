"""Signals that end a process in order, as Ctrl-C does, and work that they do not interrupt."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

#: What ends a process at once unless it handles them; Python handles SIGINT itself.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end; its text is the signal's name."""


def stop_in_order() -> Callable[[], None]:
    """Have SIGTERM and SIGHUP raise :class:`Stopped`, and return what restores them.

    A signal that is ignored, as with ``nohup``, or that somebody else handles is left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    ours = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _stop)

    def restore() -> None:
        for number in ours:
            if signal.getsignal(number) is _stop:
                signal.signal(number, signal.SIG_DFL)

    return restore


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)


@contextlib.contextmanager
def held_back(what: str) -> Iterator[None]:
    """Hold back the first signal that would interrupt the work of this context; the next one ends it.

    :param what: is done meanwhile, for people.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ENDING)}
    ours = [number for number, handler in before.items() if handler is not None and handler != signal.SIG_IGN]

    def restore() -> None:
        for number in ours:
            signal.signal(number, before[number])

    def hold(number: int, _frame: FrameType | None) -> None:
        restore()
        message = f"\nvault-issuer: {what}; {signal.Signals(number).name} once more ends at once\n"
        with contextlib.suppress(OSError):
            os.write(2, message.encode())

    for number in ours:
        signal.signal(number, hold)
    try:
        yield
    finally:
        restore()
