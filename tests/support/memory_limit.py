"""A memory limit for a group of processes. The kernel enforces it and kills one of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: The free memory of a full group, in bytes.
_ROOM = 64 << 20
#: Seconds until the kernel has killed a process.
_KILLED = 120
#: Allocates memory in a group until the kernel has killed a process. `b"\\1"`, because untouched zero pages use no
#: memory.
_TAKE = """
import os, pathlib, sys
group = pathlib.Path(sys.argv[1])
(group / "cgroup.procs").write_text(str(os.getpid()))
taken = []
while "oom_kill 0" in (group / "memory.oom_control").read_text().splitlines():
    taken.append(b"\\1" * (1 << 20))
"""


def _own_group() -> Path | None:
    """Return the directory of this process's memory control group (version 1); None without one."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                return Path(f"/sys/fs/cgroup/memory{path}")
    return None


def can_be_set() -> bool:
    """Return whether this user may limit the memory of processes with control groups of version 1."""
    group = _own_group()
    return group is not None and os.access(group, os.W_OK) and (group / "memory.oom_control").exists()


class MemoryLimit:
    """A memory control group below that of this process."""

    def __init__(self, group: Path) -> None:
        self._group = group

    def add(self, pid: int) -> None:
        """Add a process and its future children. The kernel kills them rather than others."""
        (self._group / "cgroup.procs").write_text(str(pid))
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")

    def exhaust(self) -> None:
        """Use up the memory of the processes. Return when the kernel has killed the largest of them."""
        used = int((self._group / "memory.usage_in_bytes").read_text())
        (self._group / "memory.limit_in_bytes").write_text(str(used + _ROOM))
        subprocess.run([sys.executable, "-c", _TAKE, str(self._group)], check=True, timeout=_KILLED)


@contextlib.contextmanager
def limited() -> Iterator[MemoryLimit]:
    """Yield a group without processes and without a limit."""
    parent = _own_group()
    assert parent is not None
    group = parent / f"vault-issuer-test-{secrets.token_hex(6)}"
    group.mkdir()
    try:
        yield MemoryLimit(group)
    finally:
        for pid in (group / "cgroup.procs").read_text().split():  # after a failed test
            with contextlib.suppress(ProcessLookupError):
                (parent / "cgroup.procs").write_text(pid)
        group.rmdir()
