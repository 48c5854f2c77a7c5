"""Vault in containers, and the cleanup, which removes all of our resources and none of others."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.doctor.machine import examine_machine
from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.stack.certificates import StackAuthority
from pytest_vault_issuer.stack.kind import cleanup
from pytest_vault_issuer.stack.kind.cluster import KindClusters
from pytest_vault_issuer.stack.kind.engine import CLUSTER_LABEL, RUN_LABEL, Engine, Owner
from pytest_vault_issuer.stack.kind.reachability import check_node
from pytest_vault_issuer.stack.kind.vault import VaultContainers
from pytest_vault_issuer.supervisor.discovery import ORPHAN, find_session, remove
from pytest_vault_issuer.supervisor.run_directory import RunDirectory, new_path
from pytest_vault_issuer.timeouts import Timeouts, poll
from pytest_vault_issuer.toolchain import Toolchain
from pytest_vault_issuer.vault import VaultAdmin
from pytest_vault_issuer.vault.client import VaultUnreachableError
from tests.support import authorization, small_disk
from tests.support.authorization import Plugin
from tests.support.containers import NODE, OPENBAO, VAULT, all_names, engine_with, kind_program, not_run, require
from tests.support.processes import supervisor_of
from tests.support.registry import empty_registry, forget, push


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """These tests need no component of the toolchain."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from engine_with(VAULT)


@pytest.fixture
def run() -> Iterator[RunDirectory]:
    run = RunDirectory(new_path(), os.getpid())
    run.open()
    yield run
    run.close()


@pytest.fixture
def owner(run: RunDirectory, engine: Engine) -> Owner:
    """A session with a network that it removes at its end."""
    owner = Owner.of(run)
    run.at_end(cleanup.command(owner.run), engine.environment)
    engine.create_network(owner)
    return owner


@pytest.fixture
def authority(run: RunDirectory, owner: Owner) -> StackAuthority:
    authority = StackAuthority(run)
    VaultContainers.prepare(authority, owner)
    return authority


@pytest.fixture
def vaults(engine: Engine, owner: Owner, authority: StackAuthority) -> VaultContainers:
    return VaultContainers(engine, owner, owner.run, VAULT, authority.file, Timeouts())


@pytest.fixture(params=[VAULT, OPENBAO])
def either(request: pytest.FixtureRequest, engine: Engine, owner: Owner, authority: StackAuthority) -> VaultContainers:
    """Yield Vaults from HashiCorp's image and from OpenBao's."""
    require(engine, request.param)
    return VaultContainers(engine, owner, owner.run, request.param, authority.file, Timeouts())


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for _ in engine_with(VAULT):  # without an image, the test is skipped, and nothing is pulled
        with empty_registry(tmp_path_factory.mktemp("registry")) as address:
            yield address


def left_of(engine: Engine, run: str) -> list[str]:
    label = {"label": f"{RUN_LABEL}={run}"}
    containers = engine.client.containers.list(all=True, filters=label)
    return [thing.name for thing in [*containers, *engine.client.networks.list(filters=label)]]


# -- Vault ----------------------------------------------------------------------------------------------------


def test_vault_container_starts_sealed_with_tls(either: VaultContainers) -> None:
    admin = VaultAdmin(either.start_vault())
    assert admin.health == 501
    admin.initialize()
    admin.unseal()
    assert admin.health == 200
    assert admin.server.url.startswith("https://127.0.0.1:")


def test_vault_container_starts_in_dev_mode(either: VaultContainers) -> None:
    admin = VaultAdmin(either.start_dev())
    assert admin.health == 200
    assert admin.client.auth.token.lookup_self()["data"]["policies"] == ["root"]


def test_vault_containers_share_storage(either: VaultContainers) -> None:
    first, second = (VaultAdmin(either.start_vault(storage="raft")) for _ in range(2))
    first.initialize()
    first.unseal()
    first.wait_health(200)
    second.join_raft(first.server)
    assert (first.health, second.health) == (200, 429)


