"""An implementation's log, wherever it is."""

from __future__ import annotations

from pathlib import Path


class FileLog:
    """A log that a process on this machine writes into a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> str:
        """Return the size that the file has by now."""
        return str(self._path.stat().st_size if self._path.exists() else 0)

    def since(self, mark: str) -> str:
        """Return what was written since a mark."""
        if not self._path.exists():
            return ""
        with self._path.open("rb") as file:
            file.seek(int(mark))
            return file.read().decode(errors="replace")
