"""Which process made something on a container engine, so exactly that its end can be proved later.

An engine may be shared: by users, by containers that have its socket but other processes and files, by machines. A
process id alone says nothing there: another one may have it, or nobody here though its process runs elsewhere.
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
#: What is proved of a process: it runs, it has ended, or neither.
RUNS, ENDED, UNKNOWN = "runs", "ended", "unknown"
_LINUX = sys.platform == "linux"
#: States of a process, as Linux shows them, that has ended but that its parent has not waited for.
_DEAD = "ZXx"


@dataclass(frozen=True)
class Identity:
    """A process, by everything that tells it from others; '' for what is not known.

    :ivar pid: its id in its PID namespace.
    :ivar start: when it started: clock ticks since the boot on Linux, a date elsewhere.
    :ivar boot: id of the boot of its machine.
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
        """Return what :attr:`labels` stand for; of labels of another version, what they have.

        Anybody can have written them: what could not be shown in a line is left out.
        """
        return cls(**{name: shown(labels.get(_label(name), "")) for name in cls.__dataclass_fields__})

    @property
    def labels(self) -> dict[str, str]:
        """What is put on networks and containers."""
        return {_label(name): value for name, value in asdict(self).items()}

    @property
    def _is_comparable(self) -> bool:
        """Whether its process id means the same here, and what is seen of processes is of this namespace."""
        known = bool(self.boot and self.start) and self.pid.isdecimal() and len(self.pid) < 10
        if not known or (self.boot, self.pid_namespace) != (_boot(), _namespace("pid")):
            return False
        # Another namespace's /proc, as after `unshare --pid` alone, has other processes by these ids.
        return not _LINUX or (bool(self.pid_namespace) and str(Path("/proc/self").readlink()) == str(os.getpid()))

    @property
    def standing(self) -> str:
        """`RUNS` or `ENDED` where that is proved, `UNKNOWN` otherwise."""
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
            # It ended just now, or is a zombie, or is hidden here.
            return ENDED if self.is_ours else UNKNOWN
        return RUNS if started == self.start else ENDED

    @property
    def is_ours(self) -> bool:
        """Whether it is of this user, on this machine, and sees the files that this process sees."""
        return (self.uid, self.host, self.mount_namespace) == (
            str(os.getuid()),
            socket.gethostname(),
            _namespace("mnt"),
        )

    @property
    def is_orphaned(self) -> bool:
        """Whether what it has made may be removed: it is proved to be this user's, and to have ended."""
        return self.is_ours and self.standing == ENDED

    def __str__(self) -> str:
        """Say for people whose it is."""
        return f"process {self.pid or '?'} of user {self.uid or '?'} on host {self.host or '?'}"


def shown(text: str) -> str:
    """Return a text without what a terminal might obey."""
    return "".join(character for character in text[:256] if character.isprintable())


def _label(name: str) -> str:
    return PREFIX + name.replace("_", "-")


def _start(pid: int) -> str:
    """Return when a process started; '' where there is none, or it has ended and was not waited for."""
    if _LINUX:
        try:
            # The name, which comes second, may have spaces and parentheses in it.
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
