"""The whole examination."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..toolchain import Toolchain
from .environment import examine_surroundings
from .finding import Finding
from .toolchain import examine_building


def examine(toolchain: Toolchain | None = None, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Look at everything that a run depends on.

    :param toolchain: default the user's.
    """
    toolchain = toolchain or Toolchain()
    return [*examine_surroundings(toolchain, environment), *examine_building(toolchain, environment)]
