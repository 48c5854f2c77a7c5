"""The examples of docs/fixtures.md: each runs as a test, on a real Vault and a real Kubernetes API."""

from __future__ import annotations

import hvac
import hvac.exceptions
import pytest

from pytest_vault_issuer import (
    CONFIG_MAPS,
    ApiError,
    Authority,
    Cluster,
    Session,
    SigningRequest,
    Stack,
    VaultAdmin,
    VaultWorkspace,
)


def test_addresses(vault_issuer_stack: Stack) -> None:
    vault = vault_issuer_stack.vault
    ours = hvac.Client(url=vault.url, verify=vault.ca_file)
    assert ours.sys.is_initialized()
    assert {"kubernetes", "vault"} <= vault_issuer_stack.components.keys()


def test_waiting_for_an_object(vault_issuer_cluster: Cluster) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ours", "namespace": "default"},
        "data": {"mode": "fast"},
    }
    vault_issuer_cluster.create(CONFIG_MAPS, body)
    found, last_seen = vault_issuer_cluster.wait(
        CONFIG_MAPS,
        "ours",
        "default",
        lambda item: item["data"]["mode"] == "fast",
        timeout=10,
    )
    assert found, last_seen
    vault_issuer_cluster.delete(CONFIG_MAPS, "ours", "default")
    with pytest.raises(ApiError, match="404"):
        vault_issuer_cluster.get(CONFIG_MAPS, "ours", "default")


def test_health_of_vault(vault_issuer_vault: VaultAdmin) -> None:
    assert vault_issuer_vault.health == 200
    health = vault_issuer_vault.client.sys.read_health_status(method="GET")
    assert health["sealed"] is False


def test_our_policy_allows_only_signing(vault_issuer_workspace: VaultWorkspace) -> None:
    pki = vault_issuer_workspace.pki(Authority.root().intermediate())
    vault_issuer_workspace.set_pki_role(
        pki,
        allow_any_name=False,
        allowed_domains=["example.com"],
        allow_subdomains=True,
    )
    policy = vault_issuer_workspace.policy(pki.sign_path)
    vault = vault_issuer_workspace.admin.server
    ours = hvac.Client(
        url=vault.url,
        verify=vault.ca_file,
        token=vault_issuer_workspace.token(policy),
    )
    request = SigningRequest.build(dns=["www.example.com"])
    signed = ours.write_data(pki.sign_path, data={"csr": request.pem})["data"]
    assert len(signed["ca_chain"]) == 2
    with pytest.raises(hvac.exceptions.Forbidden):
        ours.read(f"{pki.mount}/roles/{pki.role}")


def test_processes_have_logs(vault_issuer_session: Session) -> None:
    if vault_issuer_session.stack().provider != "process":
        pytest.skip("the processes of others log elsewhere")
    logs = vault_issuer_session.directory.path / "logs"
    assert (logs / "kube-apiserver.log").exists()
