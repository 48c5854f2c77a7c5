"""A small disk that fills up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def can_be_mounted() -> bool:
    """Return whether this user may mount a file system."""
    return sys.platform == "linux" and os.geteuid() == 0


@contextlib.contextmanager
def mounted(size: str) -> Iterator[Path]:
    """Yield the path of a disk of a size, such as ``64k``, in memory. The path is short enough for sockets."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--recursive", place], check=True)
