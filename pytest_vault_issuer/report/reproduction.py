"""What is needed to repeat a run: the command, and the identity of everything that took part."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ..implementation import Implementation
from ..requirements import SUITE
from ..settings import OPTIONS, Settings
from ..toolchain import Toolchain

#: Distributions whose version can change what a run says.
_PACKAGES = ("pytest-vault-issuer", "pytest", "pytest-xdist", "hvac", "requests", "kubernetes", "cryptography")


def describe(
    arguments: Iterable[str],
    implementation: Implementation,
    settings: Settings,
    command: list[str],
    toolchain: Toolchain,
) -> dict[str, Any]:
    """Return the part of a report that says how to repeat the run.

    :param arguments: of pytest.
    :param command: what runs the implementation, its program resolved; [] where it runs already.
    :param toolchain: with the versions of the run.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["pytest", *arguments]),
        "options": settings.options(),
        "environment": {o.env: os.environ[o.env] for o in OPTIONS if o.env in os.environ},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(_versions()),
        "suite_sha256": _digest(_suite()),
        "toolchain": {entry.component: entry.key for entry in toolchain.status() if entry.chosen and entry.built},
        "implementation": {
            "command": command,
            "program_sha256": _digest([Path(command[0])]) if command else "",
            "manifests_sha256": _digest(_files(implementation)),
        },
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _suite() -> list[Path]:
    directory = Path(str(resources.files(SUITE)))
    return sorted([*directory.rglob("*.py"), *directory.rglob("*.toml")])


def _files(implementation: Implementation) -> list[Path]:
    run = implementation.run
    named = [implementation.resolve(entry) for entry in (*run.crds, *run.rbac, *run.manifests)]
    return [file for path in named for file in (sorted(path.rglob("*.y*ml")) if path.is_dir() else [path])]


def _digest(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of files' contents, '' for none."""
    digest, any_file = hashlib.sha256(), False
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        any_file = True
    return digest.hexdigest() if any_file else ""
