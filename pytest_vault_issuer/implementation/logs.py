"""The log of an implementation that runs as processes."""

from __future__ import annotations

from pathlib import Path


class FileLog:
    """The log files of processes on this machine."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths

    def mark(self) -> str:
        """Return the current sizes of the files."""
        return " ".join(str(path.stat().st_size if path.exists() else 0) for path in self._paths)

    def since(self, mark: str) -> str:
        """Return the text written since a mark, file by file."""
        starts = [int(start) for start in mark.split()] or [0] * len(self._paths)
        return "".join(_read(path, start) for path, start in zip(self._paths, starts, strict=True))


def _read(path: Path, start: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")
