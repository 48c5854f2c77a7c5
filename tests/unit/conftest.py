"""Isolates unit tests from the machine: its options, toolchain, temporary files and container engine."""

from __future__ import annotations

import os
import select
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.clock import Clock
from tests.support.reader import WITHOUT_HYPOTHESIS

# The same examples on every machine and in every run. A failing example becomes an @example of its test.
hypothesis.settings.register_profile(
    "vault-issuer", derandomize=True, deadline=None, database=None, print_blob=True, max_examples=150
)
hypothesis.settings.load_profile("vault-issuer")

#: Seconds after which an event that a test waits for will not happen.
LIMIT = 60


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove options from the environment, and use an empty toolchain cache."""
    for name in list(os.environ):
        if name.startswith("VAULT_ISSUER") or name in ("KUBEBUILDER_ASSETS", "PYTEST_ADDOPTS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VAULT_ISSUER_CACHE", str(tmp_path_factory.getbasetemp() / "no-toolchain"))
    # Unit tests neither see nor remove what killed sessions left.
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/docker.sock")
    # If a test starts a stack by mistake, it fails instead of building one.
    monkeypatch.setenv("VAULT_ISSUER_GO", "/no/go")
    monkeypatch.setenv("VAULT_ISSUER_SOURCES", "build")
    # A release contains CRDs, and a clone does not.
    monkeypatch.setattr("pytest_vault_issuer.toolchain.cache.SHIPPED", tmp_path_factory.getbasetemp() / "no-crds")


@pytest.fixture(autouse=True)
def _inner_sessions_without_hypothesis(request: pytest.FixtureRequest) -> None:
    """Leave a plugin of these tests out of the sessions that they run in processes of their own."""
    if "pytester" in request.fixturenames:
        pytester: pytest.Pytester = request.getfixturevalue("pytester")
        pytester.plugins.append(WITHOUT_HYPOTHESIS[1])


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """Return a directory with a short path, because the path of a Unix socket must fit into about 100 bytes."""
    path = Path(tempfile.mkdtemp(prefix="vi-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a monotonic clock that the test controls."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


class Watch:
    """Waits for the end of processes that are not children of this one (Linux)."""

    def __init__(self) -> None:
        self._descriptors: dict[int, int] = {}

    def add(self, pid: int) -> int:
        """Watch a running process."""
        self._descriptors[pid] = os.pidfd_open(pid)
        return pid

    def running(self, pid: int) -> bool:
        """Return whether a process is running."""
        return not select.select([self._descriptors[pid]], [], [], 0)[0]

    def left(self) -> list[int]:
        """Wait until all processes have ended; return those that have not."""
        deadline = time.monotonic() + LIMIT
        return [
            pid
            for pid, descriptor in self._descriptors.items()
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
        ]

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)


@pytest.fixture
def watch() -> Iterator[Watch]:
    if not hasattr(os, "pidfd_open"):
        pytest.skip("needs pidfd_open (Linux)")
    watch = Watch()
    yield watch
    watch.close()
