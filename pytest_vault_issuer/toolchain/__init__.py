"""Builds the components from pinned Go modules, once, and keeps them in a cache."""

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
