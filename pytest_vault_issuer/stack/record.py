"""The cleanup record of a session that uses an existing cluster or Vault: it states what the cleanup must remove.

Each such session has one file outside of its run directory, which only the user can read. The session writes to it
before it creates anything: first the cluster, Vault and process of the session, then a line before it creates something
in Vault, and before it creates the first object of each type in the cluster. It contains no credentials, only their
source. The cleanup removes the file when nothing is left. A record without a session under way is unfinished.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, StackError
from ..inputs.files import read_regular
from ..kube.client import Resource
from ..options import SCALES
from ..supervisor import disk
from ..supervisor.run_directory import RunDirectory
from ..timeouts import poll
from ..vault.cleanup import Created
from ..version import __version__

if sys.platform != "win32":  # the plugin is imported there too, next to tests that do not use it
    import fcntl

#: States of a record: its session is under way and will clean up, or the session has ended without a full cleanup.
UNDER_WAY, UNFINISHED = "under way", "unfinished"
_SUFFIX = ".jsonl"
#: Value of `what` in a line that names a resource type of the cluster.
_TYPE = "type"


@dataclass(frozen=True)
class SessionInfo:
    """The cluster, the Vault and the machine of a session.

    :ivar session: name of the session, the value of the label on what it creates.
    :ivar directory: its run directory.
    :ivar started: its start time in ISO 8601.
    :ivar kubeconfig: the user's; '' if `kind_cluster` is set. :ivar context: its context; '' for the current one.
    :ivar server: URL of the API server, for people.
    :ivar kind_binary: path of the kind binary that created `kind_cluster`.
    :ivar vault_addr: '' if the Vault ends with the session. :ivar vault_ca: path of its CA certificate, or ''.
    :ivar token_file: path of the file with Vault's token; '' if the token came from the environment.
    :ivar host: name of the machine. :ivar timeout_scale: factor of the timeouts.
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
    timeout_scale: float = 1.0
    version: str = __version__

    @property
    def cluster(self) -> str:
        """The cluster, for people."""
        return f"kind cluster {self.kind_cluster}" if self.kind_cluster else self.server or self.kubeconfig


@dataclass(frozen=True)
class Contents:
    """The contents of a record.

    :ivar types: resource types of the objects that the session created in the cluster.
    :ivar created: what each session created in Vault, or was about to create.
    """

    session_info: SessionInfo
    types: frozenset[Resource] = frozenset()
    created: dict[str, list[Created]] = field(default_factory=dict)


