"""A session that is stopped, or loses its output, writes its report and leaves nothing and no traceback.

Each session runs in a process of its own and starts no stack. Its run directory and its supervisor are real.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.cli import judge
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.supervisor.run_directory import PREFIX
from pytest_vault_issuer.timeouts import poll
from tests.support import written_report
from tests.support.processes import killed_at_end
from tests.support.reader import WITHOUT_HYPOTHESIS, user_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /dev/full and at descriptors in /proc")

LIMIT = 180
FIRST, SECOND, THIRD = (r.id for r in [r for r in Catalogue.load().requirements if r.profile == "core"][:3])
FILE = '[implementation]\nname = "probe"\nversion = "1"\n[features]\nall = true\n'
#: The suite, which these sessions do not run completely, and their own tests.
SUITE = ("--pyargs", "vault_issuer_conformance", "test_it.py")
#: The start of a session, without a stack.
CONFTEST = """
import os, signal, sys
import pytest
from pytest_vault_issuer.judge import start
from pytest_vault_issuer.judge.progress import SESSION_KEY

def begin(session, ending, say, clean):
    session.directory.open()
    say("the first line")
    return True

start.start = begin

def stop(number=signal.SIGINT):
    os.kill(os.getpid(), number)
"""
TESTS = f"""
import os, signal
import pytest
from conftest import stop
from pytest_vault_issuer import requirement

@requirement("{FIRST}")
def test_first(): pass
"""
OTHERS = f"""
@requirement("{SECOND}")
def test_second(): pass

@requirement("{THIRD}")
def test_third(): pass
"""


class Sessions:
    """Starts sessions in a directory.

    :ivar temporary: their directory for temporary files.
    """

    def __init__(self, directory: Path, temporary: Path) -> None:
        self.directory = directory
        self.temporary = temporary
        (directory / "probe.toml").write_text(FILE)

    def write(self, conftest: str = "", tests: str = "") -> None:
        (self.directory / "conftest.py").write_text(CONFTEST + conftest)
        (self.directory / "test_it.py").write_text(TESTS + tests + OTHERS)

    def start(self, *words: str, unbuffered: str = "", program: Any = ("-m", "pytest"), **options: Any) -> Any:
        command = [
            *(sys.executable, *program, "--vault-issuer=probe.toml", "--vault-issuer-report=out"),
            *("-p", "no:cacheprovider", *WITHOUT_HYPOTHESIS, *words),
        ]
        environment = user_environment(TMPDIR=str(self.temporary), PYTHONUNBUFFERED=unbuffered)
        return subprocess.Popen(command, cwd=self.directory, env=environment, text=True, **options)

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        with killed_at_end(self.start(*words, stderr=subprocess.PIPE, **options)) as process:
            out, err = process.communicate(timeout=LIMIT)
        assert "Traceback" not in (out or "") + err
        assert "INTERNALERROR" not in (out or "") + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def report(self) -> dict[str, Any]:
        return written_report.load(self.directory / "out")

    @property
    def verdict(self) -> str:
        return str(self.report["profiles"]["core"]["verdict"])

    @property
    def outcomes(self) -> list[str]:
        entries = {entry["id"]: str(entry["outcome"]) for entry in self.report["requirements"]}
        return [entries[name] for name in (FIRST, SECOND, THIRD)]

    def leave_nothing(self) -> bool:
        return poll(lambda: None if list(self.temporary.glob(f"{PREFIX}*")) else True, timeout=LIMIT) is True


@pytest.fixture
def sessions(tmp_path: Path, short_directory: Path) -> Sessions:
    return Sessions(tmp_path, short_directory)


# -- standard streams ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def unread() -> Iterator[int]:
    """A pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextlib.contextmanager
