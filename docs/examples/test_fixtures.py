"""The examples of docs/fixtures.md: each runs as a test, on a real Vault and a real Kubernetes API."""

from __future__ import annotations

import hvac
import hvac.exceptions
import pytest

from pytest_vault_issuer.cluster import ApiError, Cluster, Resource
from pytest_vault_issuer.issuer import SigningRequest
from pytest_vault_issuer.run import Run
from pytest_vault_issuer.stack.model import Stack
from pytest_vault_issuer.vault import CertificateAuthority, VaultAdmin, VaultWorkspace


def test_addresses(vault_issuer_stack: Stack) -> None:
    ours = hvac.Client(url=vault_issuer_stack.vault.url, verify=vault_issuer_stack.vault.ca_file)
    assert ours.sys.is_initialized()
    assert {"kubernetes", "vault"} <= vault_issuer_stack.components.keys()


CONFIG_MAPS = Resource(group="", version="v1", plural="configmaps")


def test_an_object_is_waited_for(vault_issuer_cluster: Cluster) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ours", "namespace": "default"}}
    vault_issuer_cluster.create(CONFIG_MAPS, settings | {"data": {"mode": "fast"}})
    found, item = vault_issuer_cluster.wait(
        CONFIG_MAPS, "ours", "default", lambda item: item["data"]["mode"] == "fast", timeout=10
    )
    assert found
    assert item is not None
    vault_issuer_cluster.delete(CONFIG_MAPS, "ours", "default")
    with pytest.raises(ApiError, match="404"):
        vault_issuer_cluster.get(CONFIG_MAPS, "ours", "default")


def test_health_of_vault(vault_issuer_vault: VaultAdmin) -> None:
    assert vault_issuer_vault.health == 200
    assert vault_issuer_vault.client.sys.read_health_status(method="GET")["sealed"] is False


def test_our_policy_allows_signing_and_nothing_else(vault_issuer_workspace: VaultWorkspace) -> None:
    workspace = vault_issuer_workspace
    pki = workspace.pki(CertificateAuthority.root().intermediate())
    workspace.set_pki_role(pki, allow_any_name=False, allowed_domains=["example.com"], allow_subdomains=True)
    workspace.client.token = workspace.token(workspace.policy(pki.sign_path))
    try:
        request = SigningRequest.build(dns=["www.example.com"])
        signed = workspace.client.write_data(pki.sign_path, data={"csr": request.pem, "ttl": "1h"})["data"]
        assert len(signed["ca_chain"]) == 2
        with pytest.raises(hvac.exceptions.Forbidden):
            workspace.client.read(f"{pki.mount}/roles/{pki.role}")
    finally:
        workspace.client.token = workspace.admin.server.token


def test_logs_are_kept_for_the_run(vault_issuer_run: Run, vault_issuer_stack: Stack) -> None:
    if vault_issuer_stack.provider != "process":
        pytest.skip("the processes of others log elsewhere")
    assert "kube-apiserver.log" in {path.name for path in (vault_issuer_run.directory.path / "logs").iterdir()}
