"""The provider ``process`` is real, local and private."""

from __future__ import annotations

import http.client
import ssl
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from pytest_vault_issuer.kube import ApiError, Cluster
from pytest_vault_issuer.kube.audit import AuditLog
from pytest_vault_issuer.kube.client import NAMESPACES, SECRETS, SERVICE_ACCOUNTS
from pytest_vault_issuer.session.session import Session
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.timeouts import poll
from pytest_vault_issuer.toolchain import find
from pytest_vault_issuer.vault import VaultAdmin


@pytest.fixture
def namespace(vault_issuer_cluster: Cluster, request: pytest.FixtureRequest) -> str:
    name = f"test-{abs(hash(request.node.nodeid)) % 10**8}"
    vault_issuer_cluster.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def test_components_have_the_pinned_versions(vault_issuer_stack: Stack) -> None:
    started = vault_issuer_stack.components
    assert started["kubernetes"] == find("kubernetes").version
    assert f"v{started['vault']}" == find("vault").version


def test_nothing_answers_plain_http(vault_issuer_stack: Stack) -> None:
    for url in (vault_issuer_stack.vault.url, vault_issuer_stack.kubernetes.url_for_vault):
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 0, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().status == 400, f"{url} must refuse HTTP"
        connection.close()


def test_certificates_come_from_the_authority_of_the_stack(vault_issuer_stack: Stack) -> None:
    address = urlsplit(vault_issuer_stack.vault.url)
    connection = http.client.HTTPSConnection(
        address.hostname or "", address.port, timeout=10, context=ssl.create_default_context()
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/v1/sys/health")


def test_everything_listens_on_loopback_only(vault_issuer_session: Session, vault_issuer_stack: Stack) -> None:
    sockets = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if str(vault_issuer_session.directory.path) not in (entry / "cmdline").read_bytes().decode(
                errors="replace"
            ):
                continue
            sockets |= {link.readlink().name for link in (entry / "fd").iterdir()}
        except OSError:
            continue
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in sockets if name.startswith("socket:[")}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append(fields[1].split(":")[0])
    assert len(listening) >= 4, "etcd, API server, Vault and its cluster port"
    assert set(listening) == {"0100007F"}, "expected 127.0.0.1, as /proc writes it"


def test_only_the_user_can_read_files(vault_issuer_session: Session, vault_issuer_stack: Stack) -> None:
    directory = vault_issuer_session.directory.path
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    keys = list((directory / "pki").glob("*-key.pem"))
    assert keys
    assert {stat.S_IMODE(path.stat().st_mode) for path in [*keys, directory / "stack.json"]} == {0o600}


def test_every_component_has_a_log(vault_issuer_session: Session, vault_issuer_stack: Stack) -> None:
    logs = {path.name for path in (vault_issuer_session.directory.path / "logs").iterdir()}
    assert {"etcd.log", "kube-apiserver.log", "kube-controller-manager.log", "audit.jsonl"} <= logs
    assert any(name.startswith("vault-") for name in logs)


def test_service_accounts_have_only_the_permissions_they_are_given(
    vault_issuer_cluster: Cluster, vault_issuer_session: Session, namespace: str
) -> None:
    metadata = {"name": "stranger", "namespace": namespace}
    vault_issuer_cluster.create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    token = vault_issuer_cluster.create_token("stranger", namespace)
    path = vault_issuer_session.directory.write(f"{namespace}.kubeconfig", _kubeconfig(vault_issuer_cluster, token))
    stranger = Cluster(path)
    with pytest.raises(ApiError) as refused:
        stranger.list(SECRETS, namespace)
    assert refused.value.code == 403


def test_token_requests_are_in_the_audit_log(
    vault_issuer_cluster: Cluster, vault_issuer_stack: Stack, namespace: str
) -> None:
    assert vault_issuer_stack.kubernetes.audit_log is not None
    log = AuditLog(Path(vault_issuer_stack.kubernetes.audit_log), timeout=10)
    metadata = {"name": "someone", "namespace": namespace}
    vault_issuer_cluster.create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    token = vault_issuer_cluster.create_token("someone", namespace, audiences=["here"], seconds=700)
    records = log.token_requests(namespace, "someone")
    assert [r["requestObject"]["spec"]["audiences"] for r in records] == [["here"]]
    assert records[0]["requestObject"]["spec"]["expirationSeconds"] == 700
    assert token not in Path(vault_issuer_stack.kubernetes.audit_log).read_text()


def test_seal_and_unseal_change_the_health_of_vault(vault_issuer_session: Session) -> None:
    launcher = vault_issuer_session.launcher()
    assert launcher is not None
    admin = VaultAdmin(launcher.start_vault(), vault_issuer_session.timeouts)
    assert admin.health == 501
    admin.initialize()
    assert admin.health == 503
    admin.unseal()
    assert admin.health == 200
    admin.seal()
    assert admin.health == 503
    launcher.stop_vault(admin.server)


def test_standby_of_a_raft_pair_takes_over(vault_issuer_session: Session) -> None:
    launcher = vault_issuer_session.launcher()
    assert launcher is not None
    addresses = ["https://127.0.0.1:1", "https://127.0.0.1:2"]
    active, standby = (
        VaultAdmin(launcher.start_vault(storage="raft", advertised=address), vault_issuer_session.timeouts)
        for address in addresses
    )
    active.initialize()
    active.unseal()
    active.wait_health(200)
    standby.join_raft(active.server)
    assert (active.health, standby.health) == (200, 429)
    assert standby.leader == addresses[0]
    active.make_voters()
    active.step_down()
    standby.wait_health(200)
    assert poll(lambda: active.leader == addresses[1] or None, timeout=vault_issuer_session.timeouts.component_start)
    assert active.health == 429
    for admin in (active, standby):
        launcher.stop_vault(admin.server)


class LosesFirstKey(requests.adapters.HTTPAdapter):
    """Answers the first unseal key itself, so that Vault does not receive it."""

    keys = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if not str(request.url).endswith("/v1/sys/unseal"):
            return super().send(request, *args, **kwargs)
        self.keys += 1
        if self.keys > 1:
            return super().send(request, *args, **kwargs)
        answer = requests.Response()
        answer.status_code = 204
        return answer


def test_standby_that_stays_sealed_gets_its_key_again(vault_issuer_session: Session) -> None:
    launcher = vault_issuer_session.launcher()
    assert launcher is not None
    timeouts = replace(vault_issuer_session.timeouts, raft_join=0.1)
    active, standby = (VaultAdmin(launcher.start_vault(storage="raft"), timeouts) for _ in range(2))
    active.initialize()
    active.unseal()
    active.wait_health(200)
    transport = LosesFirstKey()
    standby.client.adapter.session.mount("https://", transport)
    standby.join_raft(active.server)
    assert (standby.health, transport.keys) == (429, 2)
    for admin in (active, standby):
        launcher.stop_vault(admin.server)


def _kubeconfig(cluster: Cluster, token: str) -> str:
    import yaml

    from pytest_vault_issuer.stack.local.kubernetes import kubeconfig

    trust = str(cluster._configuration.ssl_ca_cert)
    return yaml.safe_dump(kubeconfig({"server": cluster.server, "certificate-authority": trust}, {"token": token}))
