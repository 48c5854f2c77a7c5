"""A Vault with standbys: served through them, and when another node becomes the active one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_vault_issuer.issuer import CertificateRequest, Issuer
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import AddHeader, Hold, Route
from pytest_vault_issuer.sandbox import FEATURES, Sandbox, VaultCluster, VaultNode

from .helpers import claimed

LOGINS = tuple(feature for feature in FEATURES if feature != "token")


def ready_issuers(
    sandbox: Sandbox, cluster: VaultCluster, nodes: Iterable[VaultNode], features: Iterable[str] | None = None
) -> list[Issuer]:
    """Issuers of every kind that point to each of these nodes, for each of these ways of authenticating; all Ready."""
    vault = sandbox.workspace_in(cluster.active.admin)
    pki = vault.pki()
    issuers = []
    for kind in sandbox.world.kinds:
        for feature in features or claimed(sandbox)[:1]:
            auth = sandbox.authenticate(feature, kind, pki=pki, vault=vault)
            issuers += [sandbox.issuer(kind, auth, pki=pki, proxy=node.proxy) for node in nodes]
    for issuer in issuers:
        issuer.wait_ready()
    return issuers


def simplest(sandbox: Sandbox) -> list[str]:
    """A way of authenticating without a login and one with, as far as they are supported."""
    return [*claimed(sandbox, ["token"]), *claimed(sandbox, LOGINS)[:1]]


def held_while_signing(
    sandbox: Sandbox, issuers: Iterable[Issuer], nodes: Iterable[VaultNode]
) -> tuple[list[CertificateRequest], list[Hold]]:
    """A request for each issuer, all of them on their way to one of these nodes, each of which has got as many."""
    issuers, nodes, holds = list(issuers), list(nodes), []
    injections = []
    for node in nodes:
        holds.append(Hold())
        injections.append(node.proxy.inject(Route.SIGN, holds[-1], times=len(issuers) // len(nodes)))
    requests = [sandbox.request(issuer) for issuer in issuers]
    for injection in injections:
        injection.wait(sandbox.timeouts.wire)
    return requests, holds


# -- standbys ----------------------------------------------------------------------------------------------


@requirement("VI-HEALTH-006")
@pytest.mark.slow
def test_issuer_of_a_standby_is_ready(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    ready_issuers(sandbox, cluster, cluster.standbys)


@requirement("VI-HEALTH-015")
@pytest.mark.slow
def test_standby_serves_an_issuer(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    for issuer in ready_issuers(sandbox, cluster, cluster.standbys, claimed(sandbox)):
        sandbox.issued(issuer)


@requirement("VI-HEALTH-016")
@pytest.mark.slow
def test_standby_redirects_an_issuer(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    for standby in cluster.standbys:
        standby.proxy.inject(None, AddHeader("X-Vault-No-Request-Forwarding", "true"))
    for issuer in ready_issuers(sandbox, cluster, cluster.standbys, simplest(sandbox)):
        sandbox.issued(issuer)


# -- another node becomes active ---------------------------------------------------------------------------


@requirement("VI-HEALTH-017")
@pytest.mark.slow
def test_issuers_of_all_nodes_go_on_after_a_step_down(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2, failover=True)
    issuers = ready_issuers(sandbox, cluster, cluster.nodes, simplest(sandbox))
    cluster.wait_settled(former=cluster.step_down())
    issuers += ready_issuers(sandbox, cluster, cluster.nodes)
    for issuer in issuers:
        sandbox.issued(issuer)


@requirement("VI-HEALTH-018")
@pytest.mark.slow
def test_request_outlives_a_step_down(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2, failover=True)
    issuers = ready_issuers(sandbox, cluster, cluster.nodes)
    requests, holds = held_while_signing(sandbox, issuers, cluster.nodes)
    cluster.step_down()
    for hold in holds:
        hold.release()
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-HEALTH-019")
@pytest.mark.slow
def test_request_outlives_the_loss_of_the_active_node(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(3, failover=True)
    standbys = cluster.standbys
    issuers = ready_issuers(sandbox, cluster, standbys)
    requests, holds = held_while_signing(sandbox, issuers, standbys)
    cluster.kill_active()
    for hold in holds:
        hold.release()
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-HEALTH-020")
@pytest.mark.slow
def test_request_made_without_an_active_node_comes_to_an_end(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    active = cluster.active
    issuers = ready_issuers(sandbox, cluster, cluster.nodes, simplest(sandbox))
    others = [sandbox.ready_issuer(kind) for kind in sandbox.world.kinds]
    active.admin.seal()  # a standby that has just joined does not vote: it cannot take over
    requests = [sandbox.request(issuer) for issuer in issuers]
    for other in others:
        sandbox.barrier(other)
    active.admin.unseal()
    cluster.wait_settled()
    for request in requests:
        request.wait_reason("Issued", "Failed", timeout=sandbox.timeouts.retry)
