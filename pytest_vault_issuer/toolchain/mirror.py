"""Fills a directory with the pinned downloads, in the layout that ``VAULT_ISSUER_MIRROR`` expects."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .components import members
from .downloads import PLATFORMS, Archive
from .fetch import DownloadError, Fetcher, has_digest, unwritable
from .oci import Repository

#: Directory in the mirror with parts of downloads, so that the next call continues.
_PARTS = ".parts"
#: Names of binaries that differ from the names of their components.
_BINARIES = {"cert-manager": "cert-manager-controller"}


@dataclass
class Filled:
    """What :func:`fill` did.

    :ivar files: number of files of the selected downloads that the mirror now has.
    :ivar unpinned: addresses that were left out, because no digest of them is known.
    :ivar failed: reasons why downloads are not in the mirror, by address.
    """

    files: int = 0
    unpinned: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def select(archives: Iterable[Archive], platforms: Iterable[str], names: Iterable[str]) -> list[Archive]:
    """Return the downloads for some platforms and components.

    :param platforms: such as ``linux-amd64``.
    :param names: of components, groups or binaries, also ``NAME@VERSION``; none for all.
    :raises ConfigurationError: for a platform or component that no download is for.
    """
    archives = list(archives)
    for platform in platforms:
        if platform not in PLATFORMS:
            raise ConfigurationError(f"there are no downloads for {platform}", hint=f"one of: {', '.join(PLATFORMS)}")
    chosen = [archive for archive in archives if archive.platform in set(platforms)]
    wanted = list(names)
    if not wanted:
        return chosen
    found: dict[Archive, None] = {}
    for text in wanted:
        name, _, version = text.partition("@")
        binaries = {_BINARIES.get(member, member) for member in members(name)}
        matching = [
            archive
            for archive in chosen
            if binaries & archive.members.keys() and version.removeprefix("v") in ("", archive.version, archive.line)
        ]
        if not matching:
            known = sorted({binary for archive in archives for binary in archive.members})
            raise ConfigurationError(f"there is no download of {text}", hint=f"one of: {', '.join(known)}")
        found |= dict.fromkeys(matching)
    return list(found)


def fill(directory: Path, archives: Iterable[Archive], progress: Callable[[str], None]) -> Filled:
    """Download what the mirror lacks, and check every file by its digest. It continues an interrupted call.

    :param directory: becomes a directory for ``VAULT_ISSUER_MIRROR``; its other files stay.
    :param progress: receives lines for people.
    :raises ToolchainError: if the directory cannot be written, or the disk is full.
    """
    result = Filled()
    fetcher = Fetcher(directory / _PARTS, progress)
    try:
        for archive in archives:
            if not archive.digest:
                result.unpinned.append(archive.url or f"{archive.image} {archive.version}")
                continue
            try:
                put = _put_image if archive.image else _put_file
                result.files += put(fetcher, directory, archive)
            except DownloadError as error:
                result.failed[archive.address] = error.message
        if not result.failed:
            shutil.rmtree(directory / _PARTS, ignore_errors=True)
    except OSError as error:
        raise unwritable(directory, error) from error
    return result


def place(directory: Path, url: str) -> Path:
    """Return the path of a URL in a mirror."""
    parts = urlsplit(url)
    return directory / parts.netloc / parts.path.lstrip("/")


def _put_file(fetcher: Fetcher, directory: Path, archive: Archive) -> int:
    """Put a file into the mirror; return the number of files."""
    path = place(directory, archive.url)
    if not has_digest(path, archive.digest):
        what = f"{archive.url.rpartition('/')[2]} ({archive.version})"
        _move(fetcher.file(what, archive.url, archive.digest, size=archive.size), path)
    return 1


def _put_image(fetcher: Fetcher, directory: Path, archive: Archive) -> int:
    """Put an image into the mirror, its manifest last; return the number of files."""
    repository = Repository(fetcher, archive.image)
    content, layers = repository.manifest(archive.digest)
    for layer in layers:
        path = place(directory, repository.layer_url(layer))
        if not has_digest(path, layer["digest"]):
            _move(repository.layer(layer), path)
    manifest = place(directory, repository.manifest_url(archive.digest))
    if not has_digest(manifest, archive.digest):
        part = fetcher.directory / "manifest"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        _move(part, manifest)
    return len(layers) + 1


def _move(found: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found.chmod(0o644)
    found.replace(path)
