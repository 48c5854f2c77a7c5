"""The cleanup record of a session that uses somebody's cluster or Vault: whatever ends it, this says what to remove.

A file for each such session, outside its run directory, that only the user can read. It is written before anything is
created: first where the session is and whose it is, then a line before each creation in Vault and before the first
object of each type in the cluster. It holds no credentials, only where they come from. When everything is removed, so
is the file; what is there without a session under way is unfinished.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, StackError
from ..kube.client import Resource
from ..supervisor import disk
from ..supervisor.run_directory import RunDirectory
from ..timeouts import poll
from ..vault.cleanup import Created
from ..version import __version__

#: What is to be said of a record: its session will see to the cleanup, or nobody will.
UNDER_WAY, UNFINISHED = "under way", "unfinished"
_SUFFIX = ".jsonl"
#: How a line begins that names a type of the cluster's API.
_TYPE = "type"


@dataclass(frozen=True)
class Whereabouts:
    """Where a session works, and whose it is.

    :ivar session: its name, the value of the label on what it creates.
    :ivar directory: its run directory.
    :ivar started: when, in ISO 8601.
    :ivar kubeconfig: the user's, '' where `kind_cluster` is named; :ivar context: in it, '' for the current one.
    :ivar server: URL of the API server, for people.
    :ivar kind_binary: path of the kind that knows `kind_cluster`.
    :ivar vault_addr: '' where the Vault goes with the session; :ivar vault_ca: path of its CA's certificate, or ''.
    :ivar token_file: path of the file with Vault's token; '' where the token came from the environment.
    :ivar host: name of the machine; :ivar scale: of timeouts.
    """

    session: str
    directory: str
    started: str = ""
    kubeconfig: str = ""
    context: str = ""
    server: str = ""
    kind_cluster: str = ""
    kind_binary: str = ""
    vault_addr: str = ""
    vault_ca: str = ""
    token_file: str = ""
    host: str = field(default_factory=socket.gethostname)
    scale: float = 1.0
    version: str = __version__

    @property
    def cluster(self) -> str:
        """The cluster, for people."""
        return f"kind cluster {self.kind_cluster}" if self.kind_cluster else self.server or self.kubeconfig


@dataclass(frozen=True)
class Contents:
    """What a record says.

    :ivar types: of which objects were created in the cluster.
    :ivar created: what was created in Vault, or was about to be, by the session that created it.
    """

    whereabouts: Whereabouts
    types: frozenset[Resource] = frozenset()
    created: dict[str, list[Created]] = field(default_factory=dict)


def directory() -> Path:
    """Return the directory with this user's records.

    :raises ConfigurationError: when the user has no home.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    if not Path(state).is_absolute():  # to be ignored, says the XDG base directory specification
        try:
            state = str(Path.home() / ".local/state")
        except RuntimeError as error:
            raise ConfigurationError(
                "the user has no home directory for the cleanup record", hint="set HOME or XDG_STATE_HOME"
            ) from error
    return Path(state) / "vault-issuer"


#: The records that this process has locked, by the path of their file.
_held: dict[Path, int] = {}


def release(session: str) -> None:
    """Release the record of a session if this process holds it; see :meth:`CleanupRecord.release`."""
    for path in list(_held):
        if path.name == f"{session}{_SUFFIX}":
            CleanupRecord(path).release()


