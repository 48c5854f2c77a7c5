"""The provider ``existing``, on a stack that represents a user's own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from images import openbao

from pytest_vault_issuer.kube import Cluster
from pytest_vault_issuer.kube.client import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import CORE
from pytest_vault_issuer.session.session import Session
from pytest_vault_issuer.stack.bootstrap import REVIEWER_BINDING
from pytest_vault_issuer.stack.local.vault import VaultProcesses
from pytest_vault_issuer.stack.types import Stack, VaultLauncher
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.vault import VaultAdmin
from tests.support.scope import selecting

TOKEN = "VAULT_ISSUER_VAULT_TOKEN"


@pytest.fixture
def options(vault_issuer_stack: Stack, vault_issuer_cluster: Cluster, foreign_vault: VaultAdmin) -> list[str]:
    without_reviewer(vault_issuer_cluster)
    return [
        "--vault-issuer=cert-manager",
        f"--vault-issuer-kubeconfig={vault_issuer_stack.kubernetes.kubeconfig}",
        f"--vault-issuer-vault-addr={foreign_vault.server.url}",
        f"--vault-issuer-vault-ca-cert={foreign_vault.server.ca_file}",
    ]


@pytest.fixture
def foreign_vault(vault_issuer_session: Session) -> Iterator[VaultAdmin]:
    """An unconfigured Vault that the test can seal."""
    yield from unconfigured(vault_issuer_session.launcher())


@pytest.fixture
def foreign_openbao(vault_issuer_session: Session, vault_issuer_stack: Stack) -> Iterator[VaultAdmin]:
    """An unconfigured OpenBao."""
    ca_file = Path(vault_issuer_stack.vault.ca_file)
    yield from unconfigured(
        VaultProcesses(vault_issuer_session.directory, ca_file, openbao.binary(), vault_issuer_session.timeouts)
    )


def unconfigured(launcher: VaultLauncher) -> Iterator[VaultAdmin]:
    """Yield a Vault without any configuration, and stop it."""
    admin = VaultAdmin(launcher.start_vault(), Timeouts())
    admin.initialize()
    admin.unseal()
    yield admin
    launcher.stop_vault(admin.server)


def state_of(cluster: Cluster, vault: VaultAdmin) -> dict[str, set[str]]:
    """Return the names of everything that a session could leave behind."""
    client = vault.client
    named = {
        resource.plural: {item["metadata"]["name"] for item in cluster.list(resource)}
        for resource in (NAMESPACES, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)
    }
    return named | {
        "secrets engines": set(client.sys.list_mounted_secrets_engines()["data"]),
        "auth methods": set(client.sys.list_auth_methods()["data"]),
        "policies": set(client.sys.list_policies()["data"]["policies"]),
    }


def without_reviewer(vault_issuer_cluster: Cluster) -> None:
    """Remove the binding that marks the stack as used by a session."""
    vault_issuer_cluster.delete(CLUSTER_ROLE_BINDINGS, REVIEWER_BINDING)


def few_or(few: tuple[str, ...], *areas: str) -> pytest.MarkDecorator:
    """Judge few requirements, or whole areas in the complete run."""
    whole = pytest.param(areas, id="areas", marks=pytest.mark.full)
    return pytest.mark.parametrize("selected", [pytest.param(few, id="requirements"), whole])


@few_or(
    ("VI-TOKEN-001", "VI-KSTATIC-001", "VI-KSTATIC-007", "VI-HEALTH-001", "VI-HEALTH-004"), "TOKEN", "KSTATIC", "HEALTH"
)
def test_session_leaves_the_existing_stack_unchanged(
    suite: Any,
    options: list[str],
    foreign_vault: VaultAdmin,
    vault_issuer_cluster: Cluster,
    selected: tuple[str, ...],
) -> None:
    before = state_of(vault_issuer_cluster, foreign_vault)
    run = suite.run(*options, *selecting(selected), "-n2", env={TOKEN: foreign_vault.server.token})
    assert run.status == 0, run.output
    assert run.verdict == "partial"
    assert "stack existing (the options name a cluster and a Vault)" in run.output
    judged = {requirement.id for requirement in Catalogue.load().select((CORE,), selected)}
    outcomes = {i: o for i, o in run.outcomes().items() if i in judged}
    assert outcomes["VI-TOKEN-001"] == outcomes["VI-KSTATIC-001"] == outcomes["VI-HEALTH-001"] == "passed"
    assert outcomes["VI-HEALTH-004"] == "not-run", "a second Vault cannot be started here"
    assert set(outcomes.values()) == {"passed", "not-run", "known-failure"}
    assert state_of(vault_issuer_cluster, foreign_vault) == before
    assert foreign_vault.server.token not in run.output


@few_or(("VI-APPROLE-001", "VI-APPROLE-002"), "APPROLE")
def test_existing_auth_mounts_are_unchanged(
    suite: Any, options: list[str], foreign_vault: VaultAdmin, selected: tuple[str, ...]
) -> None:
    foreign_vault.client.sys.enable_auth_method("approle")
    run = suite.run(*options, *selecting(selected), env={TOKEN: foreign_vault.server.token})
    assert run.status == 0, run.output
    assert run.outcomes()["VI-APPROLE-001"] == "passed"
    assert run.outcomes()["VI-APPROLE-002"] == "not-run"
    assert "the auth method at approle existed before the session" in run.output
    assert "approle/" in foreign_vault.client.sys.list_auth_methods()["data"]


def test_sealed_vault_is_reported(suite: Any, options: list[str], foreign_vault: VaultAdmin) -> None:
    foreign_vault.seal()
    run = suite.run(*options, env={TOKEN: foreign_vault.server.token})
    assert run.status == 3
    assert f"the Vault at {foreign_vault.server.url} is sealed" in run.output


def test_session_leaves_no_namespace_in_an_existing_openbao(
    suite: Any, options: list[str], foreign_openbao: VaultAdmin, vault_issuer_cluster: Cluster
) -> None:
    foreign_openbao.create_namespace("team")
    before = state_of(vault_issuer_cluster, foreign_openbao)
    address = f"--vault-issuer-vault-addr={foreign_openbao.server.url}"
    area = ("--vault-issuer-profile=extended", "--vault-issuer-select=VI-NAMESPACE-006")
    run = suite.run(*options, address, *area, "-n2", env={TOKEN: foreign_openbao.server.token})
    assert run.status == 0, run.output
    assert run.outcomes(("VI-NAMESPACE-006",)) == {"VI-NAMESPACE-006": "passed"}
    assert state_of(vault_issuer_cluster, foreign_openbao) == before
    assert foreign_openbao.client.list("sys/namespaces")["data"]["keys"] == ["team/"]


def test_wrong_token_is_reported(suite: Any, options: list[str], foreign_vault: VaultAdmin) -> None:
    run = suite.run(*options, env={TOKEN: "hvs.wrong-token-value"})
    assert run.status == 3
    assert f"the Vault at {foreign_vault.server.url} refuses the token" in run.output
    assert "hvs.wrong-token-value" not in run.output


def test_missing_token_is_reported(suite: Any, options: list[str]) -> None:
    run = suite.run(*options)
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert "there is no token for the existing Vault" in run.output


@pytest.fixture
def closed_port() -> int:
    """A port without a listener, reserved for the test."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]  # bound, without a listener


