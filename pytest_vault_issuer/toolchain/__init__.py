"""Builds the real components from pinned Go modules, once, and finds them again."""

from .binaries import KUBERNETES, Binaries, resolve
from .cache import ComponentStatus, Toolchain, to_stderr
from .components import BINARIES, COMPONENTS, Component, find

__all__ = [
    "BINARIES",
    "COMPONENTS",
    "KUBERNETES",
    "Binaries",
    "Component",
    "ComponentStatus",
    "Toolchain",
    "find",
    "resolve",
    "to_stderr",
]
