"""Builds the components from pinned Go modules, once, and keeps them in a cache."""

from .binaries import KUBERNETES, Binaries, built, resolve
from .cache import ComponentStatus, Toolchain, to_stderr
from .components import BINARIES, COMPONENTS, CRDS, Component, find, releases

__all__ = [
    "BINARIES",
    "COMPONENTS",
    "CRDS",
    "KUBERNETES",
    "Binaries",
    "Component",
    "ComponentStatus",
    "Toolchain",
    "built",
    "find",
    "releases",
    "resolve",
    "to_stderr",
]
