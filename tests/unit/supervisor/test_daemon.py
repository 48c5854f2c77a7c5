"""The run directory and its supervisor: after any end of a session, nothing remains."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.supervisor import daemon as supervisor
from pytest_vault_issuer.supervisor import run_directory
from pytest_vault_issuer.supervisor.run_directory import RunDirectory, new_path
from pytest_vault_issuer.timeouts import poll
from tests.unit.conftest import LIMIT, Watch

linux = pytest.mark.skipif(sys.platform != "linux", reason="what only Linux offers")
FOREVER = ["sleep", "1000"]


@pytest.fixture
def run(short_directory: Path) -> Iterator[RunDirectory]:
    """Return an open run directory that this process owns."""
    run = RunDirectory(short_directory / "run", os.getpid())
    run.open()
    yield run
    if run.exists and supervisor_of(run):
        run.close()


def supervisor_of(run: RunDirectory) -> int:
    """Return the process id of the listener on the supervisor's socket, 0 if there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT)
        try:
            connection.connect(str(run.path / supervisor.SOCKET))
        except OSError:
            return 0
        # It closes without a request, because a client that dies must not affect the supervisor.
        return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def ended(run: RunDirectory, name: str) -> int:
    """Wait for the end of a process and return its status."""
    status = poll(lambda: run.returncode(name), timeout=LIMIT)
    assert status is not None, f"{name} still runs"
    return status


def line_of(run: RunDirectory, name: str) -> str:
    """Wait for a line in a log and return it."""

    def first() -> str | None:
        text = run.log(name).read_text()
        return text.splitlines()[0] if "\n" in text else None

    line = poll(first, timeout=LIMIT)
    assert line is not None, f"{name} wrote nothing"
    return line


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


# -- processes ------------------------------------------------------------------------------------------------


def test_a_process_runs_until_it_is_stopped(run: RunDirectory, watch: Watch) -> None:
    pid = watch.add(run.spawn("sleeper", FOREVER))
    assert run.returncode("sleeper") is None
    run.stop("sleeper")
    assert not watch.running(pid)
    assert run.returncode("sleeper") == -signal.SIGKILL


@pytest.mark.parametrize("status", [0, 3])
def test_exit_status(run: RunDirectory, status: int) -> None:
    run.spawn("short", ["sh", "-c", f"exit {status}"])
    assert ended(run, "short") == status


def test_output_goes_to_a_log(run: RunDirectory) -> None:
    run.spawn("talker", ["sh", "-c", "for i in 1 2 3; do echo out $i; done; echo err >&2"])
    ended(run, "talker")
    assert run.log("talker").read_text() == "out 1\nout 2\nout 3\nerr\n"
    assert run.log_tail("talker", 2) == "out 3\nerr"
    assert run.log_tail("never-started") == ""


def test_name_is_free_after_the_end_of_its_process_and_its_log_continues(run: RunDirectory) -> None:
    for word in ("first", "second"):
        run.spawn("talker", ["echo", word])
        ended(run, "talker")
    assert run.log("talker").read_text() == "first\nsecond\n"


def test_a_name_in_use_is_refused(run: RunDirectory) -> None:
    run.spawn("sleeper", FOREVER)
    with pytest.raises(StackError, match="a process named sleeper is running"):
        run.spawn("sleeper", FOREVER)


def test_graceful_stop_lets_a_process_clean_up(run: RunDirectory) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit('bye')); print('up', flush=True)"
    run.spawn("polite", python(f"{code}; signal.pause()"))
    assert line_of(run, "polite") == "up"
    run.stop("polite", graceful=True)
    assert run.log("polite").read_text() == "up\nbye\n"
    assert run.returncode("polite") == 1


def test_stop_ends_the_session_of_a_process(run: RunDirectory, watch: Watch) -> None:
    run.spawn("parent", ["sh", "-c", "sleep 1000 & echo $!; wait"])
    child = watch.add(int(line_of(run, "parent")))
    run.stop("parent")
    assert child not in watch.left()


def test_environment_has_the_given_variables_and_few_others(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "of the user")
    monkeypatch.setenv("PATH", os.environ["PATH"] + os.pathsep + "/mine")
    run.spawn("env", python("import os, json; print(json.dumps(dict(os.environ)))"), {"GIVEN": "yes"})
    environment = json.loads(line_of(run, "env"))
    assert environment["GIVEN"] == "yes"
    assert environment["PATH"].endswith("/mine")
    assert "VAULT_TOKEN" not in environment


def test_working_directory(run: RunDirectory, tmp_path: Path) -> None:
    run.spawn("here", ["pwd"])
    run.spawn("there", ["pwd"], cwd=tmp_path)
    assert Path(line_of(run, "here")).resolve() == run.path.resolve()
    assert Path(line_of(run, "there")).resolve() == tmp_path.resolve()


