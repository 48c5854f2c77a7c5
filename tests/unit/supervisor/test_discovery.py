"""Discovery of sessions: orphaned resources of killed sessions are removed, and nothing else."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.supervisor import daemon as supervisor
from pytest_vault_issuer.supervisor.discovery import (
    IN_BETWEEN,
    KEPT,
    ORPHAN,
    UNDER_WAY,
    FoundSession,
    find_session,
    find_sessions,
    remove,
)
from pytest_vault_issuer.supervisor.marked import marked
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
from pytest_vault_issuer.timeouts import poll
from tests.unit.conftest import LIMIT, Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
NAME = "vault-issuer-0123456789ab"
FOREVER = ["sleep", "1000"]
#: Leaves its session and its parent, so that it survives the supervisor.
RUNAWAY = "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)"


@pytest.fixture
def run(short_directory: Path) -> Iterator[RunDirectory]:
    run = RunDirectory(short_directory / NAME, os.getpid())
    run.open()
    yield run
    if (run.path / supervisor.SOCKET).exists():
        run.close()


def kill_supervisor(run: RunDirectory) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(run.path / supervisor.SOCKET))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    os.kill(struct.unpack("3i", credentials)[0], signal.SIGKILL)


def orphan(run: RunDirectory) -> FoundSession:
    """Wait until the run directory is orphaned."""

    def probe() -> FoundSession | None:
        (found,) = find_sessions(run.path.parent)
        return found if found.state == ORPHAN else None

    found = poll(probe, timeout=LIMIT)
    assert found is not None
    return found


def test_a_run_under_way(run: RunDirectory) -> None:
    run.spawn("sleeper", FOREVER)
    (found,) = find_sessions(run.path.parent)
    assert (found.path, found.state, found.owner) == (run.path, UNDER_WAY, os.getpid())
    assert found.processes == {"sleeper": None}


def test_a_stack_that_is_kept(run: RunDirectory, watch: Watch) -> None:
    pid = watch.add(run.spawn("sleeper", FOREVER))
    run.keep()
    (found,) = find_sessions(run.path.parent)
    assert (found.state, found.owner) == (KEPT, 0)
    remove(found)
    assert not watch.running(pid)
    assert not run.exists
    assert find_sessions(run.path.parent) == []


def test_orphan_is_removed_with_its_processes_only(run: RunDirectory, watch: Watch) -> None:
    run.spawn("parent", [sys.executable, "-c", RUNAWAY])
    assert poll(lambda: run.returncode("parent"), timeout=LIMIT) == 0
    runaway = watch.add(int(run.log("parent").read_text()))
    with subprocess.Popen(["tail", "-f", str(run.log("parent"))], stdout=subprocess.DEVNULL, cwd=run.path) as reader:
        try:
            kill_supervisor(run)
            found = orphan(run)
            assert found.leftovers == (runaway,)
            remove(found)
            assert not run.exists
            assert watch.left() == []
            assert reader.poll() is None, "a process that reads a log there is not ours"
        finally:
            reader.kill()
            for pid in marked(run.path):
                os.kill(pid, signal.SIGKILL)


def test_exit_hooks_of_an_orphan_run(run: RunDirectory, tmp_path: Path) -> None:
    run.at_end(["touch", str(tmp_path / "word")])
    kill_supervisor(run)
    remove(orphan(run))
    assert (tmp_path / "word").exists()
    assert not run.exists


@pytest.mark.parametrize("record", ["", "{}", "[1]", '[["true", {}]]', '[[["true"], {"a": 1}]]'])
def test_unreadable_exit_hooks_of_an_orphan_are_reported(run: RunDirectory, record: str) -> None:
    kill_supervisor(run)
    (run.path / supervisor.COMMANDS).write_text(record)
    with pytest.raises(StackError, match="the exit hooks of the session cannot be read"):
        remove(orphan(run))
    assert not run.exists, "credentials are in it"


def test_processes_are_found_without_procfs_too(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = run.spawn("sleeper", FOREVER)
    assert marked(run.path) == (pid,)
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: str(self) != "/proc/self/environ" and exists(self))
    assert marked(run.path) == (pid,)


def test_directory_that_is_just_being_created_is_left_alone(short_directory: Path) -> None:
    run = RunDirectory(short_directory / NAME, os.getpid())
    run.path.mkdir()
    assert [found.state for found in find_sessions(short_directory)] == [IN_BETWEEN]
    with run.lock("supervisor"):
        assert [found.state for found in find_sessions(short_directory)] == [IN_BETWEEN]
    os.utime(run.path, (0, 0))
    assert [found.state for found in find_sessions(short_directory)] == [ORPHAN]


def test_directory_that_others_can_write_into_is_ignored(short_directory: Path) -> None:
    """Another user can have written the commands that a cleanup would run."""
    path = short_directory / NAME
    path.mkdir(mode=0o700)
    os.utime(path, (0, 0))
    assert find_session(path) is not None
    for mode in (0o720, 0o702, 0o777):
        path.chmod(mode)
        assert find_session(path) is None
        assert find_sessions(short_directory) == []


def test_files_of_others_are_ignored(short_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short_directory / "vault-issuer-notes").mkdir()
    (short_directory / "elsewhere").mkdir()
    (short_directory / NAME).symlink_to(short_directory / "elsewhere")
    (short_directory / NAME.replace("0", "1")).write_text("a file")
    theirs = short_directory / NAME.replace("0", "2")
    theirs.mkdir()
    os.utime(theirs, (0, 0))
    assert [found.path for found in find_sessions(short_directory)] == [theirs]
    assert [path for path in short_directory.iterdir() if find_session(path)] == [theirs]
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    assert find_sessions(short_directory) == []
