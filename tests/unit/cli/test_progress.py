"""Progress: separate lines without a terminal, one updated line with a terminal."""

from __future__ import annotations

import io
import os
import pty

from pytest_vault_issuer.cli.progress import Progress
from pytest_vault_issuer.timeouts import poll
from tests.unit.conftest import LIMIT


def test_plain_lines_without_a_terminal() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress("first")
        progress("second")
    assert stream.getvalue() == "first\nsecond\n"


def test_a_line_that_moves_and_stays_with_its_duration() -> None:
    ours, theirs = pty.openpty()
    seen = b""

    def read(what: bytes) -> bool:
        def probe() -> bool | None:
            nonlocal seen
            seen += os.read(ours, 10_000)
            return True if what in seen else None

        return bool(poll(probe, timeout=LIMIT))

    with os.fdopen(theirs, "w") as stream:
        with Progress(stream) as progress:
            progress("first")
            assert read(b"/ first 0 s"), "it moves by itself"
            progress("second")
        assert read(b"second (0.0 s)\r\n")
    assert b"\x1b[Kfirst (0." in seen
    os.close(ours)
