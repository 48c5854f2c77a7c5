"""What is needed to repeat a session: the command, and the identity of everything that took part."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ..implementation import Implementation
from ..options import OPTIONS, Settings
from ..redaction.redactor import Redactor
from ..requirements.catalogue import SUITE
from ..stack.types import Stack
from ..toolchain import Origin, Toolchain

#: Distributions whose version can change the outcomes.
_PACKAGES = ("pytest-vault-issuer", "pytest", "pytest-xdist", "hvac", "requests", "kubernetes", "cryptography")


def describe(
    arguments: Iterable[str],
    implementation: Implementation,
    settings: Settings,
    command: list[str],
    toolchain: Toolchain,
    stack: Stack | None,
    origins: Iterable[Origin] = (),
) -> dict[str, Any]:
    """Return the part of a report that states how to repeat the session.

    Of pytest's command line and of the environment, only the options of this plugin are in it, redacted: the others,
    and ``PYTEST_ADDOPTS``, may hold anything.

    :param arguments: of pytest.
    :param command: the command of the controller, with its program resolved; [] if it runs already.
    :param toolchain: with the versions of the session.
    :param stack: None if it could not start.
    :param origins: of the binaries, as far as they are known.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["pytest", *_own(arguments)]),
        "options": _redacted(settings.options()),
        "environment": dict(_redacted_pair(o.env, os.environ[o.env]) for o in OPTIONS if o.env in os.environ),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(_versions()),
        "suite_sha256": suite_digest(),
        "toolchain": {entry.component: entry.key for entry in toolchain.status() if entry.chosen and entry.built},
        "binaries": [asdict(origin) for origin in origins],
        "images": _images(settings, stack),
        "implementation": {
            "file_sha256": _digest(_file(settings)),
            "image": implementation.run.image,
            "images": implementation.run.images,
            # As it is described: the path of its program is that of this machine. The digest identifies the program.
            "command": _redacted(implementation.run.command if command else []),
            "program_sha256": _digest([Path(command[0])]) if command else "",
            "manifests_sha256": _digest(_files(implementation)),
        },
    }


def _own(arguments: Iterable[str]) -> list[str]:
    """Return the arguments that select the suite, and this plugin's options."""
    flags = {f"--{option.name}" for option in OPTIONS if option.flag}
    own: list[str] = []
    value_follows = False
    for word in arguments:
        is_own = word.startswith("--vault-issuer")
        if is_own or value_follows or word in ("--pyargs", SUITE):
            own.append(word)
        value_follows = is_own and "=" not in word and word not in flags
    return _redacted(own)


def _redacted(words: Iterable[str]) -> list[str]:
    """Return words of a command line without secrets; the value of an option may be a word of its own."""
    shown: list[str] = []
    before = ""
    for word in words:
        _, value = _redacted_pair(before.lstrip("-") if before.startswith("-") and "=" not in before else "word", word)
        shown.append(value)
        before = word
    return shown


def _redacted_pair(name: str, value: str) -> tuple[str, str]:
    redacted: str = Redactor().redact_json({name: value}).get(name, "")
    return name, redacted


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def suite_digest() -> str:
    """Return the SHA-256 of the installed suite: its tests and its requirements."""
    directory = Path(str(resources.files(SUITE)))
    return _digest(sorted([*directory.rglob("*.py"), *directory.rglob("*.toml")]))


def _images(settings: Settings, stack: Stack | None) -> dict[str, str]:
    """Return the known images of a stack; the version of kind determines its node image."""
    if stack is None or not stack.vault_image:
        return {}
    node = "" if settings.kind_cluster else settings.node_image
    return {"vault": stack.vault_image} | ({"node": node} if node else {})


def _file(settings: Settings) -> list[Path]:
    """Return the file that describes the implementation, if there is one."""
    path = Path(settings.implementation)
    return [path] if path.suffix == ".toml" and path.is_file() else []


def _files(implementation: Implementation) -> list[Path]:
    run = implementation.run
    named = [implementation.resolve(entry) for entry in (*run.crds, *run.rbac, *run.manifests)]
    return [file for path in named for file in (sorted(path.rglob("*.y*ml")) if path.is_dir() else [path])]


def _digest(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of files' contents; '' for none, or if one cannot be read: it may be gone since the start."""
    digest, any_file = hashlib.sha256(), False
    try:
        for path in paths:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
            any_file = True
    except OSError:
        return ""
    return digest.hexdigest() if any_file else ""
