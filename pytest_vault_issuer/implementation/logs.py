"""An implementation's log, wherever it is."""

from __future__ import annotations

from pathlib import Path


class FileLog:
    """The logs that processes on this machine write, each into a file."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths

    def mark(self) -> str:
        """Return the sizes that the files have by now."""
        return " ".join(str(path.stat().st_size if path.exists() else 0) for path in self._paths)

    def since(self, mark: str) -> str:
        """Return what was written since a mark, one file after the other."""
        starts = [int(start) for start in mark.split()] or [0] * len(self._paths)
        return "".join(_read(path, start) for path, start in zip(self._paths, starts, strict=True))


def _read(path: Path, start: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")