class CleanupRecord:
    """One record.

    :param path: of its file, which :meth:`begin` writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._types: set[Resource] = set()

    @classmethod
    def begin(cls, whereabouts: Whereabouts) -> CleanupRecord:
        """Write the record of a session that is about to begin.

        :raises StackError: when it cannot be written: nothing may be created then.
        """
        place = directory()
        record = cls(place / f"{whereabouts.session}{_SUFFIX}")
        started = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
        with _explained(place):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(record.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write(descriptor, asdict(whereabouts) | started)
                os.fsync(descriptor)
            except OSError:
                record.path.unlink()
                raise
            finally:
                os.close(descriptor)
        return record

    @property
    def session(self) -> str:
        """The name of its session."""
        return self.path.name.removesuffix(_SUFFIX)

    # -- while the session is under way ------------------------------------------------

    def hold(self) -> None:
        """Have the cleanup wait until this process has ended, or has released the record."""
        if self.path not in _held and self.path.exists():
            _held[self.path] = os.open(self.path, os.O_RDONLY)
            fcntl.flock(_held[self.path], fcntl.LOCK_SH)

    def release(self) -> None:
        """Create nothing more: let the cleanup begin, or another one."""
        if self.path in _held:
            os.close(_held.pop(self.path))

    def announcer(self, session: str) -> Callable[..., None]:
        """Return what records that a session is about to create something in Vault."""

        def announce(what: str, name: str, accessor: str = "") -> None:
            self._add({"session": session, "what": what, "name": name, "accessor": accessor})

        return announce

    def announce_type(self, resource: Resource) -> None:
        """Record that an object of a type is about to be created in the cluster."""
        if resource not in self._types:
            self._add({"what": _TYPE, **asdict(resource)})
            self._types.add(resource)

    def _add(self, entry: dict[str, Any]) -> None:
        with _explained(self.path.parent):
            try:
                descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            except FileNotFoundError as error:
                raise StackError(
                    f"session {self.session} has ended: its cleanup record {self.path} is gone",
                    hint="start the run again",
                ) from error
            try:
                # On a line of its own, also where a full disk has cut off the one before.
                _write(descriptor, entry, before="\n")
            finally:
                os.close(descriptor)

    # -- afterwards ---------------------------------------------------------------------

    def read(self) -> Contents:
        """Return what it says; lines that were cut off or that another version has written otherwise are left out.

        :raises StackError: when it does not even say where the session worked.
        """
        try:
            text = self.path.read_text(errors="replace")
        except OSError as error:
            raise StackError(
                f"the cleanup record {self.path} cannot be read: {error.strerror}", hint="check its owner and mode"
            ) from error
        lines = [_parsed(line) for line in text.splitlines()]
        if not lines or not lines[0]:
            raise StackError(
                f"the cleanup record {self.path} was cut off before it said anything",
                hint=f"the session had created nothing yet; remove the record: rm {self.path}",
            )
        types: set[Resource] = set()
        created: dict[str, list[Created]] = {}
        for line in lines[1:]:
            what, name = _text(line, "what"), _text(line, "name")
            if what == _TYPE:
                group, version, plural = (_text(line, key) for key in ("group", "version", "plural"))
                types.add(Resource(group, version, plural, line.get("namespaced") is not False))
            elif what and name:
                session = _text(line, "session") or self.session
                created.setdefault(session, []).append(Created(what, name, _text(line, "accessor")))
        return Contents(self._whereabouts(lines[0]), frozenset(types), created)

    def _whereabouts(self, line: dict[str, Any]) -> Whereabouts:
        texts = {f.name: _text(line, f.name) for f in fields(Whereabouts) if f.type == "str"}
        scale = line.get("scale")
        return Whereabouts(
            **{**texts, "session": self.session}, scale=float(scale) if isinstance(scale, int | float) else 1.0
        )

    @property
    def is_under_way(self) -> bool:
        """Whether a process of its session is there, its supervisor answers, or its cleanup is under way."""
        if self.path in _held:
            return True
        try:
            place = self.read().whereabouts.directory
            if place and RunDirectory(Path(place), 0).answers:
                return True
            claimed = self.claim(0)
        except (StackError, FileNotFoundError):
            return False
        self.release()
        return not claimed

    def claim(self, timeout: float) -> bool:
        """Wait until no process of the session can create anything more, and keep other cleanups away.

        :return: whether it is this process's now; until :meth:`release`, or the end of the process.
        :raises FileNotFoundError: when it is gone.
        """
        self.release()
        descriptor = os.open(self.path, os.O_RDONLY)

        def free() -> bool | None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            return True

        if poll(free, timeout=timeout) is None:
            os.close(descriptor)
            return False
        _held[self.path] = descriptor
        return True

    def remove(self) -> None:
        """Remove the record: nothing is left."""
        self.path.unlink(missing_ok=True)


def records() -> list[CleanupRecord]:
    """Return this user's records, the oldest first: of sessions under way, and unfinished ones."""
    found = []
    try:
        place = directory()
    except ConfigurationError:
        return []  # without a home, none was written
    for path in place.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # it went while it was looked at
            found.append((path.stat().st_mtime, path))
    return [CleanupRecord(path) for _, path in sorted(found)]


def state_of(record: CleanupRecord) -> str:
    """Return `UNDER_WAY`, `UNFINISHED`, or ``of HOST`` where that is another machine's to say."""
    if record.is_under_way:
        return UNDER_WAY
    with contextlib.suppress(StackError):
        host = record.read().whereabouts.host
        if host and host != socket.gethostname():
            return f"of {host}"
    return UNFINISHED


def unfinished() -> list[CleanupRecord]:
    """Return the records of this machine's sessions that have ended before everything of theirs was removed."""
    return [record for record in records() if state_of(record) == UNFINISHED]


def notices() -> list[str]:
    """Return lines for people about what is unfinished."""
    return [
        f"vault-issuer: the cleanup of session {record.session} is unfinished: vault-issuer stack down {record.session}"
        for record in unfinished()
    ]


def find(session: str) -> CleanupRecord | None:
    """Return the record of a session, None where it has none."""
    path = directory() / f"{Path(session).name}{_SUFFIX}"
    return CleanupRecord(path) if path.exists() else None


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _write(descriptor: int, entry: dict[str, Any], before: str = "") -> None:
    line = f"{before}{json.dumps(entry)}\n".encode()
    if os.write(descriptor, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def _explained(place: Path) -> Iterator[None]:
    """Say what to do where a record cannot be written."""
    try:
        with disk.explained(place):
            yield
    except OSError as error:
        raise StackError(
            f"the cleanup record cannot be written into {place}: {error.strerror}",
            hint="name a directory of yours in XDG_STATE_HOME",
        ) from error
