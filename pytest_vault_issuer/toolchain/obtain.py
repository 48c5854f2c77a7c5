"""Puts the binaries of one download into a directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .archives import copy_member
from .digests import digest_of
from .downloads import Download
from .fetch import DownloadError, Fetcher, unwritable
from .oci import Repository


class Obtainer:
    """Downloads archives and images, and copies the pinned binaries out of them.

    :param parts: directory for archives and parts of them.
    :param progress: receives lines for people.
    """

    def __init__(self, parts: Path, progress: Callable[[str], None]) -> None:
        self._fetcher = Fetcher(parts, progress)

    def obtain(self, download: Download, directory: Path) -> str:
        """Put the binaries into a directory; return the reason if that is not possible, and '' otherwise.

        :raises ToolchainError: if the disk is full.
        """
        try:
            for name in download.component.packages:
                self._copy(download, name, directory / name)
        except DownloadError as error:
            return error.message
        except OSError as error:
            raise unwritable(directory, error) from error
        return ""

    def _copy(self, download: Download, name: str, target: Path) -> None:
        archive, member = download.archive, download.archive.members[name]
        if archive.image:
            Repository(self._fetcher, archive.image).copy_program(archive.digest, member.path, target)
        else:
            what = f"{archive.url.rpartition('/')[2]} ({name} {download.version})"
            path = self._fetcher.file(what, archive.url, archive.digest, size=archive.size)
            copy_member(path, member.path, target)
        if member.sha256 and (found := digest_of(target)) != member.sha256:
            raise DownloadError(
                f"{name} in {archive.address} is not the pinned program: its SHA-256 is {found}",
                hint="check the server at this address",
            )
