"""What this machine can run: one finding after the other, each with how to mend it."""

from .examine import examine
from .finding import ABSENT, BROKEN, OK, Finding

__all__ = ["ABSENT", "BROKEN", "OK", "Finding", "examine"]
