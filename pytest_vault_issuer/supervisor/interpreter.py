"""Starts modules of this package in processes of their own, wherever this process has found them."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package with this interpreter.

    Its working directory is not looked in for modules.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return what such a command needs in its environment to find what this process finds.

    For commands of our own alone: those of users have an environment that does not depend on how pytest was started.
    """
    found = dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path)
    return {"PYTHONPATH": os.pathsep.join(entry for entry in found if os.pathsep not in entry)}
