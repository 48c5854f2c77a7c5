"""A proxy that simulates namespaces for a Vault without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_vault_issuer.proxy.exchange import Route
from pytest_vault_issuer.proxy.faults import Respond
from pytest_vault_issuer.proxy.server import Proxy

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Client, Upstream

LOGIN = "auth/approle/login"


@pytest.mark.parametrize(
    ("namespace", "header", "path", "forwarded"),
    [
        ("team-a", "team-a", f"/v1/{LOGIN}", f"/v1/{LOGIN}"),
        ("/team-a/", "/team-a/", f"/v1/{LOGIN}", f"/v1/{LOGIN}"),
        ("team-a", None, f"/v1/team-a/{LOGIN}", f"/v1/{LOGIN}"),
        ("team-a/pki", "team-a/pki/", f"/v1/{LOGIN}", f"/v1/{LOGIN}"),
        ("team-a/pki", "team-a", f"/v1/pki/{LOGIN}", f"/v1/{LOGIN}"),
        ("team-a", "team-a", "/v1/pki/sign/role?x=1", "/v1/pki/sign/role?x=1"),
        # A nested namespace, which the Vault behind the proxy does not know.
        ("team-a", "team-a/pki", f"/v1/{LOGIN}", f"/v1/pki/{LOGIN}"),
        ("team-a", None, f"/v1/{LOGIN}", f"/v1/outside-of-the-namespace/{LOGIN}"),
        ("team-a", "", f"/v1/{LOGIN}", f"/v1/outside-of-the-namespace/{LOGIN}"),
        ("team-a", "team-b", f"/v1/{LOGIN}", f"/v1/outside-of-the-namespace/team-b/{LOGIN}"),
        ("team-a", "team-abc", f"/v1/{LOGIN}", f"/v1/outside-of-the-namespace/team-abc/{LOGIN}"),
        ("team-a/pki", "team-a", f"/v1/{LOGIN}", f"/v1/outside-of-the-namespace/team-a/{LOGIN}"),
        ("team-a", "Team-A", f"/v1/{LOGIN}", f"/v1/outside-of-the-namespace/Team-A/{LOGIN}"),
        ("team-a", None, "/v1/sys/health", "/v1/sys/health"),
        ("team-a", "team-b", "/v1/sys/health?standbyok=true", "/v1/sys/health?standbyok=true"),
        ("team-a", "team-a", "/ui/", "/ui/"),
        ("", "team-a", f"/v1/{LOGIN}", f"/v1/{LOGIN}"),
    ],
)
def test_where_a_request_goes(
    new_proxy: Callable[..., Proxy],
    new_client: Callable[..., Client],
    upstream: Upstream,
    namespace: str,
    header: str | None,
    path: str,
    forwarded: str,
) -> None:
    proxy = new_proxy(namespaces=[namespace] if namespace else [])
    new_client(proxy)("POST", path, json={}, headers={} if header is None else {"X-Vault-Namespace": header})
    _, target, headers, _ = upstream.requests[0]
    assert target == forwarded
    assert ("X-Vault-Namespace" in headers) == (not namespace or not path.startswith("/v1/"))
    # The recorded request is the one that the client sent.
    assert proxy.exchanges[0].namespace == (header or "")
    assert proxy.exchanges[0].path == path.partition("?")[0]


def test_several_namespaces(
    new_proxy: Callable[..., Proxy], new_client: Callable[..., Client], upstream: Upstream
) -> None:
    client = new_client(new_proxy(namespaces=["team-a", "team-a/pki", "team-b/"]))
    for namespace in ("team-a", "team-a/pki", "team-b", "team-c"):
        client("POST", f"/v1/{LOGIN}", json={}, headers={"X-Vault-Namespace": namespace})
    targets = [target for _, target, _, _ in upstream.requests]
    assert targets == [f"/v1/{LOGIN}"] * 3 + [f"/v1/outside-of-the-namespace/team-c/{LOGIN}"]


def test_namespace_behind_a_path_prefix(
    new_proxy: Callable[..., Proxy], new_client: Callable[..., Client], upstream: Upstream
) -> None:
    proxy = new_proxy(namespaces=["team-a"], prefix="/vault")
    client = new_client(proxy)
    client("POST", f"/v1/{LOGIN}", json={}, headers={"X-Vault-Namespace": "team-a"})
    client("POST", f"/v1/team-a/{LOGIN}", json={})
    assert [target for _, target, _, _ in upstream.requests] == [f"/v1/{LOGIN}"] * 2
    assert [exchange.route for exchange in proxy.exchanges] == [Route.LOGIN] * 2


@pytest.mark.parametrize(
    ("header", "path", "refused"),
    [
        ("team-a", "/v1/sys/health", True),
        ("/team-a/", "/v1/sys/health?standbyok=true", True),
        ("unknown", "/v1/sys/health", True),
        (None, "/v1/team-a/sys/health", True),
        ("team-a", "/v1/pki/sys/health", True),
        (None, "/v1/sys/health", False),
        ("", "/v1/sys/health", False),
        ("/", "/v1/sys/health", False),
        ("root", "/v1/sys/health", False),
        ("team-a", f"/v1/{LOGIN}", False),
        ("team-a", "/v1/pki/roles/health", False),
        ("team-a", "/ui/sys/health", False),
    ],
)
@pytest.mark.parametrize(
    ("status", "message"), [(404, "unsupported path"), (400, "operation unavailable in namespaces")]
)
@pytest.mark.parametrize("prefix", ["", "/vault"])
def test_health_is_refused_in_namespaces_only(
    new_proxy: Callable[..., Proxy],
    new_client: Callable[..., Client],
    upstream: Upstream,
    header: str | None,
    path: str,
    refused: bool,
    status: int,
    message: str,
    prefix: str,
) -> None:
    proxy = new_proxy(namespaces=["team-a"], prefix=prefix, health_in_namespace=status)
    answer = new_client(proxy)("GET", path, headers={} if header is None else {"X-Vault-Namespace": header})
    if refused:
        assert (answer.status_code, answer.json()) == (status, {"errors": [message]})
    else:
        assert answer.status_code == 200
    assert len(upstream.requests) == (0 if refused else 1)
    (exchange,) = proxy.exchanges
    assert (exchange.upstream, exchange.fault) == (not refused, None)


def test_faults_come_before_the_refusal_of_health(
    new_proxy: Callable[..., Proxy], new_client: Callable[..., Client]
) -> None:
    proxy = new_proxy(health_in_namespace=404)
    proxy.inject(Route.HEALTH, Respond(503), times=1)
    client = new_client(proxy)
    namespace = {"X-Vault-Namespace": "team-a"}
    assert [client("GET", "/v1/sys/health", headers=namespace).status_code for _ in range(2)] == [503, 404]
