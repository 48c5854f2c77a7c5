"""A workspace sets up only what a test requests, and removes it."""

from __future__ import annotations

import contextlib
from typing import Any

import hvac.exceptions
import pytest
from cryptography import x509

from pytest_vault_issuer.certificates import Authority, to_pem
from pytest_vault_issuer.sandbox.credentials import certificate_login
from pytest_vault_issuer.sandbox.csr import SigningRequest
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.vault import VaultAdmin, VaultWorkspace


def sign(workspace: VaultWorkspace, path: str) -> dict[str, Any]:
    request = SigningRequest.build("a.example.test", dns=["a.example.test"])
    answer: dict[str, Any] = workspace.client.write_data(
        path, data={"csr": request.pem, "common_name": "a.example.test"}
    )
    return dict(answer["data"])


def chain_of(answer: dict[str, Any]) -> list[str]:
    return [to_pem(x509.load_pem_x509_certificate(pem.encode())) for pem in answer["ca_chain"]]


@pytest.mark.parametrize("links", [1, 2, 3])
def test_vault_answers_with_the_chain_it_knows(vault_issuer_workspace: VaultWorkspace, links: int) -> None:
    authority = Authority.root()
    for _ in range(links - 1):
        authority = authority.intermediate()
    pki = vault_issuer_workspace.pki(authority)
    assert chain_of(sign(vault_issuer_workspace, pki.sign_path)) == [member.pem for member in authority.chain]


def test_vault_does_not_know_what_was_not_imported(vault_issuer_workspace: VaultWorkspace) -> None:
    authority = Authority.root().intermediate()
    pki = vault_issuer_workspace.pki(authority, import_chain=False)
    assert chain_of(sign(vault_issuer_workspace, pki.sign_path)) == [authority.pem]


def test_a_policy_allows_its_path_only(vault_issuer_workspace: VaultWorkspace) -> None:
    workspace = vault_issuer_workspace
    allowed, other = workspace.pki(), workspace.pki()
    token = workspace.token(workspace.policy(allowed.sign_path))
    client = hvac.Client(
        url=workspace.admin.server.url, token=token, verify=workspace.admin.server.ca_file, strict_http=True
    )
    request = SigningRequest.build("a.example.test").pem
    with contextlib.closing(client.session):
        client.write_data(allowed.sign_path, data={"csr": request, "common_name": "a.example.test"})
        with pytest.raises(hvac.exceptions.Forbidden):
            client.write_data(other.sign_path, data={"csr": request, "common_name": "a.example.test"})


def test_wrong_secret_ids_do_not_lock_a_role(vault_issuer_workspace: VaultWorkspace) -> None:
    workspace = vault_issuer_workspace
    role = workspace.approle(workspace.policy("pki/sign/any"))
    login = workspace.client.auth.approle.login
    for _ in range(10):
        with pytest.raises(hvac.exceptions.InvalidRequest):
            login(role.role_id, "00000000-0000-0000-0000-000000000000", use_token=False, mount_point=role.mount)
    answer = login(role.role_id, role.secret_id, use_token=False, mount_point=role.mount)
    assert answer["auth"]["client_token"]


@pytest.mark.parametrize("method", ["approle", "aws", "cert", "jwt", "kubernetes"])
def test_auth_methods_can_be_mounted(vault_issuer_workspace: VaultWorkspace, method: str) -> None:
    mount = vault_issuer_workspace.mount_auth(method)
    mounted = vault_issuer_workspace.client.sys.list_auth_methods()["data"]
    assert mounted[f"{mount}/"]["type"] == method


def test_workspace_removes_everything(vault_issuer_stack: Stack, vault_issuer_vault: VaultAdmin) -> None:
    def state() -> tuple[set[str], set[str], set[str]]:
        system = vault_issuer_vault.client.sys
        return (
            set(system.list_mounted_secrets_engines()["data"]),
            set(system.list_auth_methods()["data"]),
            set(system.list_policies()["data"]["policies"]),
        )

    before = state()
    workspace = VaultWorkspace(vault_issuer_vault, vault_issuer_stack.kubernetes, vault_issuer_stack.reviewer_token)
    with contextlib.closing(workspace):
        policy = workspace.policy(workspace.pki().sign_path)
        token = workspace.token(policy)
        workspace.approle(policy)
        workspace.kubernetes_role(policy, service_account="a", namespace="b")
        assert state() != before
        assert workspace.client.auth.token.lookup(token)["data"]["policies"] == ["default", policy]
    assert state() == before
    with pytest.raises(hvac.exceptions.Forbidden):
        vault_issuer_vault.client.auth.token.lookup(token)


def test_a_certificate_role_admits_certificates_of_its_authority(vault_issuer_workspace: VaultWorkspace) -> None:
    ours, others = Authority("clients"), Authority("clients")
    role = vault_issuer_workspace.certificate_role("default", certificate=ours.pem)
    server = vault_issuer_workspace.admin.server
    clients = ours.issue_client("a.example.test"), others.issue_client("a.example.test"), None
    assert [certificate_login(server, role, client) for client in clients] == [200, 400, 400]
