"""What tests learn about the controller's process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_vault_issuer.errors import NotRunnable
from pytest_vault_issuer.implementation.control import ControllerProcess


class OneProcess:
    """A run directory with one process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def process_id(self, name: str) -> int:
        return self.pid


def test_memory_is_that_of_the_process() -> None:
    memory = ControllerProcess(OneProcess(os.getpid())).memory()  # type: ignore[arg-type]
    assert memory > 1024 * 1024


def test_memory_of_an_ended_process_cannot_be_read() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(NotRunnable, match="ps does not show the memory"):
        ControllerProcess(OneProcess(ended.pid)).memory()  # type: ignore[arg-type]
