"""Checks what this machine can run. Each finding has a fix."""

from .examine import examine
from .finding import ABSENT, BROKEN, OK, Finding

__all__ = ["ABSENT", "BROKEN", "OK", "Finding", "examine"]
