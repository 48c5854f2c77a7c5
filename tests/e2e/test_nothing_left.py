"""After any end of a session, nothing remains, or one command removes it. Sessions do not affect each other.

The tests are the table *way to stop* x *provider*. On kind, a cluster takes half a minute, so CI runs only the ways in
which another process than usual does the work; the complete run has all. The provider `existing` has its own table.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.stack.kind.engine import Engine
from pytest_vault_issuer.supervisor.run_directory import PREFIX
from pytest_vault_issuer.timeouts import poll
from tests.e2e.conftest import Suite, typed
from tests.support import memory_limit, small_disk
from tests.support.containers import CERT_MANAGER, NODE, VAULT, all_names, engine_with, on_kind
from tests.support.memory_limit import MemoryLimit
from tests.support.processes import command_lines, killed_at_end, output_of, processes_of, supervisor_of
from tests.support.scope import few_or
from tests.support.written_report import journal, load

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
PROCESS, KIND = "process", "kind"
#: Seconds until a session has ended by itself, and until its processes are gone.
END, GONE = 600, 180


@dataclass
class Session:
    """A session in the middle of its tests.

    :ivar process: pytest, in a separate process group.
    :ivar directory: the run directory.
    :ivar before: names of the objects of the engine before the session.
    :ivar limit: limits the memory of its processes; None without a limit.
    """

    process: subprocess.Popen[str]
    directory: Path
    engine: Engine | None
    before: set[str]
    limit: MemoryLimit | None
    output: list[str] = field(default_factory=list)

    def wait(self) -> None:
        """Wait until pytest has ended."""
        output, _ = self.process.communicate(timeout=END)
        self.output.append(output)

    @property
    def left(self) -> list[str]:
        """Return what the session has: processes, run directories, and new objects of the engine."""
        run, parent = self.directory.name, self.directory.parent
        new = all_names(self.engine) - self.before if self.engine else set()
        return [
            *processes_of(self.directory),
            *(str(path) for path in parent.glob(f"{PREFIX}*")),
            *(self.engine.names_of(run) if self.engine else []),
            *(name for name in new if run in name or not re.search(rf"{PREFIX}[0-9a-f]{{12}}", name)),
        ]


def signaled(number: int) -> Callable[[Session], None]:
    return lambda session: session.process.send_signal(number)


def kill_worker(session: Session) -> None:
    pid = session.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 2, "pytest-xdist's workers"
    os.kill(int(children[0]), signal.SIGKILL)


def kill_supervisor(session: Session) -> None:
    os.kill(supervisor_of(session.directory), signal.SIGKILL)


def kill_group(session: Session) -> None:
    os.killpg(session.process.pid, signal.SIGKILL)


def kill_all(session: Session) -> None:
    """Kill everything, as when a container ends: the supervisor first, because it would clean up."""
    kill_supervisor(session)
    kill_group(session)


def kill_largest(session: Session) -> None:
    """Kill the largest process, as a system does that is out of memory, if no limit can be set."""
    ids = [pid for pid, words in command_lines() if any(str(session.directory) in word for word in words)]
    os.kill(max([*ids, session.process.pid], key=memory_of), signal.SIGKILL)


def exhaust_memory(session: Session) -> None:
    assert session.limit is not None
    session.limit.exhaust()


def memory_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0


def fill_disk(session: Session) -> None:
    with contextlib.suppress(OSError), (session.directory.parent / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))


@dataclass(frozen=True)
class Way:
    """A way to stop a session.

    :ivar stop: stops the session.
    :ivar workers: the option of pytest-xdist.
    :ivar down: whether `vault-issuer stack down` has to finish.
    :ivar disk: size of the disk for temporary files; '' for the usual one.
    :ivar limited: whether the memory of its processes can be limited.
    :ivar few: what is judged: little, because some ways judge it to its end; less if each test waits for an event
        that cannot come.
    :ivar area: what the complete run judges.
    """

    stop: Callable[[Session], None]
    workers: str = "-n0"
    down: bool = False
    disk: str = ""
    limited: bool = False
    few: str = "APPROLE"
    area: str = "SIGN"


WAYS = {
    "normal end": Way(lambda session: None),
    "SIGINT": Way(signaled(signal.SIGINT)),
    "SIGINT, workers": Way(signaled(signal.SIGINT), "-n2"),
    "SIGTERM": Way(signaled(signal.SIGTERM)),
    "SIGTERM, workers": Way(signaled(signal.SIGTERM), "-n2"),
    "SIGHUP": Way(signaled(signal.SIGHUP)),
    "SIGKILL": Way(signaled(signal.SIGKILL)),
    "SIGKILL, workers": Way(signaled(signal.SIGKILL), "-n2"),
    "SIGKILL of a worker": Way(kill_worker, "-n2"),
    "SIGKILL of the supervisor": Way(kill_supervisor),
    "SIGKILL of the process group": Way(kill_group, "-n2"),
    "SIGKILL of everything": Way(kill_all, down=True),
    "SIGKILL of the largest": Way(kill_largest),
    "out of memory": Way(exhaust_memory, limited=True),
    "full disk": Way(fill_disk, disk="400m", few="VI-SIGN-001", area="VI-SIGN-001"),
}
#: Prefixes of the ways that produce a complete report with the verdict *incomplete*.
REPORTED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL of the supervisor")
#: The ways on kind that CI runs: pytest, or `stack down`, ends the session instead of the supervisor.
KIND_IN_CI = ("SIGKILL of the supervisor", "SIGKILL of everything")
ON_KIND = [pytest.param(name, KIND, marks=[] if name in KIND_IN_CI else [pytest.mark.full]) for name in WAYS]


@pytest.fixture
def engine(provider: str) -> Iterator[Engine | None]:
    """The engine; None if the test needs none."""
    if provider == KIND:
        yield from engine_with(VAULT, NODE, CERT_MANAGER)
    else:
        yield None


@pytest.fixture
def session_tmp(way: str, temporary: Path) -> Iterator[Path]:
    """Return the directory for temporary files of the session."""
    if not (size := WAYS[way].disk):
        yield temporary
        return
    if not small_disk.can_be_mounted():
        pytest.skip("not run: only root on Linux can mount a small disk")
    with small_disk.mounted(size) as disk:
        yield disk


@pytest.fixture
def limit(way: str) -> Iterator[MemoryLimit | None]:
    """Limits the memory of the session's processes."""
    if not WAYS[way].limited:
        yield None
        return
    if not memory_limit.can_be_set():
        pytest.skip("not run: only root with the control groups of version 1 can limit memory")
    with memory_limit.limited() as limit:
        yield limit


