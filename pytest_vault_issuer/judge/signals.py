"""Signals that end a session: the first one in order, with a report, and the next one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

#: Signals that end a session. Windows has no SIGHUP.
_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
#: The handlers that a process has by default: no other code has set one.
_DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end. Its text is the name of the signal."""


class Signals:
    """Handles the signals that end a session.

    The first one raises ``KeyboardInterrupt`` or :class:`Stopped`. After :meth:`ends`, a signal ends the process at
    once: what it is waiting for may take minutes. The supervisor notices this, and removes what the session started.

    :param remains: returns a sentence about what the session started, for the last line of the process.
    """

    def __init__(self, remains: Callable[[], str]) -> None:
        self._remains = remains
        self._ours: list[int] = []
        self._ends = False

    def install(self) -> None:
        """Handle the signals that no other code handles or ignores; ``nohup`` ignores SIGHUP."""
        if threading.current_thread() is threading.main_thread():
            self._ours = [number for number in _ENDING if signal.getsignal(number) in _DEFAULT]
            for number in self._ours:
                signal.signal(number, self._handle)

    def restore(self) -> None:
        """Restore the handlers of :meth:`install`, except those that others have replaced since."""
        for number in self._ours:
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    def ends(self) -> None:
        """Let the next signal end the process at once."""
        self._ends = True

    @contextlib.contextmanager
    def held_back(self, what: str) -> Iterator[None]:
        """Do not let the first signal in this context interrupt it.

        :param what: the work, in the words of the message that this signal prints.
        """
        held = False

        def hold(number: int, _frame: FrameType | None) -> None:
            nonlocal held
            if held:
                self._end(number)
            held = True
            self.ends()
            _say(f"{what}; send {signal.Signals(number).name} again to stop at once")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _ENDING}
        ours = [number for number, handler in before.items() if handler is not None and handler != signal.SIG_IGN]
        for number in ours:
            signal.signal(number, hold)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._ends:
            self._end(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Stopped(signal.Signals(number).name)

    def _end(self, number: int) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the signal may have interrupted a write
                stream.flush()
        _say(f"stopped at once by {signal.Signals(number).name}: {self._remains()}")
        os._exit(128 + number)


def _say(message: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"\nvault-issuer: {message}\n".encode())
