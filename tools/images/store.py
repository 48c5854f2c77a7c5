"""Keeps what was made under a key of what it was made from, so that it is made once."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_DRAFT = ".making-"


def key_of(inputs: Iterable[str | Path]) -> str:
    """Return a key of texts, and of the names and contents of files; their order counts."""
    digest = hashlib.sha256()
    for given in inputs:
        content = given.read_bytes() if isinstance(given, Path) else b""
        name = given.name if isinstance(given, Path) else given
        # Lengths first: no two lists of inputs read the same.
        digest.update(f"{len(name.encode())} {len(content)} {name}".encode() + content)
    return digest.hexdigest()[:16]


class Store:
    """A directory of things by name, version and key.

    :param say: gets lines for people.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self.directory = directory
        self._say = say

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; what they left half-made is removed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.directory / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._say("images are made by another process: waiting for it")
            lock.acquire()
        try:
            for draft in self.directory.glob(f"{_DRAFT}*"):
                shutil.rmtree(draft)
            yield
        finally:
            lock.release()

    def place(self, name: str, key: str) -> Path:
        """Return where a thing is, or will be."""
        return self.directory / f"{name}-{key}"

    def get(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """Return the directory of a thing; where there is none, `make` fills one, in whole or not at all.

        To be called with the lock held.
        """
        place = self.place(name, key)
        if place.is_dir():
            return place
        draft = Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{name}-", dir=self.directory))
        try:
            draft.chmod(0o755)
            make(draft)
            draft.rename(place)
        except BaseException:
            shutil.rmtree(draft)
            raise
        return place

    def clean(self, kept: Iterable[Path] = ()) -> int:
        """Remove everything but `kept`; return the bytes freed. To be called with the lock held."""
        unwanted = [path for path in self.directory.iterdir() if path.is_dir() and path not in set(kept)]
        freed = sum(file.lstat().st_size for path in unwanted for file in path.rglob("*") if file.is_file())
        for path in unwanted:
            shutil.rmtree(path)
        return freed
