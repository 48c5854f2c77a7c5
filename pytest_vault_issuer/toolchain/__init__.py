"""Gets the components once, from pinned downloads or Go modules, and keeps them in a cache."""

from .binaries import KUBERNETES, Binaries, built, origins, resolve
from .cache import ComponentStatus, Toolchain, to_stderr
from .components import BINARIES, COMPONENTS, CRDS, Component, find, releases
from .sources import Origin

__all__ = [
    "BINARIES",
    "COMPONENTS",
    "CRDS",
    "KUBERNETES",
    "Binaries",
    "Component",
    "ComponentStatus",
    "Origin",
    "Toolchain",
    "built",
    "find",
    "origins",
    "releases",
    "resolve",
    "to_stderr",
]