def test_a_process_reads_nothing_and_is_in_no_terminals_session(run: RunDirectory) -> None:
    run.spawn("alone", python("import os, sys; print(sys.stdin.read() == '', os.getsid(0) == os.getpid())"))
    assert line_of(run, "alone") == "True True"


# -- errors ---------------------------------------------------------------------------------------------------


def test_a_process_leaves_no_core_dump(run: RunDirectory) -> None:
    run.spawn("limited", ["sh", "-c", "ulimit -c"])
    assert line_of(run, "limited") == "0"


def test_unknown_program(run: RunDirectory) -> None:
    with pytest.raises(StackError, match=r"spawn x: FileNotFoundError: .*no-such-program") as caught:
        run.spawn("x", ["no-such-program"])
    assert caught.value.hint


def test_program_that_cannot_be_executed(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("")
    with pytest.raises(StackError, match="PermissionError"):
        run.spawn("x", [str(tmp_path / "text")])


def test_directory_that_does_not_exist(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="FileNotFoundError"):
        run.spawn("x", FOREVER, cwd=tmp_path / "absent")


def test_process_that_was_never_started(run: RunDirectory) -> None:
    with pytest.raises(StackError, match="status absent"):
        run.returncode("absent")
    with pytest.raises(StackError, match="stop absent"):
        run.stop("absent")


def ask(run: RunDirectory, request: bytes) -> dict[str, Any]:
    """Send a request, close the writing side, and return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT)
        connection.connect(str(run.path / supervisor.SOCKET))
        with contextlib.suppress(BrokenPipeError):  # the supervisor rejected it before it had read it completely
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
    return answer


def still_works(run: RunDirectory) -> bool:
    """Return whether the supervisor starts a process and reports its end."""
    name = f"after-{secrets.token_hex(4)}"
    run.spawn(name, ["true"])
    return ended(run, name) == 0


def requested(operation: str, **arguments: Any) -> bytes:
    return json.dumps({"operation": operation, **arguments}).encode() + b"\n"


#: Invalid request -> the beginning of the error.
WRONG = {
    "nothing": (b"", "a request must end with a newline"),
    "an empty line": (b"\n", "Expecting value"),
    "no JSON": (b"no json\n", "Expecting value"),
    "no UTF-8": (b"\xff\xfe\xfd\n", "can't decode"),
    "no newline": (b'{"operation": "describe"}', "a request must end with a newline"),
    "NaN": (b'{"operation": NaN}\n', "NaN is not JSON"),
    "no object": (b"[]\n", "a request must be an object, got list"),
    "no operation": (b"{}\n", "operation must be one of spawn, status"),
    "an unknown operation": (b'{"operation": "dance"}\n', "operation must be one of spawn, status"),
    "a private operation": (b'{"operation": "_resume"}\n', "operation must be one of spawn, status"),
    "an operation that is a list": (b'{"operation": [[]]}\n', "operation must be one of spawn, status"),
    "an argument that is missing": (requested("spawn", name="x", command=["true"]), "spawn needs env"),
    "an argument that is unknown": (requested("status", name="x", self=1), "status has no 'self'"),
    "a name that is a number": (requested("stop", name=1), "stop: name must be the name of a process"),
    "a name that is a path": (requested("spawn", name="../../x", command=["true"], env={}), "spawn: name must be"),
    "a command that is a text": (requested("spawn", name="x", command="true", env={}), "spawn: command must be"),
    "an empty command": (requested("at_end", command=[], env={}), "at_end: command must be a list of words"),
    "a word with a zero byte": (requested("spawn", name="x", command=["a\0b"], env={}), "spawn: command must be"),
    "a lone surrogate": (requested("spawn", name="x", command=["\ud800"], env={}), "spawn: command must be"),
    "a variable with =": (requested("spawn", name="x", command=["true"], env={"a=b": ""}), "spawn: env must be"),
    "an environment that is a list": (requested("at_end", command=["true"], env=[]), "at_end: env must be"),
    "a pausing process that is a text": (requested("pause", name="x", by="1"), "pause: by must be a process id"),
    "a pausing process that is a yes": (requested("pause", name="x", by=True), "pause: by must be a process id"),
    "a pausing process out of range": (requested("pause", name="x", by=10**30), "pause: by must be a process id"),
    "a process that is not there": (requested("pause", name="x", by=1), "'x'"),
    "deep nesting": (b"[" * 1_000_000 + b"\n", "recursion"),
    "a huge line": (b"x" * (supervisor.REQUEST_LIMIT + (1 << 20)), "a request must be shorter than"),
}


@pytest.mark.parametrize("request_", WRONG)
def test_wrong_request_is_answered_and_does_not_end_the_supervisor(run: RunDirectory, request_: str) -> None:
    sent, error = WRONG[request_]
    try:
        assert error in ask(run, sent)["error"]
    except (ConnectionResetError, BrokenPipeError):
        assert request_ == "a huge line", "the system may throw away the answer with what was not read"
    assert still_works(run)


@pytest.mark.parametrize("sent", [b"", b'{"operation": "sp'], ids=["nothing", "half a request"])
def test_disconnected_client_does_not_end_the_supervisor(run: RunDirectory, sent: bytes) -> None:
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(run.path / supervisor.SOCKET))
            connection.sendall(sent)
    # Without reading the answer.
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(run.path / supervisor.SOCKET))
        connection.sendall(requested("describe"))
    assert still_works(run)


def test_silent_clients_do_not_delay_others(run: RunDirectory) -> None:
    with contextlib.ExitStack() as stack:
        idle = []
        for number in range(100):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(LIMIT)
            connection.connect(str(run.path / supervisor.SOCKET))
            connection.sendall(b'{"operation": ' if number % 2 else b"")
            idle.append(connection)
        assert still_works(run)
        with idle[0].makefile("rb") as stream:
            assert "too many clients at once" in json.loads(stream.readline())["error"]
    assert still_works(run)


@pytest.mark.parametrize("sent", [b"", b'{"operation": "sp'], ids=["nothing", "half a request"])
def test_client_that_has_had_its_time_is_refused(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE", 0.0)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(str(short_directory / "socket"))
        listener.listen()
        clients = supervisor.Clients(listener, lambda _: {})
        assert clients.patience is None
        connection.connect(str(short_directory / "socket"))
        connection.sendall(sent)
        clients.serve([listener])
        assert clients.patience == 0
        clients.serve(clients.sources[1:])
        with connection.makefile("rb") as stream:
            assert "no whole request within" in json.loads(stream.readline())["error"]
        assert clients.sources == [listener]


def test_request_in_pieces(run: RunDirectory) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT)
        connection.connect(str(run.path / supervisor.SOCKET))
        for byte in requested("describe"):
            connection.sendall(bytes([byte]))
        with connection.makefile("rb") as stream:
            assert json.loads(stream.readline())["owner"] == os.getpid()


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(strategies.text(), inner, max_size=4),
    max_leaves=8,
)
#: Names of arguments, and values some of which are valid; every started process ends by itself.
ARGUMENTS = strategies.fixed_dictionaries(
    {},
    optional={
        "name": strategies.sampled_from(["one", "two"]) | JSON,
        "command": strategies.just(["true"]) | strategies.lists(strategies.text(), max_size=3) | JSON,
        "env": strategies.just({}) | strategies.dictionaries(strategies.text(), strategies.text(), max_size=3) | JSON,
        "cwd": strategies.just("/") | JSON,
        "graceful": JSON,
        "like": strategies.sampled_from(["one", "two"]) | JSON,
        "more": strategies.just([]) | JSON,
        "by": strategies.integers(-1, 1 << 40) | JSON,
        "other": JSON,
    },
)
OPERATIONS = strategies.sampled_from(
    [
        "spawn",
        "status",
        "stop",
        "keep_",
        "describe",
        "pause",
        "resume",
        "stop_for_now",
        "start",
        "copy",
        "restart_on_exit",
        "end_restart_on_exit",
        "at_end_",
    ]
)
REQUESTS = (
    strategies.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode() + b"\n")
    | strategies.builds(lambda operation, rest: requested(operation, **rest), OPERATIONS | strategies.text(), ARGUMENTS)
)


@linux
def test_no_request_ends_the_supervisor(run: RunDirectory) -> None:
    server = supervisor_of(run)

    # The examples are the same each time; add a failing one to WRONG.
    @settings(max_examples=400, derandomize=True, deadline=None, database=None)
    @given(REQUESTS.filter(lambda request: b'"end"' not in request))
    def answered(request: bytes) -> None:
        assert isinstance(ask(run, request), dict)

    answered()
    assert supervisor_of(run) == server
    assert still_works(run)


#: Runs the supervisor with one broken operation, so that a request raises an unexpected exception.
BROKEN = """
import sys
from pathlib import Path
from pytest_vault_issuer.supervisor import daemon as supervisor
def serve(*_): raise RuntimeError("broken")
supervisor.Clients.serve = serve
supervisor.main(Path(sys.argv[1]), int(sys.argv[2]))
"""


@linux
def test_supervisor_that_fails_ends_everything_and_removes_the_directory(
    short_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    path = short_directory / "run"
    path.mkdir(mode=0o700)
    (path / "credentials").write_text("secret")
    done = subprocess.run(
        [sys.executable, str(script), str(path), str(os.getpid())],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=LIMIT,
    )
    assert done.stdout == "ready\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path / supervisor.SOCKET))
        connection.settimeout(LIMIT)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert poll(lambda: None if path.exists() else True, timeout=LIMIT), "credentials are in it"


def test_a_run_that_was_not_opened(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run", os.getpid())
    assert not run.exists
    with pytest.raises(StackError, match="does not answer") as caught:
        run.spawn("x", FOREVER)
    assert caught.value.hint
    run.close()  # nothing to do


def test_a_directory_whose_path_is_too_long_for_a_socket_is_refused(short_directory: Path) -> None:
    run = RunDirectory(short_directory / ("long" * 40), os.getpid())
    with pytest.raises(StackError, match=r"is too long by \d+ bytes for a Unix socket") as caught:
        run.open()
    assert "TMPDIR" in caught.value.hint
    assert not run.exists


def test_a_supervisor_that_does_not_start_leaves_no_directory(
    short_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "__file__", str(tmp_path / "absent.py"))
    run = RunDirectory(short_directory / "run", os.getpid())
    with pytest.raises(StackError, match="the process supervisor did not start") as caught:
        run.open()
    assert "by hand" in caught.value.hint
    assert not run.exists


# -- the directory --------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_user_can_read_it(run: RunDirectory) -> None:
    path = run.write("pki/key.pem", "secret")
    run.spawn("talker", ["true"])
    ended(run, "talker")
    with run.lock("stack"):
        pass
    everything = [run.path, *run.path.rglob("*")]
    assert {path, run.path / supervisor.SOCKET, run.log("talker")} <= set(everything)
    assert [entry for entry in everything if mode(entry) & 0o077] == []


def test_files_of_a_process_are_the_users_alone(run: RunDirectory) -> None:
    run.spawn("toucher", ["touch", "made"])
    ended(run, "toucher")
    assert mode(run.path / "made") == 0o600


def test_write_replaces_and_leaves_no_draft(run: RunDirectory) -> None:
    with run.write("state.json", "old").open() as opened:
        path = run.write("state.json", b"new")
        assert opened.read() == "old", "a reader, or a process that ends meanwhile, never leaves half a file"
    assert path.read_text() == "new"
    assert [entry.name for entry in run.path.iterdir() if entry.name.startswith(".")] == []


def test_paths_of_runs_differ_and_are_short() -> None:
    paths = {new_path() for _ in range(10)}
    assert len(paths) == 10
    assert not any(path.exists() for path in paths)
    assert all(len(path.name) < 30 for path in paths)


# -- the end --------------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("end", ["stop", "end"])
def test_later_process_with_the_id_of_one_that_has_ended_is_not_killed(
    short_directory: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dev stack runs for days; meanwhile, the system assigns the id of a process that ended again."""
    monkeypatch.setattr(supervisor, "_children", list)  # of this process
    here = supervisor.Supervisor(short_directory, os.getpid())
    here.spawn("short", ["true"], dict(os.environ))
    process = here.processes["short"]
    process.wait()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(["cat"], start_new_session=True, **pipes) as other:
        process.pid = other.pid
        here.stop("short") if end == "stop" else here.end()
        answer, _ = other.communicate("still there")
    assert (answer, other.returncode) == ("still there", 0)


def test_stop_ends_what_a_process_started_that_has_ended(run: RunDirectory, watch: Watch) -> None:
    run.spawn("parent", ["sh", "-c", "sleep 1000 & echo $!"])
    child = watch.add(int(line_of(run, "parent")))
    ended(run, "parent")
    run.stop("parent")
    assert child not in watch.left()


def test_close_ends_everything_and_removes_the_directory(run: RunDirectory, watch: Watch) -> None:
    pids = [watch.add(run.spawn(name, FOREVER)) for name in ("one", "two")]
    server = watch.add(supervisor_of(run))
    run.close()
    assert not any(watch.running(pid) for pid in pids)
    assert not run.exists
    assert server not in watch.left()
    run.close()  # again: nothing to do


#: Starts a child in its own session, and prints its process id.
LEAVES = "import subprocess, sys; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)"


@linux
@pytest.mark.parametrize("parent", ["lives", "has ended"])
def test_close_ends_processes_that_left_their_session(run: RunDirectory, watch: Watch, parent: str) -> None:
    run.spawn("parent", python(LEAVES + ("; sys.stdin.close(); import signal; signal.pause()" * (parent == "lives"))))
    runaway = watch.add(int(line_of(run, "parent")))
    if parent == "has ended":
        ended(run, "parent")
    assert watch.running(runaway)
    run.close()
    assert not watch.running(runaway)


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_supervisor_that_is_terminated_ends_everything(run: RunDirectory, watch: Watch, number: int) -> None:
    watch.add(run.spawn("sleeper", FOREVER))
    os.kill(watch.add(supervisor_of(run)), number)
    assert watch.left() == []
    assert not run.exists


@linux
def test_a_supervisor_that_is_killed_takes_its_processes_along(run: RunDirectory, watch: Watch) -> None:
    watch.add(run.spawn("sleeper", FOREVER))
    os.kill(watch.add(supervisor_of(run)), signal.SIGKILL)
    assert watch.left() == []
    with pytest.raises(StackError, match="does not answer"):
        run.returncode("sleeper")
    with pytest.raises(StackError, match="does not answer"):
        run.close()
    assert not run.exists


@linux
def test_close_cleans_up_after_a_killed_supervisor(run: RunDirectory, watch: Watch, tmp_path: Path) -> None:
    run.at_end(["touch", str(tmp_path / "first")])
    run.at_end(["sh", "-c", "echo it is stuck >&2; exit 1"])
    run.at_end(["touch", str(tmp_path / "last")])
    run.spawn("parent", python(LEAVES))
    runaway = watch.add(int(line_of(run, "parent")))
    os.kill(watch.add(supervisor_of(run)), signal.SIGKILL)
    with pytest.raises(StackError, match="it is stuck"):
        run.close()
    assert runaway not in watch.left()
    assert {path.name for path in tmp_path.iterdir()} == {"first", "last"}
    assert not run.exists


@linux
def test_close_waits_for_a_supervisor_that_is_ending(run: RunDirectory, tmp_path: Path) -> None:
    """The exit hooks run once, and have ended when close() returns."""
    os.mkfifo(tmp_path / "go")
    run.at_end(["sh", "-c", 'echo begun >> "$0/word"; cat "$0/go" > /dev/null; echo done >> "$0/word"', str(tmp_path)])
    os.kill(supervisor_of(run), signal.SIGTERM)
    assert poll(lambda: (tmp_path / "word").exists() or None, timeout=LIMIT)
    with ThreadPoolExecutor(1) as background:
        closing = background.submit(run.close)
        with (tmp_path / "go").open("w"):
            pass
        with contextlib.suppress(StackError):
            closing.result(LIMIT)
    assert (tmp_path / "word").read_text() == "begun\ndone\n"
    assert not run.exists


#: Opens a run directory, prints what it started, and waits for its end. Arguments: the run directory.
OWNER = """
import os, sys
from pathlib import Path
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
run = RunDirectory(Path(sys.argv[1]), os.getpid())
run.open()
print(run.spawn("one", ["sleep", "1000"]), run.spawn("two", ["sleep", "1000"]), flush=True)
sys.stdin.read()
"""


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_end_of_the_owner_ends_everything(short_directory: Path, watch: Watch, number: int | None) -> None:
    path = short_directory / "run"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(python(OWNER, str(path)), text=True, **pipes) as owner:  # type: ignore[call-overload]
        pids = [watch.add(int(pid)) for pid in owner.stdout.readline().split()]
        run = RunDirectory(path, owner.pid)
        watch.add(supervisor_of(run))
        assert len(pids) == 2
        assert all(watch.running(pid) for pid in pids)
        if number is not None:
            owner.send_signal(number)
        owner.communicate(timeout=LIMIT)
    assert watch.left() == []
    assert not run.exists


@linux
def test_an_owner_that_is_gone_already(short_directory: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    run = RunDirectory(short_directory / "run", gone.pid)
    run.open()
    assert poll(lambda: True if not run.exists else None, timeout=LIMIT)


# -- stacks that stay -----------------------------------------------------------------------------------------


@linux
def test_kept_session_outlives_its_owner(short_directory: Path, watch: Watch) -> None:
    path = short_directory / "run"
    code = OWNER.replace("sys.stdin.read()", "run.keep()")
    # Its output ends, so that a waiting shell continues.
    run = RunDirectory(path, 0)
    try:
        answer = subprocess.run(python(code, str(path)), check=True, capture_output=True, text=True, timeout=LIMIT)
        pids = [watch.add(int(pid)) for pid in answer.stdout.split()]
        described = run.describe()
        assert described == {
            "supervisor": supervisor_of(run),
            "owner": 0,
            "processes": {"one": None, "two": None},
            "paused": [],
            "stopped": [],
        }
        run.stop("one")
        assert run.describe()["processes"] == {"one": -signal.SIGKILL, "two": None}
    finally:
        run.close()
    assert not any(watch.running(pid) for pid in pids)
    assert not run.exists


def state_of(pid: int) -> str:
    """Return the state of a process as Linux reports it: S sleeping, T stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def comes_to(pid: int, state: str) -> bool:
    return bool(poll(lambda: True if state_of(pid) == state else None, timeout=LIMIT))


@linux
def test_process_is_paused_until_all_resume_it(run: RunDirectory) -> None:
    pid = run.spawn("sleeper", FOREVER)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        run.pause("sleeper", os.getpid())
        run.pause("sleeper", other.pid)
        assert comes_to(pid, "T")
        assert run.describe()["paused"] == ["sleeper"]
        run.resume("sleeper", os.getpid())
        assert state_of(pid) == "T"
        other.kill()  # without a message
    assert comes_to(pid, "S")
    assert run.describe()["paused"] == []


@linux
def test_paused_process_can_be_stopped(run: RunDirectory, watch: Watch) -> None:
    pid = watch.add(run.spawn("sleeper", FOREVER))
    run.pause("sleeper", os.getpid())
    run.stop("sleeper")
    assert not watch.running(pid)


@linux
def test_paused_process_is_stopped_gracefully(run: RunDirectory) -> None:
    handler = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
    run.spawn("polite", python(f"{handler}; print('on', flush=True); signal.pause()"))
    line_of(run, "polite")
    run.pause("polite", os.getpid())
    run.stop("polite", graceful=True)
    assert run.returncode("polite") == 7


def pid_of(run: RunDirectory, name: str) -> int:
    return int(ask(run, requested("status", name=name))["pid"])


def becomes_another(run: RunDirectory, name: str, pid: int) -> int:
    """Wait until a process has another process id, and return it."""
    found = poll(lambda: new if (new := pid_of(run, name)) != pid else None, timeout=LIMIT)
    assert found is not None, f"{name} did not start again"
    return found


def test_halted_process_starts_again_as_before(run: RunDirectory, watch: Watch) -> None:
    first = watch.add(run.spawn("sleeper", ["sh", "-c", 'echo "$HERE"; exec sleep 1000'], {"HERE": "x"}))
    assert line_of(run, "sleeper") == "x"
    run.stop_for_now("sleeper", os.getpid())
    assert not watch.running(first)
    assert run.describe()["stopped"] == ["sleeper"]
    run.start("sleeper")
    assert run.describe()["stopped"] == []
    assert poll(lambda: run.log("sleeper").read_text() == "x\nx\n" or None, timeout=LIMIT)
    assert pid_of(run, "sleeper") != first


def test_start_leaves_a_running_process_alone(run: RunDirectory) -> None:
    pid = run.spawn("sleeper", FOREVER)
    run.start("sleeper")
    assert pid_of(run, "sleeper") == pid


def test_halted_process_starts_again_after_the_end_of_the_process_that_halted_it(run: RunDirectory) -> None:
    pid = run.spawn("sleeper", FOREVER)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        run.stop_for_now("sleeper", other.pid)
        assert run.returncode("sleeper") is not None
        other.kill()  # as a worker that is killed during a test
    becomes_another(run, "sleeper", pid)
    assert run.returncode("sleeper") is None


def test_tended_process_restarts_whenever_it_ends(run: RunDirectory) -> None:
    pid = run.spawn("sleeper", FOREVER)
    run.restart_on_exit("sleeper", os.getpid())
    for _ in range(2):
        os.kill(pid, signal.SIGKILL)
        pid = becomes_another(run, "sleeper", pid)
    assert run.returncode("sleeper") is None
    assert run.end_restart_on_exit("sleeper") == 2
    os.kill(pid, signal.SIGKILL)
    assert ended(run, "sleeper") == -signal.SIGKILL


def test_tended_process_that_has_ended_runs_when_it_is_left(run: RunDirectory, watch: Watch) -> None:
    pid = watch.add(run.spawn("sleeper", FOREVER))
    run.restart_on_exit("sleeper", os.getpid())
    os.kill(pid, signal.SIGKILL)
    assert watch.left() == []
    run.end_restart_on_exit("sleeper")
    assert run.returncode("sleeper") is None


def test_tended_process_that_is_stopped_stays_stopped(run: RunDirectory) -> None:
    run.spawn("sleeper", FOREVER)
    run.restart_on_exit("sleeper", os.getpid())
    run.stop("sleeper")
    assert ended(run, "sleeper") == -signal.SIGKILL


def test_process_is_restarted_until_the_requesting_process_ends(run: RunDirectory) -> None:
    pid = run.spawn("sleeper", FOREVER)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        run.restart_on_exit("sleeper", other.pid)
        other.kill()
    assert poll(lambda: True if kill_shows(run, "sleeper", pid) else None, timeout=LIMIT)


def kill_shows(run: RunDirectory, name: str, pid: int) -> bool:
    """Kill a process, and return whether its end is reported as that of an unattended process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return run.returncode(name) is not None


def test_tended_program_that_vanished_does_not_end_the_supervisor(run: RunDirectory, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o700)
    pid = run.spawn("fleeting", [str(program)])
    run.restart_on_exit("fleeting", os.getpid())
    program.unlink()
    os.kill(pid, signal.SIGKILL)
    assert poll(lambda: ask(run, requested("status", name="fleeting"))["restarts"] or None, timeout=LIMIT)
    assert still_works(run)


def test_copy_runs_beside_its_original_with_more_arguments(run: RunDirectory) -> None:
    run.spawn("one", ["sh", "-c", 'echo "$HERE $0"; exec sleep 1000'], {"HERE": "x"})
    run.copy("two", "one", ["more"])
    assert line_of(run, "two") == "x more"
    assert run.returncode("one") is None


def test_copy_has_additional_variables(run: RunDirectory) -> None:
    run.spawn("one", ["sh", "-c", 'echo "$HERE $THERE"; exec sleep 1000'], {"HERE": "x", "THERE": "y"})
    run.copy("two", "one", env={"THERE": "z"})
    assert line_of(run, "two") == "x z"


def test_halted_and_paused_processes_end_with_the_session(run: RunDirectory, watch: Watch) -> None:
    paused = watch.add(run.spawn("paused", FOREVER))
    run.pause("paused", os.getpid())
    run.spawn("stopped", FOREVER)
    run.stop_for_now("stopped", os.getpid())
    run.spawn("restarted", FOREVER)
    run.restart_on_exit("restarted", os.getpid())
    run.close()
    assert not watch.running(paused)
    assert not run.exists


def test_everything_that_is_started_is_marked(run: RunDirectory) -> None:
    run.spawn("env", python("import os; print(os.environ['VAULT_ISSUER_RUN'])"))
    assert line_of(run, "env") == str(run.path)


# -- what is run at the end -----------------------------------------------------------------------------------

#: Writes to a file outside of the run directory whether a process still exists. Arguments: the file, a process id.
LAST_WORD = "import os, sys; open(sys.argv[1], 'w').write(str(os.path.exists(f'/proc/{sys.argv[2]}/exe')))"


@linux
def test_exit_hook_runs_after_all_processes_have_ended(run: RunDirectory, tmp_path: Path) -> None:
    pid = run.spawn("sleeper", FOREVER)
    run.at_end(python(LAST_WORD, str(tmp_path / "word"), str(pid)))
    assert not (tmp_path / "word").exists()
    run.close()
    assert (tmp_path / "word").read_text() == "False"


@pytest.mark.parametrize("command", [["sh", "-c", "echo it is stuck >&2; exit 1"], ["no-such-program"]])
def test_failed_exit_hook_is_reported(run: RunDirectory, command: list[str]) -> None:
    run.at_end(command)
    with pytest.raises(StackError, match=r"it is stuck|no-such-program"):
        run.close()
    assert not run.exists


def test_exit_hook_has_its_own_limit(run: RunDirectory) -> None:
    run.at_end(["true"], limit=supervisor.EXIT_HOOK_LIMIT + 1)
    run.at_end(FOREVER, limit=0.1)
    assert [limit for _, _, limit in supervisor.recorded_commands(run.path)] == [supervisor.EXIT_HOOK_LIMIT + 1, 0.1]
    with pytest.raises(StackError, match=r"timed out after 0\.1 seconds"):
        run.close()
    assert not run.exists


@linux
def test_exit_hook_that_takes_too_long_ends_with_what_it_started(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = tmp_path / "word"
    started = []

    def communicate(process: subprocess.Popen[bytes], *_: object, timeout: float) -> None:
        """Reach the limit when the child runs."""
        started.append(watch.add(int(poll(lambda: word.read_text() if word.exists() else None, timeout=LIMIT) or 0)))
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    command = ["sh", "-c", f"sleep 1000 & echo $! > {word}.draft; mv {word}.draft {word}; wait"]
    assert "timed out" in supervisor.run_commands([(command, dict(os.environ), LIMIT)])[0]
    assert len(started) == 1
    assert watch.left() == []


@pytest.mark.parametrize("kind", ["open to others", "a link"])
def test_directory_that_others_prepared_is_refused(short_directory: Path, kind: str) -> None:
    path, theirs = short_directory / "run", short_directory / "theirs"
    theirs.mkdir(mode=0o700)
    if kind == "a link":
        path.symlink_to(theirs)
    else:
        path.mkdir()
        path.chmod(0o755)
    with pytest.raises(StackError, match="belongs to another user or is open to others"):
        RunDirectory(path, os.getpid()).open()
    assert list(path.iterdir()) == []


def test_the_end_of_a_session_waits_for_its_commands(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is longer than for other answers."""
    run.at_end(["sleep", "1"], limit=LIMIT)
    monkeypatch.setattr(run_directory, "_ANSWER", 0.1)
    run.close()
    assert not run.exists


@linux
def test_exit_hook_runs_after_the_owner_was_killed(short_directory: Path, tmp_path: Path, watch: Watch) -> None:
    path, word = short_directory / "run", tmp_path / "word"
    code = OWNER.replace("print(", f"run.at_end(['touch', {str(word)!r}]); print(")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(python(code, str(path)), text=True, **pipes) as owner:  # type: ignore[call-overload]
        owner.stdout.readline()
        watch.add(supervisor_of(RunDirectory(path, owner.pid)))
        owner.kill()
    assert watch.left() == []
    assert word.exists()


@linux
def test_a_supervisor_answers_until_the_last_command_has_ended(
    short_directory: Path, tmp_path: Path, watch: Watch
) -> None:
    """Otherwise another session would treat the resources that are being removed as orphaned."""
    path, pipe = short_directory / "run", tmp_path / "pipe"
    os.mkfifo(pipe)
    code = OWNER.replace("print(", f"run.at_end(['cat', {str(pipe)!r}]); print(")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(python(code, str(path)), text=True, **pipes) as owner:  # type: ignore[call-overload]
        owner.stdout.readline()
        run = RunDirectory(path, owner.pid)
        watch.add(supervisor_of(run))
        owner.kill()
    with pipe.open("w"):  # which waits until the command reads
        assert run.answers
    assert watch.left() == []
    assert not run.answers


def test_supervisor_answers_until_the_session_is_closed(run: RunDirectory) -> None:
    assert run.answers
    run.close()
    assert not run.answers


@contextlib.contextmanager
def as_other_user(path: Path) -> Iterator[None]:
    """Run as another user, or without access to the directory if this is not possible."""
    if os.getuid() == 0:
        os.seteuid(65534)
    else:
        path.chmod(0)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        else:
            path.chmod(0o700)


def test_supervisor_of_another_user_counts_as_answering(run: RunDirectory) -> None:
    with as_other_user(run.path):
        assert run.answers, "what it keeps would be taken for left behind"


# -- several processes of one run -----------------------------------------------------------------------------


@linux
def test_processes_that_open_a_session_at_once_share_one_supervisor(short_directory: Path) -> None:
    path = short_directory / "run"
    count = 8
    barrier = Barrier(count)

    def open_and_spawn(number: int) -> int:
        run = RunDirectory(path, os.getpid())
        barrier.wait(LIMIT)
        run.open()
        run.spawn(f"p{number}", FOREVER)
        return supervisor_of(run)

    with ThreadPoolExecutor(count) as pool:
        servers = set(pool.map(open_and_spawn, range(count)))
    run = RunDirectory(path, os.getpid())
    try:
        assert len(servers) == 1
        assert [run.returncode(f"p{number}") for number in range(count)] == [None] * count
    finally:
        run.close()


@linux
def test_another_process_of_the_run_shares_its_supervisor(run: RunDirectory, watch: Watch) -> None:
    code = OWNER.replace("os.getpid()", "int(sys.argv[2])").replace("sys.stdin.read()", "")
    command = python(code, str(run.path), str(os.getpid()))
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT)
    pids = [watch.add(int(pid)) for pid in answer.stdout.split()]
    assert run.returncode("one") is None, "it ended with a process that is not the owner"
    run.close()
    assert not any(watch.running(pid) for pid in pids)


def test_two_sessions_do_not_share_names(run: RunDirectory, short_directory: Path) -> None:
    other = RunDirectory(short_directory / "other", os.getpid())
    other.open()
    run.spawn("same-name", FOREVER)
    other.spawn("same-name", ["true"])
    assert ended(other, "same-name") == 0
    other.close()
    assert run.returncode("same-name") is None


def test_interrupted_wait_for_the_end_keeps_the_directory(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor still needs it, and removes it."""
    ask = run._ask

    def interrupted(operation: str, **request: Any) -> dict[str, Any]:
        if operation == "end":
            raise KeyboardInterrupt
        return ask(operation, **request)

    with monkeypatch.context() as patch:
        patch.setattr(run, "_ask", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"removes what the session started; .* vault-issuer stack down"):
            run.close()
        assert run.exists
        assert run.answers
    run.close()
    assert not run.exists
