"""What a test reads of the controller's log."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """Gives what was written since a mark."""

    def mark(self) -> str:
        """Return the present."""

    def since(self, mark: str) -> str:
        """Return what was written since a mark."""
