"""Records which lines of a build run, and when. It is copied into the build and imports nothing of this project.

``lines.jsonl`` beside it gets a line for each interval: its end in seconds since the epoch, and the lines by file.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
PREFIX = str(HERE)
#: Seconds of an interval.
INTERVAL = 0.2

_seen: set[tuple[str, int]] = set()


def _record(frame: FrameType, event: str, argument: Any) -> Any:
    path = frame.f_code.co_filename
    if not path.startswith(PREFIX):
        return None
    if event == "line":
        _seen.add((path, frame.f_lineno))
    return _record


def _write() -> None:
    global _seen
    with (HERE / "lines.jsonl").open("a", encoding="utf-8") as file:
        while True:
            time.sleep(INTERVAL)
            seen, _seen = _seen, set()
            lines: dict[str, list[int]] = {}
            for path, line in list(seen):
                lines.setdefault(Path(path).name, []).append(line)
            file.write(json.dumps({"end": time.time(), "lines": lines}) + "\n")
            file.flush()


def start() -> None:
    """Record from now on, in this thread and in those that it starts."""
    threading.Thread(target=_write, daemon=True).start()
    threading.settrace(_record)
    sys.settrace(_record)
