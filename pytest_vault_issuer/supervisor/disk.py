"""A full disk: how it shows, and what can be done about it."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import StackError

#: What the system calls it, and so every component in its log.
SAID = "no space left on device"
#: Bytes below which a directory is taken for full: a component that could not write may not have written of it either.
LEAST = 1 << 20


def hint(said: str, place: Path, otherwise: str) -> str:
    """Return what to do about a failure: `otherwise`, unless a full disk is the reason.

    :param said: what there is to read of it.
    :param place: directory on the disk that would be the full one.
    """
    if SAID in said.lower() or (place.exists() and shutil.disk_usage(place).free < LEAST):
        return f"the disk is full: free some space (df -h {place})"
    return otherwise


@contextlib.contextmanager
def explained(place: Path) -> Iterator[None]:
    """Say what to do where something cannot be written because the disk is full.

    :raises StackError: in the place of an OSError that means this.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StackError(
            f"{place} cannot be written: {error.strerror}",
            hint=f"the disk is full: free some space (df -h {place.parent}), or name another directory in TMPDIR",
        ) from error
