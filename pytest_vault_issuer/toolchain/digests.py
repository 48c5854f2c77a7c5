"""The digests of what was built: a program is used as it was built, or not at all.

A manifest holds the SHA-256 of every file. Hashing half a gigabyte takes about a second, so that it is done once: a
stamp beside the manifest says of which state of the files it was done. Whoever writes into a file, or puts another in
its place, changes that state, for nobody can choose a file's ctime. This shows accidents: a build before a power cut, a
cache that was restored in part, a program that was replaced by hand. Who may write into the cache may as well write the
manifest; for that, there are the permissions of the directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .components import Component
from .provenance import unpinned

MANIFEST = "manifest.json"
_STAMP = "verified.json"
#: Device, inode, size, mtime and ctime (ns) of a file.
_State = list[int]
#: What this process has found out, by place, manifest and states of the files: where the stamp cannot be written.
_known: dict[tuple[Path, str], str] = {}


def seal(place: Path, about: dict[str, Any]) -> None:
    """Write the manifest of what was built in `place`, and have all of it on the disk.

    :param about: what else the manifest says.
    """
    names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    files = {name: _digest(place / name) for name in names if name not in (MANIFEST, _STAMP)}
    for name in files:
        sync(place / name)
    for directory in [path for path in place.rglob("*") if path.is_dir()]:
        sync(directory)
    _write(place / MANIFEST, {**about, "files": files})


def damage(place: Path, component: Component) -> str | None:
    """Say what is wrong with what is in `place`: '' for nothing, None where nothing was built.

    :raises OSError: when it cannot be read.
    """
    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return f"{place / MANIFEST} is not JSON"
    if not isinstance(manifest, dict):
        return f"{place / MANIFEST} is not a manifest"
    files = manifest.get("files")
    adopted = files is None
    if adopted:
        files = dict.fromkeys(_expected(place, component), "")
    if not isinstance(files, dict) or not all(f"bin/{name}" in files for name in component.packages):
        return f"{place / MANIFEST} is not a manifest of {component.name}"
    try:
        states = {name: _state(place / name) for name in files}
    except (FileNotFoundError, NotADirectoryError) as error:
        return f"{error.filename} is missing"
    text = json.dumps([manifest, states], sort_keys=True)
    if not adopted and _read(place / _STAMP) == states:
        return ""
    if (place, text) not in _known:
        _known[place, text] = _adopt(place, component, manifest, files) if adopted else _compare(place, files)
        if not _known[place, text]:
            with contextlib.suppress(OSError):  # a cache that cannot be written is looked at by every process
                _write(place / _STAMP, states)
    return _known[place, text]


def _expected(place: Path, component: Component) -> Iterable[str]:
    yield from (f"bin/{name}" for name in component.packages)
    yield from (path.relative_to(place).as_posix() for path in sorted((place / "crds").glob("*")))


def _adopt(place: Path, component: Component, manifest: dict[str, Any], files: Iterable[str]) -> str:
    """Give a manifest of an older version of ours its digests; say why not, where a file is not what it should be.

    Each program names its modules, and their sums are those of go.sum: it is no less pinned than one built today.
    """
    for binary in component.packages:
        if reason := unpinned(place / "bin" / binary, component.directory / "go.sum"):
            return f"{place / 'bin' / binary}: {reason}"
    digests = {name: _digest(place / name) for name in files}
    with contextlib.suppress(OSError):  # where it cannot be written, every process looks again
        _write(place / MANIFEST, {**manifest, "files": digests})
    return ""


def _compare(place: Path, files: dict[str, str]) -> str:
    for name, digest in files.items():
        if _digest(place / name) != digest:
            size = (place / name).stat().st_size
            return f"{place / name} ({size} bytes) is not what was built: its SHA-256 differs"
    return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path) -> _State:
    stat = path.stat()
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _write(path: Path, content: Any) -> None:
    """Write a file of JSON that is there as a whole or not at all, also after a power cut."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o644)
            json.dump(content, file)
        sync(Path(draft))
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file or directory on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
