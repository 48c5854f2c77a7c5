"""An OCI runtime: runc, but no container asks for CAP_SYS_RESOURCE.

Copied beside an engine and started by it in place of runc, where the machine
lacks that capability: what a process lacks it cannot give, and runc would
refuse every privileged container ("unable to apply caps").
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LACKING = "CAP_SYS_RESOURCE"
_RUNC = "runc"


def _value(arguments: list[str], *names: str) -> str | None:
    """Return what follows an option, or stands behind its '='."""
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else arguments[position + 1]
    return None


def _rewrite(path: Path, process_of: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    spec = json.loads(path.read_text())
    process = process_of(spec)
    for kind, capabilities in (process.get("capabilities") or {}).items():
        process["capabilities"][kind] = [name for name in capabilities if name != _LACKING]
    path.write_text(json.dumps(spec))


def main(arguments: list[str]) -> None:
    """Change the spec that the arguments name, then become runc."""
    if "create" in arguments or "run" in arguments:
        bundle = _value(arguments, "--bundle", "-b") or "."
        _rewrite(Path(bundle) / "config.json", lambda spec: spec["process"])
    elif "exec" in arguments and (process := _value(arguments, "--process", "-p")) is not None:
        _rewrite(Path(process), lambda spec: spec)
    os.execvp(_RUNC, [_RUNC, *arguments])  # noqa: S606 - found as docker finds it


if __name__ == "__main__":
    main(sys.argv[1:])
