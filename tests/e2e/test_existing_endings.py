"""After any end, a session on an existing cluster and Vault has removed everything, or lists what remains."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.kube import Cluster
from pytest_vault_issuer.kube.client import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CRDS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from pytest_vault_issuer.session.session import Session
from pytest_vault_issuer.stack.bootstrap import REVIEWER_BINDING
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.timeouts import Timeouts, poll
from pytest_vault_issuer.vault import VaultAdmin
from tests.e2e.conftest import LIMIT
from tests.support import memory_limit, small_disk
from tests.support.memory_limit import MemoryLimit
from tests.support.processes import supervisor_of
from tests.support.reader import user_environment

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
TOKEN = "VAULT_ISSUER_VAULT_TOKEN"
#: Creates every type of object of a test, writes a file, and continues when another file exists.
HELD = """
import os, time, pathlib

def test_held(vault_issuer_sandbox):
    sandbox = vault_issuer_sandbox
    sandbox.ready_issuer("Issuer", sandbox.token("Issuer"))
    sandbox.ready_issuer("ClusterIssuer", sandbox.approle("ClusterIssuer"))
    sandbox.ready_issuer("Issuer", sandbox.kubernetes_secretless("Issuer"))
    here = pathlib.Path(__file__).parent
    (here / "holding").write_text(str(os.getpid()))
    while not (here / "go").exists():
        time.sleep(0.05)
"""
#: All permissions except to disable one auth method.
ALMOST_ALL = """
path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
path "sys/auth/cert" { capabilities = ["create", "read", "update", "sudo"] }
"""
OF_A_SESSION = (NAMESPACES, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, CRDS)
SECRETS_THERE = (SECRETS, SERVICE_ACCOUNTS)
STACK_COMMAND = [sys.executable, "-c", "from pytest_vault_issuer.cli.main import run; run()", "stack"]


@dataclass
class Theirs:
    """The user's cluster and Vault: a stack that another session started."""

    cluster: Cluster
    vault: VaultAdmin
    stack: Stack

    @property
    def options(self) -> list[str]:
        return [
            f"--vault-issuer-kubeconfig={self.stack.kubernetes.kubeconfig}",
            f"--vault-issuer-vault-addr={self.vault.server.url}",
            f"--vault-issuer-vault-ca-cert={self.vault.server.ca_file}",
        ]

    def state(self) -> dict[str, set[str]]:
        """Name everything that a session could leave behind."""
        client = self.vault.client
        identities = client.list("identity/entity/id")
        return {
            **{resource.plural: self._names(resource) for resource in (*OF_A_SESSION, *SECRETS_THERE)},
            "secrets engines": set(client.sys.list_mounted_secrets_engines()["data"]),
            "auth methods": set(client.sys.list_auth_methods()["data"]),
            "policies": set(client.sys.list_policies()["data"]["policies"]),
            "tokens": set(client.list("auth/token/accessors")["data"]["keys"]),
            "entities": set(identities["data"]["keys"]) if identities else set(),
        }

    def _names(self, resource: Resource) -> set[str]:
        items = [item["metadata"] for item in self.cluster.list(resource)]
        return {f"{item.get('namespace', '')}/{item['name']}" for item in items}


@pytest.fixture(scope="module")
def theirs(vault_issuer_session: Session) -> Iterator[Theirs]:
    stack, launcher = vault_issuer_session.stack(), vault_issuer_session.launcher()
    assert launcher is not None
    vault = VaultAdmin(launcher.start_vault(), Timeouts())
    vault.initialize()
    vault.unseal()
    vault.client.sys.create_or_update_policy("almost-all", ALMOST_ALL)
    cluster = vault_issuer_session.cluster()
    # This binding marks the stack as used by a session.
    cluster.delete(CLUSTER_ROLE_BINDINGS, REVIEWER_BINDING)
    cluster.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vault-issuer-system"}})
    yield Theirs(cluster, vault, stack)
    launcher.stop_vault(vault.server)


