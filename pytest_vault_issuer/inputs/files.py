"""Reads files whose place or content others may have chosen."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

#: Default maximum size in bytes. The largest report of a session is a few MB.
LARGEST = 256 << 20
#: Windows has other flags, and no FIFOs in its file system.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_regular(path: Path, *, largest: int = LARGEST, private: bool = False) -> bytes:
    """Return the content of a regular file. Opening a FIFO does not wait, and a device is not read without end.

    :param largest: maximum size in bytes.
    :param private: whether the file must belong to this user, must not be a symbolic link, and must not be writable
        by others: it says what to remove, with the credentials of this user.
    :raises OSError: if it cannot be read, or is another kind of file; with the reason in `strerror`.
    """
    descriptor = os.open(path, os.O_RDONLY | _AT_ONCE | (os.O_NOFOLLOW if private else 0))
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "It is not a regular file", str(path))
        if private and (about.st_uid != os.getuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            raise OSError(errno.EPERM, "It belongs to another user, or others can change it", str(path))
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"It is larger than {largest >> 20} MB", str(path))
    return content


def text_of(path: Path, *, largest: int = 16 << 20) -> str:
    """Return the text of a regular file; '' if it cannot be read, is not UTF-8, or is larger than `largest` bytes."""
    try:
        return read_regular(path, largest=largest).decode()
    except (OSError, ValueError):
        return ""
