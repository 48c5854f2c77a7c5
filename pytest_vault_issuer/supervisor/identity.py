"""Identifies the process that owns a resource on a container engine, so exactly that its end can be proved later.

Users, machines, and containers with other processes and files can share an engine. A process id alone identifies
nothing there: the id may belong to another process, or to a process that runs elsewhere.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PREFIX = "vault-issuer.test/"
#: The proved state of a process: it runs, it has ended, or neither is proved.
RUNS, ENDED, UNKNOWN = "runs", "ended", "unknown"
_LINUX = sys.platform == "linux"
#: States in /proc of a process that has ended, but whose parent has not waited for it.
_DEAD = "ZXx"


@dataclass(frozen=True)
class Identity:
    """A process, with everything that distinguishes it from others; '' if unknown.

    :ivar pid: its id in its PID namespace.
    :ivar start: its start time: clock ticks since boot on Linux, a date on other systems.
    :ivar boot: boot id of its machine.
    :ivar pid_namespace: inode of its PID namespace, on Linux.
    :ivar mount_namespace: inode of its mount namespace, on Linux.
    :ivar uid: user id.
    :ivar host: name of the machine, or of the container.
    """

    pid: str = ""
    start: str = ""
    boot: str = ""
    pid_namespace: str = ""
    mount_namespace: str = ""
    uid: str = ""
    host: str = ""

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Return the identity of a process of this user, in the namespaces of this one."""
        return cls(
            str(pid), _start(pid), _boot(), _namespace("pid"), _namespace("mnt"), str(os.getuid()), socket.gethostname()
        )

    @classmethod
    def from_labels(cls, labels: Mapping[str, str]) -> Identity:
        """Return the identity in :attr:`labels`; labels of another version may lack parts.

        Labels are untrusted: characters that are not printable are removed.
        """
        return cls(**{name: shown(labels.get(_label(name), "")) for name in cls.__dataclass_fields__})

    @property
    def labels(self) -> dict[str, str]:
        """The labels for networks and containers."""
        return {_label(name): value for name, value in asdict(self).items()}

    @property
    def _is_comparable(self) -> bool:
        """Whether its process id refers to this PID namespace, and /proc shows this namespace."""
        known = bool(self.boot and self.start) and self.pid.isdecimal() and len(self.pid) < 10
        if not known or (self.boot, self.pid_namespace) != (_boot(), _namespace("pid")):
            return False
        # After `unshare --pid` alone, /proc shows another namespace, with other processes for these ids.
        return not _LINUX or (bool(self.pid_namespace) and str(Path("/proc/self").readlink()) == str(os.getpid()))

    @property
    def state(self) -> str:
        """`RUNS` or `ENDED` if that is proved, else `UNKNOWN`."""
        if not self._is_comparable:
            return UNKNOWN
        try:
            os.kill(int(self.pid), 0)
        except ProcessLookupError:
            return ENDED
        except PermissionError:
            pass
        started = _start(int(self.pid))
        if not started:
            # The process has just ended, is a zombie, or is hidden.
            return ENDED if self.is_ours else UNKNOWN
        return RUNS if started == self.start else ENDED

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to this user, on this machine, and sees the same files as this process."""
        return (self.uid, self.host, self.mount_namespace) == (
            str(os.getuid()),
            socket.gethostname(),
            _namespace("mnt"),
        )

    @property
    def is_orphaned(self) -> bool:
        """Whether its resources may be removed: it is proved that it belongs to this user and has ended."""
        return self.is_ours and self.state == ENDED

    def __str__(self) -> str:
        """Return the owner, for people."""
        return f"process {self.pid or '?'} of user {self.uid or '?'} on host {self.host or '?'}"


def shown(text: str) -> str:
    """Return at most 256 characters of a text, without those that control a terminal."""
    return "".join(character for character in text[:256] if character.isprintable())


def _label(name: str) -> str:
    return PREFIX + name.replace("_", "-")


def _start(pid: int) -> str:
    """Return the start time of a process; '' if there is none, or if it is a zombie."""
    if _LINUX:
        try:
            # The second field, the name, may contain spaces and parentheses.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in _DEAD else fields[19]
    return _said(["ps", "-o", "lstart=", "-p", str(pid)])


def _boot() -> str:
    if _LINUX:
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""
    return _said(["sysctl", "-n", "kern.bootsessionuuid"])


def _namespace(kind: str) -> str:
    try:
        return str(Path(f"/proc/self/ns/{kind}").stat().st_ino)
    except OSError:
        return ""


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10, env={**os.environ, "LC_ALL": "C"}
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
