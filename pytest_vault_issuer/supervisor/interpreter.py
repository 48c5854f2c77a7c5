"""Commands that run modules of this package in separate processes, from the same place as this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package with this interpreter.

    It does not import modules from its working directory (``-P``).
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return the environment variables with which such a command imports the same modules as this process.

    Only for commands of this package: the environment of other commands must not depend on how pytest was started.
    """
    found = dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path)
    return {"PYTHONPATH": os.pathsep.join(entry for entry in found if os.pathsep not in entry)}
