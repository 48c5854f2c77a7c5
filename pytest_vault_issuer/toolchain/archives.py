"""Copies one program out of an archive. Nothing else of the archive is written, and it chooses no path."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from .fetch import LARGEST, DownloadError

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def copy_member(archive: Path, member: str, target: Path) -> None:
    """Copy a program to `target`, which must not exist.

    :param archive: a tar (also compressed), a zip, or the program itself.
    :param member: path in the archive; '' if the archive is the program.
    :raises DownloadError: if the archive is damaged, or does not contain the program as a regular file.
    :raises OSError: if `target` cannot be written.
    """
    if not member:
        with archive.open("rb") as source:
            _write(source, target)
    elif zipfile.is_zipfile(archive):
        _from_zip(archive, member, target)
    elif not copy_from_layers([archive], member, target):
        raise _lacks(archive, member)


def copy_from_layers(layers: Iterable[Path], member: str, target: Path) -> bool:
    """Copy a file to `target` from the first tar that contains it; return False if none does.

    :param layers: tar files (also compressed), of which each hides files of those after it, as in an image: the
        uppermost layer first. Iterated only as far as needed.
    """
    wanted = PurePosixPath(member)
    hidden = {str(path.with_name(f".wh.{path.name}")) for path in (wanted, *wanted.parents) if path.name}
    hidden |= {str(path / ".wh..wh..opq") for path in wanted.parents if path.name}
    for layer in layers:
        is_hidden = False
        try:
            with tarfile.open(layer, "r:*") as tar:
                for entry in tar:
                    name = str(PurePosixPath(entry.name))
                    is_hidden = is_hidden or name in hidden
                    if name != member:
                        continue
                    source = tar.extractfile(entry) if entry.isreg() else None
                    if source is None:
                        raise DownloadError(f"{member} in {layer.name} is not a regular file", hint=_REPORT)
                    _write(source, target)
                    return True
        except _BROKEN as error:
            raise _damaged(layer, error) from error
        if is_hidden:
            return False
    return False


def _from_zip(archive: Path, member: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as content:
            if member not in content.namelist():
                raise _lacks(archive, member)
            info = content.getinfo(member)
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
                raise DownloadError(f"{member} in {archive.name} is not a regular file", hint=_REPORT)
            with content.open(info) as source:
                _write(source, target)
    except _BROKEN as error:
        raise _damaged(archive, error) from error


_REPORT = "please report it with the version of this package"


def _lacks(archive: Path, member: str) -> DownloadError:
    return DownloadError(f"{archive.name} does not contain {member}", hint=_REPORT)


def _damaged(archive: Path, error: Exception) -> DownloadError:
    return DownloadError(f"{archive.name} is not a complete archive: {error}", hint=_REPORT)


def _write(source: IO[bytes], target: Path) -> None:
    """Copy at most :data:`~.fetch.LARGEST` bytes into a new executable file: a small archive may contain a huge one."""
    with target.open("xb") as file:
        left = LARGEST
        while chunk := source.read(min(1 << 20, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise DownloadError(f"{target.name} has more than {LARGEST} bytes", hint=_REPORT)
            file.write(chunk)
    target.chmod(0o755)