def full() -> Iterator[int]:
    """A file on a full disk."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("output", "why", "unbuffered", "workers"),
    [
        pytest.param(unread, "Broken pipe", "", "-n0", id="unread, at the first test"),
        pytest.param(unread, "Broken pipe", "", "-n1", id="unread, with a worker"),
        pytest.param(unread, "Broken pipe", "1", "-n0", id="unread, at the first line"),
        pytest.param(full, "No space left on device", "", "-n0", id="full, at the first test"),
        pytest.param(full, "No space left on device", "1", "-n1", id="full, at the first line"),
    ],
)
def test_lost_output_ends_the_session_with_a_report(
    sessions: Sessions, output: Any, why: str, unbuffered: str, workers: str
) -> None:
    sessions.write()
    with output() as descriptor:
        done = sessions.run(*SUITE, workers, stdout=descriptor, unbuffered=unbuffered)
    assert done.returncode == 3
    assert f"vault-issuer: the session ends early: the output cannot be written: {why}\n" in done.stderr
    assert sessions.verdict == "incomplete"
    assert sessions.report["incomplete"] == f"the output cannot be written: {why}"
    assert "not-run" in sessions.outcomes
    assert written_report.journal(sessions.directory / "out")[-1]["type"] == "end"
    assert sessions.leave_nothing()


def test_output_that_is_lost_after_the_tests_changes_no_verdict(sessions: Sessions) -> None:
    lose = "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"
    sessions.write(f"@pytest.hookimpl(wrapper=True)\ndef pytest_sessionfinish():\n    {lose}\n    return (yield)\n")
    assert sessions.run(stdout=subprocess.PIPE).returncode == 0
    assert sessions.verdict == "partial"
    assert sessions.leave_nothing()


@pytest.mark.parametrize(
    ("closed", "workers"),
    [((0,), "-n0"), ((1,), "-n0"), ((2,), "-n1"), ((0, 1, 2), "-n0"), ((0, 1, 2), "-n1")],
    ids=str,
)
def test_closed_standard_streams_change_nothing(sessions: Sessions, closed: tuple[int, ...], workers: str) -> None:
    """Without them, files and sockets of the session would get their descriptors."""
    standard = "all(os.readlink(f'/proc/self/fd/{number}') == os.devnull for number in CLOSED)"
    sessions.write(f"def pytest_unconfigure():\n    assert {standard.replace('CLOSED', str(closed))}\n")
    with killed_at_end(
        sessions.start(
            workers,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: [os.close(number) for number in closed],
        )
    ) as process:
        assert process.wait(LIMIT) == 0
    assert sessions.outcomes == ["passed"] * 3
    assert sessions.verdict == "partial"
    assert sessions.leave_nothing()


# -- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "hook"),
    [
        (signal.SIGINT, "pytest_configure"),
        (signal.SIGTERM, "pytest_configure"),
        (signal.SIGHUP, "pytest_configure"),
        (signal.SIGINT, "pytest_sessionstart"),
        (signal.SIGTERM, "pytest_sessionstart"),
        (signal.SIGINT, "pytest_collection"),
        (signal.SIGTERM, "pytest_collection_modifyitems"),
    ],
)
def test_signal_before_the_first_test_writes_an_incomplete_report(sessions: Sessions, number: int, hook: str) -> None:
    sessions.write(f"def {hook}():\n    stop({int(number)})\n")
    done = sessions.run(*SUITE, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert sessions.verdict == "incomplete"
    reason = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    assert sessions.report["incomplete"] == reason
    assert sessions.outcomes == ["not-run"] * 3
    assert "report: out/report.json" in done.stdout + done.stderr
    assert sessions.leave_nothing()


def test_signal_in_a_session_without_requirements_keeps_an_older_report(sessions: Sessions) -> None:
    sessions.write()
    assert sessions.run(stdout=subprocess.PIPE).returncode == 0
    (sessions.directory / "conftest.py").write_text(CONFTEST + "def pytest_sessionstart(): stop()")
    (sessions.directory / "test_it.py").write_text("def test_mine(): pass")
    assert sessions.run(stdout=subprocess.PIPE).returncode == 2
    assert sessions.outcomes == ["passed"] * 3


def test_signal_before_the_session_keeps_foreign_files(sessions: Sessions) -> None:
    sessions.write("def pytest_sessionstart(): stop()")
    (sessions.directory / "out").mkdir()
    (sessions.directory / "out/report.md").write_text("mine")
    done = sessions.run(*SUITE, stdout=subprocess.PIPE)
    assert "out/report.md is not from an earlier report" in done.stderr
    assert [path.name for path in (sessions.directory / "out").iterdir()] == ["report.md"]


def test_interrupt_during_the_imports_is_one_line(sessions: Sessions) -> None:
    """pytest imports its plugins before it knows the options: there is no report."""
    sessions.write("stop()")
    done = sessions.run(program=("-P", str(judge.RUN_PYTEST)), stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "vault-issuer: interrupted\n")
    assert not (sessions.directory / "out").exists()
    assert sessions.leave_nothing()


WAITS = """
import time
@pytest.fixture
def waits():
    yield
    stop(NUMBER)
    time.sleep(60)

@requirement("{id}")
def test_waits(waits):
    stop()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_second_signal_ends_the_session_at_once(sessions: Sessions, number: int) -> None:
    sessions.write(tests=WAITS.replace("{id}", SECOND).replace("NUMBER", str(int(number))))
    done = sessions.run(stdout=subprocess.PIPE)
    assert done.returncode == 128 + number
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith(f"vault-issuer: stopped at once by {signal.Signals(number).name}: the supervisor of ")
    assert line.endswith("removes what the session started; if something remains, run: vault-issuer stack down")
    assert sessions.verdict == "incomplete"
    assert sessions.leave_nothing()


def test_signal_during_the_cleanup_ends_only_the_wait_for_it(sessions: Sessions, tmp_path: Path) -> None:
    """The supervisor removes everything, also while a process waits for it."""
    fifo, begun = tmp_path / "fifo", tmp_path / "begun"
    os.mkfifo(fifo)
    hook = f"open({str(begun)!r}, 'w').close(); open({str(fifo)!r}).read()"
    begin = f"session.directory.open()\n    session.directory.at_end([sys.executable, '-c', {hook!r}])"
    (tmp_path / "conftest.py").write_text(CONFTEST.replace("session.directory.open()", begin))
    (tmp_path / "test_it.py").write_text(TESTS + OTHERS)
    with (tmp_path / "err").open("w") as file, killed_at_end(sessions.start(stdout=file, stderr=file)) as process:
        assert poll(lambda: begun.exists() or None, timeout=LIMIT)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 130  # its supervisor still has the file open
    err = (tmp_path / "err").read_text()
    assert "stopped at once by SIGINT: the supervisor of" in err
    assert "Traceback" not in err
    assert sessions.outcomes == ["passed"] * 3
    assert list(sessions.temporary.glob(f"{PREFIX}*")), "the supervisor still needs its directory"
    fifo.write_text("")
    assert sessions.leave_nothing()
