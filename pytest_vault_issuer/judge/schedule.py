"""Runs tests that need the controller or the stack exclusively apart from the others."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from ..session.session import Session

if sys.platform != "win32":  # the plugin is imported there, too, beside tests that do not use it
    import fcntl

#: The marker of tests that hold the controller: with a hanging or failing Vault, or with requests that the proxy holds.
HOLDS = "holds_controller"
#: The marker of tests that stop the controller or a component of the stack.
EXCLUSIVE = "exclusive"


class Schedule:
    """Runs tests marked with :data:`EXCLUSIVE` alone among all processes of a session.

    If the controller has few workers, those marked with :data:`HOLDS` run alone, too. In one process, it does nothing.
    """

    def __init__(self, run: Session) -> None:
        self._run = run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for the test's turn, before anything of it is set up."""
        if not hasattr(item.config, "workerinput") or not self._run.has_stack:
            return (yield)
        pace = self._run.pace
        few_workers = pace is not None and pace.few_workers
        alone = [EXCLUSIVE, *([HOLDS] if few_workers else [])]
        with turn(self._run.directory.path, alone=any(item.get_closest_marker(name) for name in alone)):
            return (yield)


@contextlib.contextmanager
def turn(directory: Path, *, alone: bool) -> Iterator[None]:
    """Hold a lock between processes: exclusive or shared. The system releases it when a process ends.

    Every process first takes the gate. A test that waits to run alone keeps the gate, so that later tests wait behind
    it.
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
