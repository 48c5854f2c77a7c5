"""The interface of the controller's log."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """A log that can be read in parts."""

    def mark(self) -> str:
        """Return a mark for the current end of the log."""

    def since(self, mark: str) -> str:
        """Return the text written since a mark."""