def test_vault_container_listens_on_loopback_only(vaults: VaultContainers, engine: Engine) -> None:
    server = vaults.start_vault()
    published = engine.client.containers.get(server.name).attrs["NetworkSettings"]["Ports"]
    assert {binding["HostIp"] for bindings in published.values() if bindings for binding in bindings} == {"127.0.0.1"}


def test_stopped_vault_container_is_removed(vaults: VaultContainers, engine: Engine, owner: Owner) -> None:
    server = vaults.start_vault()
    vaults.stop_vault(server)
    vaults.stop_vault(server)  # again: nothing to do
    assert left_of(engine, owner.run) == [owner.run]
    with pytest.raises(VaultUnreachableError):
        _ = VaultAdmin(server).health


def test_vault_container_that_ends_at_once_is_reported(vaults: VaultContainers, engine: Engine, owner: Owner) -> None:
    with pytest.raises(StackError, match="or ended") as caught:
        vaults.start_vault(storage="no-such-storage")
    assert "storage" in caught.value.message.partition("the end of its log:")[2], "why"
    assert left_of(engine, owner.run) == [owner.run]


def test_missing_image_is_reported(engine: Engine) -> None:
    with pytest.raises(StackError, match=r"image localhost:1/absent/vault:1\.0\.0 and cannot pull it"):
        engine.provide("localhost:1/absent/vault:1.0.0")


@pytest.mark.parametrize("named", ["vault:{}", "docker.io/library/vault:{}", "quay.test/library/vault:{}"])
def test_image_is_pulled_through_a_mirror(engine: Engine, registry: str, named: str) -> None:
    before = all_names(engine)
    image = named.format(f"1.21.2-{secrets.token_hex(3)}")
    push(engine, VAULT, registry, f"hub/library/{image.rpartition('/')[2]}")
    with pytest.raises(StackError, match="and cannot pull it"):
        engine.provide(image)
    engine.provide(image, f"{registry}/hub")
    try:
        assert engine.client.images.get(image) == engine.client.images.get(VAULT)
    finally:
        forget(engine, image)
    assert all_names(engine) == before


def test_image_missing_in_the_mirror_is_reported(engine: Engine, registry: str) -> None:
    with pytest.raises(StackError, match=rf"cannot pull it as {registry}/hub/absent/vault:1\.0\.0: ") as caught:
        engine.provide("absent/vault:1.0.0", f"{registry}/hub")
    assert "--vault-issuer-registry-mirror" in caught.value.hint


def test_gateway_is_an_address_of_this_machine(engine: Engine, owner: Owner, vaults: VaultContainers) -> None:
    vaults.start_vault()
    with socket.create_server((engine.gateway(owner.run), 0)):
        pass


# -- clusters that cannot be used -----------------------------------------------------------------------------


@pytest.fixture
def node(engine: Engine, owner: Owner) -> Iterator[str]:
    """A container that represents the node of a user's kind cluster; the name of the cluster."""
    require(engine, NODE)
    cluster = f"user-{secrets.token_hex(3)}"
    container = engine.client.containers.run(
        NODE,
        ["infinity"],
        entrypoint="sleep",
        labels={CLUSTER_LABEL: cluster},
        network=owner.run,
        detach=True,
    )
    yield cluster
    container.remove(force=True, v=True)


def test_existing_cluster_name_is_refused(engine: Engine, owner: Owner, run: RunDirectory, node: str) -> None:
    clusters = KindClusters(run, engine, kind_program(), Timeouts())
    with pytest.raises(StackError, match=f"a kind cluster named {node} exists, and this session did not create it"):
        clusters.create(node, owner.run, node_image=NODE, kind_config=None)
    assert len(engine.nodes(node)) == 1, "expected the node unchanged"


def test_firewall_between_cluster_and_proxy_is_reported(engine: Engine, owner: Owner, node: str) -> None:
    gateway, timeouts = engine.gateway(owner.run), Timeouts()
    check_node(engine, node, gateway, timeouts)
    unreached = pytest.raises(StackError, match=f"does not reach this machine at {gateway}: no answer")
    with firewall(engine, owner), unreached as caught:
        check_node(engine, node, gateway, timeouts)
    assert "firewall" in caught.value.hint
    check_node(engine, node, gateway, timeouts)


