"""Checks what this machine can run. Each finding has a fix."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..toolchain import Toolchain
from .machine import ABSENT, BROKEN, OK, Finding, examine_machine
from .toolchain import examine_building

__all__ = ["ABSENT", "BROKEN", "OK", "Finding", "examine"]


def examine(toolchain: Toolchain | None = None, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Check everything that a session needs.

    :param toolchain: by default, the user's.
    """
    toolchain = toolchain or Toolchain()
    return [*examine_machine(toolchain, environment), *examine_building(toolchain, environment)]
