"""Recognizes a full disk in errors and logs, and explains what to do."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import StackError

#: Message of the system for ENOSPC, which every component writes to its log.
SAID = "no space left on device"
#: A disk with less free space (bytes) counts as full: a component may have been unable to write its log.
LEAST = 1 << 20


def hint(said: str, place: Path, otherwise: str) -> str:
    """Return the hint for a failure: `otherwise`, unless a full disk is the reason.

    :param said: the error message or log.
    :param place: directory on the disk in question.
    """
    if SAID in said.lower() or (place.exists() and shutil.disk_usage(place).free < LEAST):
        return f"the disk is full: free some space (df -h {place})"
    return otherwise


@contextlib.contextmanager
def explained(place: Path) -> Iterator[None]:
    """Replace the OSError of a full disk by an error with a hint.

    :raises StackError: if the disk is full.
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