@contextlib.contextmanager
def firewall(engine: Engine, owner: Owner) -> Iterator[None]:
    """Drop all packets from a network to this machine."""
    if os.geteuid() != 0 or shutil.which("iptables") is None:
        not_run("only root can change the firewall, with iptables")
    network = engine.client.networks.get(owner.run)
    rule = ["INPUT", "--in-interface", f"br-{network.id[:12]}", "--jump", "DROP"]
    subprocess.run(["iptables", "--wait", "--insert", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "--wait", "--delete", *rule], check=True)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk with little more space than an image of Vault needs."""
    if not small_disk.can_be_mounted() or shutil.which("dockerd") is None:
        not_run("only root can mount a small disk, and start an engine on it")
    with small_disk.mounted("1g") as place:
        yield place


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    """Refuses what the second engine does not delete."""
    with authorization.plugin() as plugin:
        yield plugin


@pytest.fixture
def small_engine(engine: Engine, disk: Path, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A second engine, on a small disk, that has an image of Vault."""
    address = f"unix://{disk}/docker.sock"
    options = {
        "host": address,
        "data-root": disk / "data",
        "exec-root": disk / "exec",
        "pidfile": disk / "dockerd.pid",
        "bridge": "none",
        "iptables": "false",
        "ip6tables": "false",
        "containerd-namespace": "small",
        "containerd-plugins-namespace": "small-plugins",
        "authorization-plugin": plugin.name,
    }
    with (disk / "log").open("w") as log:
        daemon = subprocess.Popen(
            ["dockerd", *(f"--{name}={value}" for name, value in options.items())], stdout=log, stderr=log
        )
    try:
        monkeypatch.setenv("DOCKER_HOST", address)
        small = poll(lambda: _answering(daemon), timeout=60)
        assert small is not None, (disk / "log").read_text()
        small.client.images.load(b"".join(engine.client.images.get(VAULT).save(named=VAULT)))
        yield small
        small.close()
    finally:
        daemon.terminate()
        daemon.wait(60)


def _answering(daemon: subprocess.Popen[bytes]) -> Engine | None:
    assert daemon.poll() is None
    try:
        return Engine()
    except StackError:
        return None


def test_full_disk_of_the_engine_is_reported(small_engine: Engine, disk: Path, run: RunDirectory) -> None:
    owner = Owner.of(run)
    authority = StackAuthority(run)
    VaultContainers.prepare(authority, owner)
    small_engine.create_network(owner)
    with (disk / "filling").open("wb") as filling, contextlib.suppress(OSError):
        while True:
            filling.write(bytes(1 << 16))
    vaults = VaultContainers(small_engine, owner, owner.run, VAULT, authority.file, Timeouts())
    with pytest.raises(StackError, match="no space left on device") as caught:
        vaults.start_vault()
    assert "the disk is full: free some space" in caught.value.hint
    (disk / "filling").unlink()
    assert left_of(small_engine, owner.run) == [owner.run]
    small_engine.remove(owner.run)


def test_refused_removal_leaves_only_its_own_resources(small_engine: Engine, plugin: Plugin, run: RunDirectory) -> None:
    owner = Owner.of(run)
    small_engine.create_network(owner)
    other, refused = (
        small_engine.client.containers.create(VAULT, name=f"{owner.run}-{name}", labels={RUN_LABEL: owner.run})
        for name in ("other", "refused")
    )
    plugin.refused.add(refused.id)
    with pytest.raises(StackError, match="authorization denied by plugin") as caught:
        small_engine.remove(owner.run)
    assert refused.name in caught.value.message
    assert other.name not in str(caught.value)
    assert f"docker --host {small_engine.address} rm --force --volumes {refused.name}" in caught.value.hint
    assert small_engine.names_of(owner.run) == [refused.name]

    plugin.refused.clear()
    assert small_engine.remove(owner.run) == [refused.name]
    assert small_engine.names_of(owner.run) == []


# -- cleanup --------------------------------------------------------------------------------------------------


