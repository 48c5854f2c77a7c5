"""Signals that end a process as Ctrl-C does, and work that the first signal does not interrupt."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

#: Signals that end a process at once unless it handles them. Python handles SIGINT itself.
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # no SIGHUP on Windows


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end. Its text is the name of the signal."""


def stop_in_order() -> Callable[[], None]:
    """Make SIGTERM and SIGHUP raise :class:`Stopped`, and return a function that restores them.

    A signal that is ignored, as with ``nohup``, or that has another handler is left alone.
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
    """Ignore the first signal that would interrupt this context; the next one ends it.

    :param what: the work, in the words of the message that the first signal prints.
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
        message = f"\nvault-issuer: {what}; send {signal.Signals(number).name} again to stop at once\n"
        with contextlib.suppress(OSError):
            os.write(2, message.encode())

    for number in ours:
        signal.signal(number, hold)
    try:
        yield
    finally:
        restore()
