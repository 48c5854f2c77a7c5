"""Keeps tests that hold the controller apart from the others, if it has too few workers for both."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from ..session.session import Session

#: The marker of tests that hold the controller: hanging or failing Vaults, requests that the proxy holds.
HOLDS = "holds_controller"


class Schedule:
    """Runs tests marked with :data:`HOLDS` alone among all processes of a session, if the controller has few workers.

    With enough workers, or in one process, it does nothing.
    """

    def __init__(self, run: Session) -> None:
        self._run = run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for the test's turn, before anything of it is set up."""
        pace = self._run.pace if hasattr(item.config, "workerinput") else None
        if pace is None or not pace.few_workers:
            return (yield)
        with turn(self._run.directory.path, alone=item.get_closest_marker(HOLDS) is not None):
            return (yield)


@contextlib.contextmanager
def turn(directory: Path, *, alone: bool) -> Iterator[None]:
    """Hold a lock between processes: exclusive or shared; the system releases it when a process ends.

    Everyone enters through a gate, in which who waits to be alone stays: others that come later wait behind it.
    """
    operation = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with _locked(directory / "gate.lock", fcntl.LOCK_EX) as gate, _locked(directory / "turn.lock", operation):
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def _locked(path: Path, operation: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, operation)
        yield descriptor
    finally:
        os.close(descriptor)
