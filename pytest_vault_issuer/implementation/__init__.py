"""Describes and runs the controller under test."""

from .load import load_implementation
from .process import RunningImplementation, start_implementation
from .spec import Implementation, IssuerDescription, RunDescription

__all__ = [
    "Implementation",
    "IssuerDescription",
    "RunDescription",
    "RunningImplementation",
    "load_implementation",
    "start_implementation",
]