class Started:
    """A session in the middle of a test, with objects of every type."""

    def __init__(self, theirs: Theirs, folder: Path, temporary: Path) -> None:
        self._theirs = theirs
        self._folder = folder
        self.temporary = temporary
        self.environment = user_environment(
            TMPDIR=str(temporary), XDG_STATE_HOME=str(folder / "state"), **{TOKEN: theirs.vault.server.token}
        )
        self.process: subprocess.Popen[str] | None = None
        self.test = 0

    def command(self, *arguments: str) -> list[str]:
        return [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(self._folder / "test_held.py")),
            *("--vault-issuer=sample-controller", *self._theirs.options, *arguments),
        ]

    def start(self, *arguments: str, token: str = "", limit: MemoryLimit | None = None) -> None:
        (self._folder / "test_held.py").write_text(HELD)
        self.process = subprocess.Popen(
            self.command(*arguments),
            env=self.environment | ({TOKEN: token} if token else {}),
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if limit is not None:
            limit.add(self.process.pid)  # before it starts another process

        def holding() -> str | None:
            assert self.process is not None
            if self.process.poll() is not None:
                pytest.fail(self.process.communicate()[0])
            with contextlib.suppress(FileNotFoundError):
                return (self._folder / "holding").read_text() or None
            return None

        self.test = int(poll(holding, timeout=120) or pytest.fail("the session did not come to its test"))

    @property
    def directory(self) -> Path:
        return next(self.temporary.glob("vault-issuer-*"))

    def go_on(self) -> None:
        (self._folder / "go").touch()

    def output(self) -> str:
        assert self.process is not None
        return self.process.communicate(timeout=LIMIT)[0]

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def stack(self, *words: str, status: int = 0, token: str = "") -> str:
        done = subprocess.run(
            [*STACK_COMMAND, *words],
            env=self.environment | {TOKEN: token or self._theirs.vault.server.token},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refused(self) -> str:
        """Run another session on the same cluster, and return its error."""
        (self._folder / "test_held.py").write_text(HELD)
        done = subprocess.run(
            self.command(), env=self.environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert done.returncode == 1, done.stdout
        return done.stdout

    @property
    def records(self) -> list[Path]:
        return list((self._folder / "state/vault-issuer").glob("*"))


@pytest.fixture
def session(theirs: Theirs, tmp_path: Path, temporary: Path) -> Iterator[Started]:
    session = Started(theirs, tmp_path, temporary)
    yield session
    if session.process is not None and session.process.poll() is None:
        session.process.kill()
        session.process.communicate()
    for record in session.records:  # after a failed test too
        poll(lambda record=record: None if record.exists() else True, timeout=60)
        session.stack("down", record.stem)


def by_itself(session: Started) -> None:
    session.go_on()
    assert "1 passed" in session.output()


def by_signal(number: int) -> Callable[[Started], None]:
    def end(session: Started) -> None:
        session.signal(number)
        session.output()

    return end


def worker_killed(session: Started) -> None:
    os.kill(session.test, signal.SIGKILL)
    session.go_on()
    assert "crashed" in session.output()


def supervisor_killed(session: Started) -> None:
    os.kill(supervisor_of(session.directory), signal.SIGKILL)
    session.go_on()
    session.output()


def group_killed(session: Started) -> None:
    assert session.process is not None
    os.killpg(session.process.pid, signal.SIGKILL)
    session.output()


def disk_full(session: Started) -> None:
    with (session.temporary / "full").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65536)
    session.signal(signal.SIGTERM)
    session.output()


FULL = pytest.mark.full


@pytest.mark.parametrize(
    ("end", "workers"),
    [
        pytest.param(by_itself, "-n0", id="by itself", marks=FULL),
        pytest.param(by_signal(signal.SIGINT), "-n0", id="SIGINT", marks=FULL),
        pytest.param(by_signal(signal.SIGTERM), "-n0", id="SIGTERM"),
        pytest.param(by_signal(signal.SIGTERM), "-n1", id="SIGTERM with a worker", marks=FULL),
        pytest.param(by_signal(signal.SIGHUP), "-n0", id="SIGHUP", marks=FULL),
        pytest.param(by_signal(signal.SIGKILL), "-n0", id="SIGKILL", marks=FULL),
        pytest.param(worker_killed, "-n1", id="SIGKILL of a worker", marks=FULL),
        pytest.param(supervisor_killed, "-n0", id="SIGKILL of the supervisor"),
        pytest.param(group_killed, "-n1", id="SIGKILL of the process group", marks=FULL),
    ],
)
def test_session_removes_everything_however_it_ends(
    theirs: Theirs, session: Started, end: Callable[[Started], None], workers: str
) -> None:
    before = theirs.state()
    session.start(workers)
    assert theirs.state() != before
    end(session)
    assert_nothing_left(theirs, session, before)


@pytest.mark.full
@pytest.mark.skipif(not small_disk.can_be_mounted(), reason="only root on Linux can mount a small disk")
def test_full_disk_does_not_prevent_the_cleanup(theirs: Theirs, session: Started) -> None:
    before = theirs.state()
    with small_disk.mounted("40m") as disk:
        session.temporary = disk
        session.environment["TMPDIR"] = str(disk)
        session.start("-n0")
        disk_full(session)
        assert_nothing_left(theirs, session, before)


@pytest.mark.full
@pytest.mark.skipif(not memory_limit.can_be_set(), reason="needs root and the control groups of version 1")
def test_session_out_of_memory_removes_everything(theirs: Theirs, session: Started) -> None:
    before = theirs.state()
    with memory_limit.limited() as limit:
        session.start("-n0", limit=limit)
        limit.exhaust()
        session.go_on()
        session.output()
        assert_nothing_left(theirs, session, before)


def assert_nothing_left(theirs: Theirs, session: Started, before: dict[str, set[str]]) -> None:
    poll(lambda: None if session.records else True, timeout=120)
    assert difference(theirs.state(), before) == {}
    assert session.records == []
    assert poll(lambda: None if list(session.temporary.glob("vault-issuer-*")) else True, timeout=60)


def difference(after: dict[str, set[str]], before: dict[str, set[str]]) -> dict[str, set[str]]:
    return {kind: names ^ before[kind] for kind, names in after.items() if names != before[kind]}


def test_stack_down_finishes_the_cleanup_after_a_killed_supervisor(theirs: Theirs, session: Started) -> None:
    before = theirs.state()
    session.start("-n0")
    name = session.directory.name
    os.kill(supervisor_of(session.directory), signal.SIGKILL)
    assert session.process is not None
    os.killpg(session.process.pid, signal.SIGKILL)
    session.output()
    (record,) = session.records
    assert (record.stat().st_mode & 0o777, record.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert theirs.vault.server.token not in record.read_text()

    assert "unfinished" in session.stack("list")
    following = session.refused()
    assert f"the cleanup of session {name} is unfinished: vault-issuer stack down {name}" in following
    assert f"it belongs to session {name}" in following

    session.stack("down", name)
    assert_nothing_left(theirs, session, before)


def test_refused_step_leaves_only_its_own_objects(theirs: Theirs, session: Started) -> None:
    answer = theirs.vault.client.auth.token.create_orphan(policies=["almost-all"], ttl="1h")
    before = theirs.state()
    session.start("-n0", token=answer["auth"]["client_token"])
    name = session.directory.name
    session.go_on()
    output = session.output()
    assert session.process is not None
    assert session.process.returncode == 3, output
    assert "Vault auth method cert: " in output
    assert "vault auth disable cert" in output
    assert f"vault-issuer stack down {name}" in output
    assert "Traceback" not in output
    assert difference(theirs.state(), before) == {"auth methods": {"cert/"}}
    assert "vault auth disable cert" in session.stack("down", name, status=2, token=answer["auth"]["client_token"]), (
        "a second try without the right is no better"
    )
    session.stack("down", name)
    assert_nothing_left(theirs, session, before)


def test_second_session_on_the_cluster_is_refused(theirs: Theirs, session: Started, tmp_path: Path) -> None:
    session.start("-n0")
    name = session.directory.name
    during = theirs.state()
    second = session.refused()
    assert f"ClusterRoleBinding {REVIEWER_BINDING} exists in the cluster: it belongs to session {name}" in second
    assert "is unfinished" not in second
    # Only the first session removed objects since.
    assert {kind: names - during[kind] for kind, names in theirs.state().items() if names - during[kind]} == {}
    by_itself(session)
    assert session.records == []


def test_existing_object_is_refused_and_unchanged(theirs: Theirs, session: Started) -> None:
    """The manifests of the implementation name an object that exists."""
    mine: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "vault-issuer-test-sample-controller"},
        "rules": [],
    }
    role = theirs.cluster.create(CLUSTER_ROLES, mine)
    try:
        before = theirs.state()
        refused = session.refused()
        taken = "the ClusterRole vault-issuer-test-sample-controller exists in the cluster"
        assert f"{taken}, and this session did not create it" in refused
        assert theirs.cluster.get(CLUSTER_ROLES, "vault-issuer-test-sample-controller") == role
        assert_nothing_left(theirs, session, before)
    finally:
        theirs.cluster.delete(CLUSTER_ROLES, "vault-issuer-test-sample-controller")
