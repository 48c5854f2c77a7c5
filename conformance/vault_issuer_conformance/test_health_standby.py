"""A Vault cluster: requests through standbys, and after another node becomes active."""

from __future__ import annotations

import contextlib

import pytest

from pytest_vault_issuer import (
    AddHeader,
    CertificateRequest,
    Hold,
    Issuer,
    Proxy,
    Route,
    Sandbox,
    Unmet,
    VaultCluster,
    poll,
    requirement,
)

from .helpers import LOGINS, claimed, wait_held


def ready_issuers(
    sandbox: Sandbox, cluster: VaultCluster, proxies: list[Proxy], features: list[str] | None = None
) -> list[Issuer]:
    """Return Ready issuer objects: one for each kind, proxy and authentication method."""
    vault = sandbox.workspace_in(cluster.active.admin)
    pki = vault.pki()
    issuers = []
    for kind in sandbox.environment.kinds:
        for feature in features or claimed(sandbox)[:1]:
            auth = sandbox.authenticate(feature, kind, pki=pki, vault=vault)
            issuers += [sandbox.issuer(kind, auth, pki=pki, proxy=proxy) for proxy in proxies]
    for issuer in issuers:
        issuer.wait_ready()
    return issuers


def simplest(sandbox: Sandbox) -> list[str]:
    """Return an authentication method without a login and one with a login, as far as they are supported."""
    return [*claimed(sandbox, ["token"]), *claimed(sandbox, LOGINS)[:1]]


def held_while_signing(sandbox: Sandbox, issuers: list[Issuer], proxy: Proxy) -> tuple[list[CertificateRequest], Hold]:
    """Return a request for each issuer object, and the hold with their sign requests at the proxy.

    Only one sign request is held of a controller that handles requests one by one.
    """
    hold = Hold()
    injection = proxy.inject(Route.SIGN, hold, times=len(issuers))
    requests = [sandbox.request(issuer) for issuer in issuers]
    wait_held(sandbox, hold, "a sign request to Vault")
    if sandbox.environment.works_at_once:
        with contextlib.suppress(Unmet):
            injection.wait(sandbox.timeouts.wire / 4)
    return requests, hold


# -- standbys ----------------------------------------------------------------------------------------------


@requirement("VI-HEALTH-006")
@pytest.mark.slow
def test_standby_makes_issuer_ready(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    (standby,) = cluster.standbys
    ready_issuers(sandbox, cluster, [standby.proxy])


@requirement("VI-HEALTH-015")
@pytest.mark.slow
def test_request_is_issued_through_a_forwarding_standby(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    (standby,) = cluster.standbys
    for issuer in ready_issuers(sandbox, cluster, [standby.proxy], claimed(sandbox)):
        sandbox.issued(issuer)


@requirement("VI-HEALTH-016")
@pytest.mark.slow
def test_request_is_issued_through_a_redirecting_standby(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    (standby,) = cluster.standbys
    standby.proxy.inject(None, AddHeader("X-Vault-No-Request-Forwarding", "true"))
    for issuer in ready_issuers(sandbox, cluster, [standby.proxy], simplest(sandbox)):
        sandbox.issued(issuer)


def is_asked(sandbox: Sandbox, proxy: Proxy, mark: int) -> bool:
    """Whether a proxy has a request since a mark, waiting for one."""
    with contextlib.suppress(Unmet):
        proxy.wait_for(None, since=mark, timeout=sandbox.timeouts.wire / 2)
    return bool(proxy.seen(since=mark))


# -- another node becomes active ---------------------------------------------------------------------------


@requirement("VI-HEALTH-017")
@pytest.mark.slow
def test_issuers_of_all_nodes_work_after_a_step_down(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2, failover=True)
    issuers = ready_issuers(sandbox, cluster, [node.proxy for node in cluster.nodes], simplest(sandbox))
    cluster.wait_settled(former=cluster.step_down())
    issuers += ready_issuers(sandbox, cluster, [node.proxy for node in cluster.nodes])
    for issuer in issuers:
        sandbox.issued(issuer)


@requirement("VI-HEALTH-018")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_request_in_flight_is_issued_after_a_step_down(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2, failover=True)
    active = cluster.active
    issuers = ready_issuers(sandbox, cluster, [active.proxy])
    requests, hold = held_while_signing(sandbox, issuers, active.proxy)
    former = cluster.step_down()
    left = poll(lambda: former.admin.health != 200 or None, timeout=sandbox.timeouts.component_start)
    assert left, "expected the node to be no longer active after its step-down, saw it active"
    hold.release()
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-HEALTH-019")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_request_in_flight_is_issued_after_the_active_node_fails(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(3, failover=True)
    # Like a Kubernetes Service, this address leads to a node that works.
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
@pytest.mark.holds_controller
def test_request_created_without_an_active_node_becomes_final(sandbox: Sandbox) -> None:
    cluster = sandbox.new_vault_cluster(2)
    active = cluster.active
    issuers = ready_issuers(sandbox, cluster, [node.proxy for node in cluster.nodes], simplest(sandbox))
    active.admin.seal()  # one of two nodes has no quorum to elect an active node
    marks = {node.proxy: node.proxy.mark() for node in cluster.nodes}
    requests = [sandbox.request(issuer) for issuer in issuers]
    # The controller meets the outage at each node that it handles requests of before Vault is unsealed again.
    met = [proxy for proxy, mark in marks.items() if is_asked(sandbox, proxy, mark)]
    assert met, "expected a request to the Vault cluster without an active node, saw none"
    active.admin.unseal()
    cluster.wait_settled()
    for request in requests:
        request.wait_reason("Issued", "Failed", timeout=sandbox.timeouts.retry)
