"""The digests of built files: the toolchain uses a program only if it is unchanged since its build.

A manifest contains the SHA-256 of every file. Hashing 0.5 GB takes about 1 s, so that it is done once: a stamp beside
the manifest records the state of the hashed files. A change or a replacement of a file changes this state, because no
process can choose a file's ctime. This detects accidents: a power cut during a build, a cache that was partly restored,
a program that was replaced by hand. A user with write access to the cache can also write the manifest; the permissions
of the directory protect against this.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from .components import Component

MANIFEST = "manifest.json"
_STAMP = "verified.json"
#: Device, inode, size, mtime and ctime (ns) of a file.
_State = list[int]
#: Results of this process, by place, and by manifest and states of the files; needed if the stamp cannot be written.
_known: dict[tuple[Path, str], str] = {}


def seal(place: Path, about: dict[str, Any]) -> None:
    """Write the manifest of the files in `place`, and flush all files to the disk.

    :param about: further contents of the manifest.
    """
    names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    files = {name: digest_of(place / name) for name in names if name not in (MANIFEST, _STAMP)}
    for name in files:
        sync(place / name)
    for directory in [path for path in place.rglob("*") if path.is_dir()]:
        sync(directory)
    _write(place / MANIFEST, {**about, "files": files})


def damage(place: Path, component: Component) -> str | None:
    """Return what is wrong with the files in `place`: '' if nothing is; None if nothing was built.

    :raises OSError: if they cannot be read.
    """
    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return f"{place / MANIFEST} is not JSON"
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not all(f"bin/{name}" in files for name in component.packages):
        return f"{place / MANIFEST} is not a manifest of {component.name}"
    try:
        states = {name: _state(place / name) for name in files}
    except (FileNotFoundError, NotADirectoryError) as error:
        return f"{error.filename} is missing"
    text = json.dumps([manifest, states], sort_keys=True)
    if _read(place / _STAMP) == states:
        return ""
    if (place, text) not in _known:
        _known[place, text] = _compare(place, files)
        if not _known[place, text]:
            with contextlib.suppress(OSError):  # if the cache is not writable, every process checks again
                _write(place / _STAMP, states)
    return _known[place, text]


def recorded(place: Path, name: str) -> str:
    """Return the digest of a file in `place`, which is undamaged.

    :raises OSError: if it cannot be read.
    """
    return str(json.loads((place / MANIFEST).read_bytes())["files"][name])


def _compare(place: Path, files: dict[str, str]) -> str:
    for name, digest in files.items():
        if digest_of(place / name) != digest:
            size = (place / name).stat().st_size
            return f"{place / name} ({size} bytes) has changed since its build: its SHA-256 differs"
    return ""


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
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
    """Write a JSON file atomically, also in case of a power cut."""
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
    """Flush a file or directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