def directory() -> Path:
    """Return the directory of this user's records.

    :raises ConfigurationError: if the user has no home directory.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    if not Path(state).is_absolute():  # the XDG base directory specification ignores relative paths
        try:
            state = str(Path.home() / ".local/state")
        except RuntimeError as error:
            raise ConfigurationError(
                "the user has no home directory for the cleanup record", hint="set HOME or XDG_STATE_HOME"
            ) from error
    return Path(state) / "vault-issuer"


#: Descriptors of the records that this process has locked, by path.
_held: dict[Path, int] = {}


def release(session: str) -> None:
    """Release the record of a session if this process holds it; see :meth:`CleanupRecord.release`."""
    for path in list(_held):
        if path.name == f"{session}{_SUFFIX}":
            CleanupRecord(path).release()


class CleanupRecord:
    """One record.

    :param path: path of its file, which :meth:`begin` writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._types: set[Resource] = set()

    @classmethod
    def begin(cls, session_info: SessionInfo) -> CleanupRecord:
        """Write the record of a new session.

        :raises StackError: if it cannot be written; the session must then create nothing.
        """
        place = directory()
        record = cls(place / f"{session_info.session}{_SUFFIX}")
        started = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
        with _explained(place):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(record.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write(descriptor, asdict(session_info) | started)
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
        """Make the cleanup wait until this process ends or releases the record."""
        if self.path not in _held and self.path.exists():
            _held[self.path] = os.open(self.path, os.O_RDONLY)
            fcntl.flock(_held[self.path], fcntl.LOCK_SH)

    def release(self) -> None:
        """Allow the cleanup to begin; this process must create nothing after this call."""
        if self.path in _held:
            os.close(_held.pop(self.path))

    def announcer(self, session: str) -> Callable[..., None]:
        """Return a function that records what a session is about to create in Vault."""

        def announce(what: str, name: str, accessor: str = "") -> None:
            self._add({"session": session, "what": what, "name": name, "accessor": accessor})

        return announce

    def announce_type(self, resource: Resource) -> None:
        """Record the resource type of an object that the session is about to create in the cluster."""
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
                    hint="start the session again",
                ) from error
            try:
                # The newline first: a full disk may have cut the line before.
                _write(descriptor, entry, before="\n")
            finally:
                os.close(descriptor)

    # -- afterwards ---------------------------------------------------------------------

    def read(self) -> Contents:
        """Return the contents, without lines that are incomplete or of another version.

        :raises StackError: if the first line, with the cluster and Vault of the session, is missing.
        """
        try:
            text = read_regular(self.path, private=True).decode(errors="replace")
        except OSError as error:
            raise StackError(
                f"the cleanup record {self.path} cannot be read: {error.strerror}", hint="check its owner and mode"
            ) from error
        lines = [_parsed(line) for line in text.splitlines()]
        if not lines or not lines[0]:
            raise StackError(
                f"the cleanup record {self.path} has no complete first line",
                hint=f"the session had not created anything; remove the record: rm {self.path}",
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
        return Contents(self._session_info(lines[0]), frozenset(types), created)

    def _session_info(self, line: dict[str, Any]) -> SessionInfo:
        texts = {f.name: _text(line, f.name) for f in fields(SessionInfo) if f.type == "str"}
        return SessionInfo(**{**texts, "session": self.session}, timeout_scale=_scale(line.get("timeout_scale")))

    @property
    def is_under_way(self) -> bool:
        """Whether a process of its session runs, its supervisor answers, or its cleanup is under way."""
        if self.path in _held:
            return True
        try:
            place = self.read().session_info.directory
            if place and RunDirectory(Path(place), 0).answers:
                return True
            claimed = self.claim(0)
        except (StackError, FileNotFoundError):
            return False
        self.release()
        return not claimed

    def claim(self, timeout: float) -> bool:
        """Lock the record: wait until no process of the session can create anything, and exclude other cleanups.

        :param timeout: in seconds.
        :return: whether this process holds the lock, until :meth:`release` or its end.
        :raises FileNotFoundError: if the record was removed.
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
        """Remove the record, because nothing is left."""
        self.path.unlink(missing_ok=True)


def records() -> list[CleanupRecord]:
    """Return this user's records of sessions under way and of unfinished ones, the oldest first."""
    found = []
    try:
        place = directory()
    except ConfigurationError:
        return []  # without a home directory, there are no records
    for path in place.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # it was removed in the meantime
            found.append((path.stat().st_mtime, path))
    return [CleanupRecord(path) for _, path in sorted(found)]


def state_of(record: CleanupRecord) -> str:
    """Return `UNDER_WAY`, `UNFINISHED`, or ``of HOST`` for a record that another machine wrote."""
    if record.is_under_way:
        return UNDER_WAY
    with contextlib.suppress(StackError):
        host = record.read().session_info.host
        if host and host != socket.gethostname():
            return f"of {host}"
    return UNFINISHED


def unfinished() -> list[CleanupRecord]:
    """Return the records of this machine's sessions that ended without a full cleanup."""
    return [record for record in records() if state_of(record) == UNFINISHED]


def notices() -> list[str]:
    """Return a line for people about each unfinished cleanup."""
    return [
        f"vault-issuer: the cleanup of session {record.session} is unfinished: vault-issuer stack down {record.session}"
        for record in unfinished()
    ]


def find(session: str) -> CleanupRecord | None:
    """Return the record of a session; None if there is none."""
    path = directory() / f"{Path(session).name}{_SUFFIX}"
    return CleanupRecord(path) if path.exists() else None


def _scale(value: Any) -> float:
    """Return a factor of timeouts, 1 if the options would refuse it."""
    valid = isinstance(value, int | float) and SCALES[0] <= value <= SCALES[1]
    return float(value) if valid else SessionInfo.timeout_scale


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
    """Replace an OSError of a write by an error with a hint."""
    try:
        with disk.explained(place):
            yield
    except OSError as error:
        raise StackError(
            f"the cleanup record cannot be written into {place}: {error.strerror}",
            hint="set XDG_STATE_HOME to a directory that you can write to",
        ) from error
