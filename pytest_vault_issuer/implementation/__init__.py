"""Describes and runs the issuer under test."""

from .description import Implementation, IssuerDescription, RunDescription
from .loader import load_implementation
from .running import RunningImplementation, start_implementation

__all__ = [
    "Implementation",
    "IssuerDescription",
    "RunDescription",
    "RunningImplementation",
    "load_implementation",
    "start_implementation",
]