@contextlib.contextmanager
def not_ignored(number: int) -> Iterator[None]:
    """Make started processes receive a signal, also under nohup."""
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.fixture
def session(
    suite: Suite, way: str, provider: str, session_tmp: Path, limit: MemoryLimit | None, engine: Engine | None
) -> Iterator[Session]:
    """A session that has started its tests."""
    before = all_names(engine) if engine else set()
    with not_ignored(signal.SIGHUP):
        process = suite.start(
            "--vault-issuer=cert-manager",
            *few_or([WAYS[way].few], WAYS[way].area),
            WAYS[way].workers,
            *(on_kind() if provider == KIND else ["--vault-issuer-stack=process"]),
            env={"TMPDIR": str(session_tmp)},
            process_group=0,
        )

    def in_mid_run() -> Path | None:
        if process.poll() is not None:
            raise AssertionError(output_of(process))
        directory = next(session_tmp.glob(f"{PREFIX}*"), None)
        return directory if directory and (directory / "implementation.json").exists() else None

    with killed_at_end(process):
        if limit is not None:
            limit.add(process.pid)  # before it starts another process
        directory = poll(in_mid_run, timeout=300)
        assert directory is not None, "expected a started session, saw none"
        yield Session(process, directory, engine, before, limit)


@pytest.mark.parametrize(("way", "provider"), [(name, PROCESS) for name in WAYS])
def test_nothing_is_left(suite: Suite, session: Session, way: str) -> None:
    assert any("kube-apiserver" in line for line in processes_of(session.directory))
    leaves_nothing(suite, session, way)


@pytest.mark.parametrize(("way", "provider"), ON_KIND)
def test_nothing_is_left_on_kind(suite: Suite, session: Session, way: str) -> None:
    assert session.engine is not None
    assert len(session.engine.names_of(session.directory.name)) == 3, "a node, a Vault and their network"
    leaves_nothing(suite, session, way)


def leaves_nothing(suite: Suite, session: Session, way: str) -> None:
    """Stop a session, and check that nothing remains, if necessary after `vault-issuer stack down`."""
    WAYS[way].stop(session)
    session.wait()

    if WAYS[way].down:
        assert (session.directory / "implementation.json").exists()
        assert str(session.directory) in typed("stack", "down", temporary=session.directory.parent)
    assert poll(lambda: None if session.left else True, timeout=GONE, interval=0.2), (session.left, session.output)
    types = [line["type"] for line in journal(suite.directory / "report")]
    assert types[0] == "run"
    if way == "normal end":
        assert session.process.returncode == 0, session.output
        assert types[-1] == "end"
    elif way.startswith(REPORTED):
        assert session.process.returncode != 0, session.output
        report = load(suite.directory / "report")
        assert report["profiles"]["core"]["verdict"] == "incomplete"
        assert (suite.directory / "report" / "report.html").exists()
    elif way != "full disk":  # which does not stop processes that write nothing
        assert session.process.returncode != 0, session.output


def run_directory_of(temporary: Path) -> Path | None:
    return next(temporary.glob(f"{PREFIX}*"), None)


def test_two_sessions_run_side_by_side(tmp_path: Path, temporary: Path) -> None:
    few = ["VI-APPROLE-001", "VI-APPROLE-002", "VI-SCOPE-001", "VI-SCOPE-002"]
    selected = few_or(few, "APPROLE", "SCOPE")
    with contextlib.ExitStack() as ends:
        runs = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            environment = {"TMPDIR": str(temporary)}
            runs.append(Suite(tmp_path / name).start("--vault-issuer=cert-manager", *selected, "-n2", env=environment))
            ends.enter_context(killed_at_end(runs[-1]))
        for process in runs:
            output, _ = process.communicate(timeout=END)
            assert process.returncode == 0, output
    assert list(temporary.iterdir()) == []


def test_kept_stack_is_joined_and_taken_down(suite: Any, temporary: Path) -> None:
    environment = {"TMPDIR": str(temporary)}
    one = ("--vault-issuer=cert-manager", "--vault-issuer-select=VI-SIGN-001")
    run = suite.run(*one, "--vault-issuer-stack=process", "--vault-issuer-keep-stack", env=environment)
    assert run.status == 0, run.output
    directory = run_directory_of(temporary)
    assert directory is not None
    assert f"vault-issuer stack down {directory}" in run.output
    assert any("kube-apiserver" in line for line in processes_of(directory))
    joined = suite.run(*one, f"--vault-issuer-join={directory}", env=environment)
    assert joined.status == 0, joined.output
    typed("stack", "down", str(directory), temporary=temporary)
    assert processes_of(directory) == []
    assert list(temporary.iterdir()) == []
