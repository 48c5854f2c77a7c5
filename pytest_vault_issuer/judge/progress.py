"""The session of a pytest configuration, and progress on its terminal."""

from __future__ import annotations

import contextlib

import pytest

from ..session.session import Session
from ..text import printable

#: Where a pytest configuration keeps its session.
SESSION_KEY = pytest.StashKey[Session]()


def say(config: pytest.Config, line: str) -> None:
    """Print a line of progress, redacted, even while pytest captures output.

    If the output cannot be written, pytest notices it with its next line, and ends the session.
    """
    line = printable(config.stash[SESSION_KEY].redactor.redact(line))
    capture = config.pluginmanager.getplugin("capturemanager")
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is None:
        return
    disabled = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
    with disabled, contextlib.suppress(OSError):
        terminal.ensure_newline()
        terminal.write_line(line)
        terminal.flush()
