"""Files that a test writes into a directory."""

from __future__ import annotations

from pathlib import Path


def write_files(directory: Path, files: dict[str, str]) -> Path:
    """Write files by their path in a directory, and return the directory."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory
