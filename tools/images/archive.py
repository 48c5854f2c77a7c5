"""Writes images as archives: an OCI layout that `docker load` and `ctr images import` read as well.

The same files make the same bytes: times and owners are left out, names are
sorted. So an image's digest changes with its content only.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

#: As Go names it, and so the image formats.
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
#: Fast: an archive is read about as often as it is written.
_COMPRESSION = 1


@dataclass(frozen=True)
class Entry:
    """One file, link or directory of an image.

    :ivar path: in the image, absolute.
    :ivar source: the file with the content; None for a directory or a link.
    :ivar link: what a symbolic link points to.
    """

    path: str
    source: Path | None = None
    link: str = ""
    mode: int = 0o755


@dataclass(frozen=True)
class Image:
    """An image of one layer.

    :ivar name: with its tag.
    :ivar content: entries, or a directory whose owners, modes and links are kept.
    :ivar config: of OCI's image configuration what is in its `config`, such as Entrypoint and Env.
    """

    name: str
    content: tuple[Entry, ...] | Path
    config: Mapping[str, Any] = field(default_factory=dict)


def write(target: Path, images: Iterable[Image], machine: str) -> None:
    """Write images to an archive.

    :param machine: as :func:`platform.machine` says it.
    :raises KeyError: for a machine whose name in image formats is not known.
    """
    index, listing = [], []
    with (
        tempfile.TemporaryDirectory(dir=target.parent) as scratch,
        tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive,
    ):
        blobs = _Blobs(archive)
        _add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        for image in images:
            layer = Path(scratch) / "layer"
            unpacked = _write_layer(layer, image.content)
            layer_blob = blobs.add_file(layer, _LAYER_TYPE)
            config = {
                "architecture": ARCHITECTURE[machine],
                "os": "linux",
                "config": dict(image.config),
                "rootfs": {"type": "layers", "diff_ids": [unpacked]},
            }
            config_blob = blobs.add(_json(config), _CONFIG_TYPE)
            manifest = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST_TYPE,
                "config": config_blob,
                "layers": [layer_blob],
            }
            tag = image.name.rpartition(":")[2]
            names = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tag}
            index.append(blobs.add(_json(manifest), _MANIFEST_TYPE) | {"annotations": names})
            listing.append({"Config": _path(config_blob), "RepoTags": [image.name], "Layers": [_path(layer_blob)]})
        _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": index}))
        # What docker reads; containerd prefers the index.
        _add(archive, "manifest.json", _json(listing))


class _Blobs:
    """The blobs of an archive, each once."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._there: set[str] = set()

    def add(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        return self._add(io.BytesIO(content), digest, len(content), kind)

    def add_file(self, path: Path, kind: str) -> dict[str, Any]:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            content.seek(0)
            return self._add(content, digest, path.stat().st_size, kind)

    def _add(self, content: IO[bytes], digest: str, size: int, kind: str) -> dict[str, Any]:
        descriptor = {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}
        if digest not in self._there:
            self._there.add(digest)
            info = tarfile.TarInfo(_path(descriptor))
            info.size = size
            self._archive.addfile(info, content)
        return descriptor


def _path(descriptor: Mapping[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


class _Hashing(io.RawIOBase):
    """Hashes what passes through it."""

    def __init__(self, target: gzip.GzipFile) -> None:
        self._target = target
        self.digest = hashlib.sha256()

    def write(self, data: Any, /) -> int:
        self.digest.update(data)
        return self._target.write(data)


def _write_layer(target: Path, content: tuple[Entry, ...] | Path) -> str:
    """Write a compressed layer and return the digest of what it holds uncompressed."""
    with target.open("wb") as file, gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as compressed:
        hashing = _Hashing(compressed)
        with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.PAX_FORMAT) as layer:
            if isinstance(content, Path):
                for path in sorted(content.iterdir()):
                    layer.add(path, path.name, filter=_timeless)
            else:
                for entry in _with_parents(content):
                    _add_entry(layer, entry)
    return f"sha256:{hashing.digest.hexdigest()}"


def _timeless(info: tarfile.TarInfo) -> tarfile.TarInfo:
    # Names are of the machine that writes; numbers are what counts in the image.
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def _with_parents(entries: Iterable[Entry]) -> list[Entry]:
    wanted = {entry.path: entry for entry in entries}
    for path in list(wanted):
        for parent in Path(path).parents:
            if parent != Path("/"):
                wanted.setdefault(str(parent), Entry(str(parent)))
    return [wanted[path] for path in sorted(wanted)]


def _add_entry(layer: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path.lstrip("/"))
    info.mode = entry.mode
    if entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        layer.addfile(info)
    elif entry.source is None:
        info.type = tarfile.DIRTYPE
        layer.addfile(info)
    else:
        info.size = entry.source.stat().st_size
        with entry.source.open("rb") as content:
            layer.addfile(info, content)
