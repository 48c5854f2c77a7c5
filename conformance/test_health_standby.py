"""A Vault with standbys: served through them, and when another node becomes the active one."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.issuer import CertificateRequest, Issuer
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import AddHeader, Hold, Proxy, Route
from pytest_vault_issuer.sandbox import Sandbox, VaultCluster

from .helpers import LOGINS, claimed


def ready_issuers(
    sandbox: Sandbox, cluster: VaultCluster, proxies: list[Proxy], features: list[str] | None = None
) -> list[Issuer]:
    """Issuers of every kind that point to each of these proxies, for each way of authenticating; all Ready."""
    vault = sandbox.workspace_in(cluster.active.admin)
    pki = vault.pki()
    issuers = []
    for kind in sandbox.world.kinds:
        for feature in features or claimed(sandbox)[:1]:
            auth = sandbox.authenticate(feature, kind, pki=pki, vault=vault)
            issuers += [sandbox.issuer(kind, auth, pki=pki, proxy=proxy) for proxy in proxies]
    for issuer in issuers:
        issuer.wait_ready()
    return issuers


def simplest(sandbox: Sandbox) -> list[str]:
    """A way of authenticating without a login and one with, as far as they are supported."""
    return [*claimed(sandbox, ["token"]), *claimed(sandbox, LOGINS)[:1]]


def held_while_signing(sandbox: Sandbox, issuers: list[Issuer], proxy: Proxy) -> tuple[list[CertificateRequest], Hold]:
    """A request for each of these issuers, all on their way to be signed and held by the proxy they point to."""
    hold = Hold()
    injection = proxy.inject(Route.SIGN, hold, times=len(issuers))
    requests = [sandbox.request(issuer) for issuer in issuers]
    injection.wait(sandbox.timeouts.wire)
    return requests, hold


# -- standbys ----------------------------------------------------------------------------------------------


@requirement("VI-HEALTH-006")
@pytest.mark.slow
def test_issuer_of_a_standby_is_ready(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    (standby,) = cluster.standbys
    ready_issuers(sandbox, cluster, [standby.proxy])


@requirement("VI-HEALTH-015")
@pytest.mark.slow
def test_standby_serves_an_issuer(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    (standby,) = cluster.standbys
    for issuer in ready_issuers(sandbox, cluster, [standby.proxy], claimed(sandbox)):
        sandbox.issued(issuer)


@requirement("VI-HEALTH-016")
@pytest.mark.slow
def test_standby_redirects_an_issuer(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    (standby,) = cluster.standbys
    standby.proxy.inject(None, AddHeader("X-Vault-No-Request-Forwarding", "true"))
    for issuer in ready_issuers(sandbox, cluster, [standby.proxy], simplest(sandbox)):
        sandbox.issued(issuer)


# -- another node becomes active ---------------------------------------------------------------------------


@requirement("VI-HEALTH-017")
@pytest.mark.slow
def test_issuers_of_all_nodes_go_on_after_a_step_down(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2, failover=True)
    issuers = ready_issuers(sandbox, cluster, [node.proxy for node in cluster.nodes], simplest(sandbox))
    cluster.wait_settled(former=cluster.step_down())
    issuers += ready_issuers(sandbox, cluster, [node.proxy for node in cluster.nodes])
    for issuer in issuers:
        sandbox.issued(issuer)


@requirement("VI-HEALTH-018")
@pytest.mark.slow
def test_request_outlives_a_step_down(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2, failover=True)
    active = cluster.active
    issuers = ready_issuers(sandbox, cluster, [active.proxy])
    requests, hold = held_while_signing(sandbox, issuers, active.proxy)
    cluster.step_down()
    hold.release()
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-HEALTH-019")
@pytest.mark.slow
def test_request_outlives_the_loss_of_the_active_node(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(3, failover=True)
    # An address that leads to a node that is there, as a Service of Kubernetes does.
    entrance = sandbox.new_proxy(upstream=cluster.active.admin)
    issuers = ready_issuers(sandbox, cluster, [entrance])
    requests, hold = held_while_signing(sandbox, issuers, entrance)
    cluster.kill_active()
    survivor = cluster.nodes[0].admin.server
    entrance.set_upstream(survivor.url, survivor.ca_pem)
    hold.release()
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-HEALTH-020")
@pytest.mark.slow
def test_request_made_without_an_active_node_comes_to_an_end(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    active = cluster.active
    issuers = ready_issuers(sandbox, cluster, [node.proxy for node in cluster.nodes], simplest(sandbox))
    others = [sandbox.ready_issuer(kind) for kind in sandbox.world.kinds]
    active.admin.seal()  # one node of two elects nobody
    requests = [sandbox.request(issuer) for issuer in issuers]
    for other in others:
        sandbox.barrier(other)
    active.admin.unseal()
    cluster.wait_settled()
    for request in requests:
        request.wait_reason("Issued", "Failed", timeout=sandbox.timeouts.retry)
