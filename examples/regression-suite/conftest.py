"""What team web has in Vault and in Kubernetes, made anew for each test and removed at its end."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac
import pytest
import yaml

from pytest_vault_issuer import AppRole, Issuer, Pki, Sandbox, VaultWorkspace

HERE = Path(__file__).parent


def filled(file: str, **values: str) -> str:
    """One of the team's files with what differs from place to place filled in."""
    return string.Template((HERE / file).read_text()).substitute(values)


@dataclass
class Web:
    """The team's part of Vault: a PKI with its role, its policy, and an AppRole that has the policy."""

    workspace: VaultWorkspace
    pki: Pki
    policy: str
    approle: AppRole

    @property
    def path(self) -> str:
        """Where the role signs."""
        return f"{self.pki.mount}/sign/web"

    def client(self) -> hvac.Client:
        """A client of Vault with the team's permissions and no others."""
        server = self.workspace.admin.server
        client = hvac.Client(url=server.url, verify=server.ca_file or True)
        client.auth.approle.login(self.approle.role_id, self.approle.secret_id, mount_point=self.approle.mount)
        return client


@pytest.fixture
def web(vault_issuer_workspace: VaultWorkspace) -> Iterator[Web]:
    """The team's part of Vault."""
    vault = vault_issuer_workspace
    pki = vault.pki()
    role = json.loads((HERE / "vault/role.json").read_text())
    vault.client.secrets.pki.create_or_update_role("web", extra_params=role, mount_point=pki.mount)
    policy = f"web-{pki.mount}"
    vault.client.sys.create_or_update_policy(policy, filled("vault/policy.hcl", mount=pki.mount))
    yield Web(vault, pki, policy, vault.approle(policy))
    vault.client.sys.delete_policy(policy)


@pytest.fixture
def issuer(web: Web, vault_issuer_sandbox: Sandbox) -> Issuer:
    """The team's issuer, in a namespace of the test's own; it is not waited for."""
    sandbox, server = vault_issuer_sandbox, web.workspace.admin.server
    sandbox.secret({"secretId": web.approle.secret_id}, name="web-vault", namespace=sandbox.namespace)
    manifest = filled(
        "issuer.yaml",
        server=server.url,
        ca_bundle=base64.b64encode(server.ca_pem.encode()).decode(),
        mount=web.pki.mount,
        approle=web.approle.mount,
        role_id=web.approle.role_id,
    )
    sandbox.cluster.apply_manifest(yaml.safe_load(manifest), sandbox.namespace)
    return Issuer(sandbox.cluster, sandbox.timeouts, sandbox.kind("Issuer"), "web", sandbox.namespace)
