"""Starts the tool, also as `python tools/images`."""

import sys
from pathlib import Path

if not __package__:
    # Started as a directory, only what is in it can be imported: not the package that it is.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from images.command import run

if __name__ == "__main__":
    run()