def test_session_removes_its_containers_at_its_end(
    vaults: VaultContainers, engine: Engine, owner: Owner, run: RunDirectory
) -> None:
    vaults.start_vault()
    run.close()
    assert left_of(engine, owner.run) == []
    run.open()  # the fixture closes it


#: A session that starts a Vault and prints a line. Arguments: the run directory, the image.
STARTS = """
import os, sys
from pathlib import Path
from pytest_vault_issuer.stack.kind import cleanup
from pytest_vault_issuer.stack.certificates import StackAuthority
from pytest_vault_issuer.stack.kind.engine import Engine, Owner
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
from pytest_vault_issuer.stack.kind.vault import VaultContainers
from pytest_vault_issuer.timeouts import Timeouts
run = RunDirectory(Path(sys.argv[1]), os.getpid())
run.open()
engine, owner = Engine(), Owner.of(run)
run.at_end(cleanup.command(owner.run), engine.environment)
engine.create_network(owner)
authority = StackAuthority(run)
VaultContainers.prepare(authority, owner)
VaultContainers(engine, owner, owner.run, sys.argv[2], authority.file, Timeouts()).start_vault()
print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def killed(engine: Engine) -> Iterator[tuple[subprocess.Popen[str], RunDirectory]]:
    """A session in its own process that has started a Vault."""
    path = new_path()
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(path), VAULT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    yield process, RunDirectory(path, process.pid)
    process.kill()
    process.communicate()
    engine.remove(path.name)
    # If its supervisor was killed too, its directory remains until `stack down`.
    if (found := find_session(path)) is not None and found.state == ORPHAN:
        remove(found)
    assert poll(lambda: None if path.exists() else True, timeout=60), path


def test_killed_session_leaves_no_containers(
    killed: tuple[subprocess.Popen[str], RunDirectory], engine: Engine
) -> None:
    process, run = killed
    assert len(left_of(engine, run.path.name)) == 2
    process.kill()
    assert poll(lambda: None if left_of(engine, run.path.name) else True, timeout=60, interval=0.2)


def test_only_orphaned_containers_are_found(
    killed: tuple[subprocess.Popen[str], RunDirectory], engine: Engine, vaults: VaultContainers, owner: Owner
) -> None:
    process, run = killed
    vaults.start_vault()
    foreign = engine.client.networks.create("vault-issuer-test-foreign")
    try:
        assert [orphan.run for orphan in cleanup.orphans(engine)] == [], "it is under way"
        os.kill(supervisor_of(run.path), signal.SIGKILL)
        process.kill()
        process.wait()
        removed = cleanup.remove_orphans(engine, print)
        assert list(removed) == [run.path.name]
        assert len(removed[run.path.name]) == 3, "a container, its network, and the directory"
        assert left_of(engine, run.path.name) == []
        assert not run.path.exists(), "credentials are in it"
        assert len(left_of(engine, owner.run)) == 2, "another run is under way"
        assert engine.client.networks.list(names=[foreign.name])
    finally:
        foreign.remove()


def test_orphaned_containers_without_a_directory_are_removed(
    killed: tuple[subprocess.Popen[str], RunDirectory],
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    process, run = killed
    left = engine.names_of(run.path.name)
    os.kill(supervisor_of(run.path), signal.SIGKILL)
    process.kill()
    process.wait()
    shutil.rmtree(run.path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # without other users' stacks
    assert main(["stack", "status"]) == 0
    printed = capsys.readouterr().out
    assert f"orphan  0 processes, {', '.join(left)}" in printed
    assert str(run.path) in printed
    found = next(finding for finding in examine_machine(Toolchain()) if finding.subject == "orphaned resources")
    assert found.detail == f"on the container engine: {', '.join(left)}"
    assert main(["stack", "down"]) == 0
    containers = [name for name in left if not name.startswith("network ")]
    networks = [name.removeprefix("network ") for name in left if name.startswith("network ")]
    assert capsys.readouterr().out.splitlines() == [
        f"removed {run.path.name} (orphan)",
        f"  containers: {len(containers)} ({', '.join(containers)})",
        f"  container networks: {len(networks)} ({', '.join(networks)})",
    ]
    assert left_of(engine, run.path.name) == []
