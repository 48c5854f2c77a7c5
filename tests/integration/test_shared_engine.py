"""A shared engine: sessions in other containers, or of other users, do not remove each other's resources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.doctor.machine import examine_machine
from pytest_vault_issuer.stack.kind.engine import Engine
from pytest_vault_issuer.supervisor.discovery import UNATTRIBUTED
from pytest_vault_issuer.toolchain import Toolchain
from tests.support.containers import BUSYBOX, engine_with, not_run

#: The container of a CI job: the same engine, host name and user, other processes and temporary files.
CONTAINER = [
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-ec",
    'mount -t tmpfs tmpfs /tmp; exec "$@"',
    "sh",
]
#: Another user with the same read permissions, because Python may be in the home of the first.
USER = [
    "setpriv",
    "--reuid=54321",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
    "--",
]
WHERE = {"in another container": CONTAINER, "of another user": USER}
#: A session with a container and a network. Argument: whether it is killed, its supervisor first.
SESSION = """
import json, os, signal, sys
from pytest_vault_issuer.stack.kind import cleanup
from pytest_vault_issuer.stack.kind.engine import Engine, Owner
from pytest_vault_issuer.supervisor.run_directory import RunDirectory, new_path
run = RunDirectory(new_path(), os.getpid())
run.open()
engine, owner = Engine(), Owner.of(run)
engine.create_network(owner)
engine.client.containers.run(
    sys.argv[2], ["sleep", "1000"], name=owner.run + "-vault", labels=owner.labels, network=owner.run, detach=True
)
if sys.argv[1] == "killed":
    os.kill(run.supervisor, signal.SIGKILL)
print(owner.run, flush=True)
sys.stdin.read()
"""
#: The cleanup at the start of a new session. Prints what is left as JSON.
NEW_RUN = """
import json
from pytest_vault_issuer.stack.kind import cleanup
from pytest_vault_issuer.stack.kind.engine import Engine
engine = Engine()
print(json.dumps({
    "removed": cleanup.remove_orphans(engine, print),
    "orphans": [owner.run for owner in cleanup.orphans(engine)],
    "unattributed": [owner.run for owner in cleanup.unattributed(engine)],
}))
"""


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """These tests need no component of the toolchain."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    if sys.platform != "linux" or os.geteuid() != 0:
        not_run("only root on Linux can act as another container or user")
    yield from engine_with(BUSYBOX)


@dataclass
class Session:
    run: str
    directory: Path

    @property
    def names(self) -> list[str]:
        return [f"{self.run}-vault", f"network {self.run}"]


def python(where: list[str], code: str, *arguments: str, temporary: Path) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(temporary)}
    return [*where, sys.executable, "-c", code, *arguments], environment


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The run directory of the other session; hidden if it has its own /tmp."""
    with tempfile.TemporaryDirectory(prefix="vi-", dir="/tmp") as path:
        Path(path).chmod(0o777)
        yield Path(path)


@pytest.fixture
def session(request: pytest.FixtureRequest, engine: Engine, temporary: Path) -> Iterator[Session]:
    """A session of another user, live or killed."""
    where, ending = request.param
    place = Path("/tmp") if where == "in another container" else temporary
    command, environment = python(WHERE[where], SESSION, ending, BUSYBOX, temporary=place)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
    ) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        assert run.startswith("vault-issuer-")
        yield Session(run, place / run)
        process.kill()
    engine.remove(run)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the run directories of others."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def new_run(where: list[str], temporary: Path) -> dict[str, Any]:
    command, environment = python(where, NEW_RUN, temporary=temporary)
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd="/")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(
    "session", [(where, ending) for where in WHERE for ending in ("under way", "killed")], indirect=True, ids="-".join
)
@pytest.mark.parametrize("observer", ["here", *WHERE])
def test_new_session_removes_nothing_of_another(
    engine: Engine, session: Session, observer: str, temporary: Path, request: pytest.FixtureRequest
) -> None:
    where = request.node.callspec.params["session"][0]
    if (where, observer) == ("of another user", "of another user"):
        observer = "here"  # the same user, who removes its own resources
    seen = new_run(WHERE.get(observer, []), Path("/tmp") if observer == "in another container" else temporary)
    assert session.run not in seen["removed"]
    assert session.run not in seen["orphans"]
    assert engine.names_of(session.run) == session.names


@pytest.mark.parametrize("session", [("of another user", "killed")], indirect=True, ids="-".join)
def test_new_session_of_the_same_user_removes_orphaned_resources(
    engine: Engine, session: Session, temporary: Path
) -> None:
    seen = new_run(USER, temporary)
    assert set(seen["removed"][session.run]) == {*session.names, str(session.directory)}
    assert engine.names_of(session.run) == []
    assert not session.directory.exists()


@pytest.mark.parametrize("session", [("of another user", "under way")], indirect=True, ids="-".join)
def test_resources_of_a_live_session_are_not_listed(engine: Engine, session: Session, temporary: Path) -> None:
    assert session.run not in new_run([], temporary)["unattributed"]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "session",
    [("in another container", "under way"), ("in another container", "killed"), ("of another user", "killed")],
    indirect=True,
    ids="-".join,
)
def test_resources_without_a_known_owner_are_listed_with_the_commands(
    engine: Engine, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stack", "down"]) == 0
    assert engine.names_of(session.run) == session.names, "expected the resources kept"
    output = capsys.readouterr().out
    assert main(["stack", "status"]) == 0
    shown = capsys.readouterr().out
    (row,) = [line for line in shown.splitlines() if line.rstrip().endswith(str(session.directory))]
    assert f"{UNATTRIBUTED}  {', '.join(session.names)}" in row
    found = [finding for finding in examine_machine(Toolchain()) if session.run in finding.detail]
    assert [finding.subject for finding in found] == [UNATTRIBUTED]
    command = engine.removal_of(session.run)
    assert command in output
    assert command in shown
    assert command in found[0].fix
    subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL)
    assert engine.names_of(session.run) == []