def test_unreachable_vault_is_reported(suite: Any, options: list[str], closed_port: int) -> None:
    run = suite.run(*options, f"--vault-issuer-vault-addr=https://127.0.0.1:{closed_port}", env={TOKEN: "hvs.any"})
    assert run.status == 3
    assert f"the Vault at https://127.0.0.1:{closed_port} cannot be reached" in run.output


def test_unreachable_cluster_is_reported(
    suite: Any, options: list[str], foreign_vault: VaultAdmin, closed_port: int
) -> None:
    text = (
        f"{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: "
        f"{{server: 'https://127.0.0.1:{closed_port}'}}}}], users: [{{name: c, user: {{token: x}}}}], "
        f"contexts: [{{name: c, context: {{cluster: c, user: c}}}}]}}"
    )
    config = suite.write("kubeconfig", text)
    run = suite.run(*options, f"--vault-issuer-kubeconfig={config}", env={TOKEN: foreign_vault.server.token})
    assert run.status == 3
    assert f"the Kubernetes API at https://127.0.0.1:{closed_port} does not answer" in run.output


def test_missing_kubeconfig_is_reported(
    suite: Any, options: list[str], foreign_vault: VaultAdmin, tmp_path: Path
) -> None:
    missing = tmp_path / "absent"
    run = suite.run(*options, f"--vault-issuer-kubeconfig={missing}", env={TOKEN: foreign_vault.server.token})
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert f"the kubeconfig {missing} cannot be used" in run.output
