"""Addresses and paths in the forms that users write."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Any

import pytest

from pytest_vault_issuer import (
    Control,
    ForwardProxy,
    NotRunnable,
    Proxy,
    RefusedError,
    Route,
    Sandbox,
    VaultIssuerError,
    requirement,
)

from .helpers import LOGINS, alternating, each_feature, with_fields
from .interrupted import one_kind

#: The field with the mount of an authentication method, by feature.
MOUNTS = {"approle": "path", "kubernetes-static": "mountPath", "kubernetes-secretless": "mountPath"}


def local_proxy(sandbox: Sandbox, bind: str, **options: Any) -> Proxy:
    """Return a listener at another loopback address.

    :raises NotRunnable: if the controller cannot reach such an address, or this machine has none.
    """
    if not ipaddress.ip_address(sandbox.environment.stack.bind).is_loopback:
        raise NotRunnable("the controller does not run on this machine, so it cannot reach another loopback address")
    try:
        return sandbox.new_proxy(bind=bind, **options)
    except (OSError, VaultIssuerError) as error:
        raise NotRunnable(f"this machine cannot listen at {bind}: {error}") from error


@requirement("VI-ADDRESS-001")
@alternating(("kind", "slashes"), [("Issuer", "/"), ("ClusterIssuer", "//")])
def test_slashes_at_the_end_of_the_server_do_not_matter(sandbox: Sandbox, kind: str, slashes: str) -> None:
    issuer = sandbox.ready_issuer(kind, server=f"{sandbox.proxy.url}{slashes}")
    request = sandbox.issued(issuer)
    paths = {exchange.path for exchange in sandbox.signings(request)}
    assert paths == {f"/v1/{sandbox.pki.sign_path}"}, "expected sign requests below the server"


@requirement("VI-ADDRESS-001")
def test_slash_after_a_path_prefix_does_not_matter(sandbox: Sandbox, kind: str) -> None:
    prefix = f"/Team-{secrets.token_hex(3)}/{secrets.token_hex(3)}"
    proxy = sandbox.new_proxy(prefix=prefix)
    sandbox.issued(sandbox.ready_issuer(kind, proxy=proxy, server=f"{proxy.url}/"))
    stray = [exchange.summary for exchange in proxy.seen() if not exchange.path.startswith(f"{prefix}/v1/")]
    assert not stray, f"expected the path prefix {prefix}/v1/ in every request, saw {stray}"


@requirement("VI-ADDRESS-002")
@alternating(("kind", "plain"), [("Issuer", False), ("ClusterIssuer", True)])
def test_default_port_is_used(sandbox: Sandbox, kind: str, plain: bool) -> None:
    # A loopback address of its own, so that the port is free there.
    bind = f"127.{1 + secrets.randbelow(250)}.{secrets.randbelow(250)}.{1 + secrets.randbelow(250)}"
    proxy = local_proxy(sandbox, bind, port=80 if plain else 443, plain=plain)
    sandbox.issued(sandbox.ready_issuer(kind, proxy=proxy, server=f"http{'' if plain else 's'}://{bind}"))
    assert proxy.seen(Route.SIGN), "expected a sign request at the default port, saw none"


@requirement("VI-ADDRESS-003")
@alternating(("kind",), [("ClusterIssuer",)])
def test_ipv6_address_is_supported(sandbox: Sandbox, kind: str) -> None:
    proxy = local_proxy(sandbox, "::1")
    sandbox.issued(sandbox.ready_issuer(kind, proxy=proxy))
    assert proxy.seen(Route.SIGN), "expected a sign request at the IPv6 address, saw none"


@requirement("VI-ADDRESS-004")
@alternating(("kind", "form"), [("Issuer", "/{}"), ("ClusterIssuer", "{}/")])
def test_slash_at_an_end_of_the_path_works_or_is_refused(sandbox: Sandbox, kind: str, form: str) -> None:
    try:
        issuer = sandbox.issuer(kind, path=form.format(sandbox.pki.sign_path))
    except RefusedError:
        return  # a rejection by the API server is enough
    if issuer.wait_answer() == "True":
        sandbox.issued(issuer)


@requirement("VI-ADDRESS-005")
@each_feature(LOGINS)
def test_slashes_of_the_mount_path_work_or_are_refused_with_a_reason(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind)
    field = MOUNTS[feature]
    mount = auth.login_path.removesuffix("/login").removeprefix("/v1/auth/" if field == "path" else "")
    for form in (f"{mount}/", mount.removeprefix("/") if mount.startswith("/") else f"/{mount}"):
        try:
            issuer = sandbox.issuer(kind, with_fields(auth, **{field: form}))
        except RefusedError:
            continue  # a rejection by the API server is enough
        if issuer.wait_answer() == "True":
            sandbox.issued(issuer)
        else:
            issuer.wait_not_ready(f"it has the {field} {form}")
            assert issuer.condition().get("message"), f"expected the reason why {field} {form} does not work, saw none"


@requirement("VI-ADDRESS-007")
@alternating(("kind",), [("ClusterIssuer",)])
def test_path_with_a_space_works_or_is_refused(sandbox: Sandbox, kind: str) -> None:
    pki = sandbox.vault.pki(mount=f"team {secrets.token_hex(3)}/pki {secrets.token_hex(3)}")
    try:
        issuer = sandbox.issuer(kind, pki=pki)
    except RefusedError:
        return  # a rejection by the API server is enough
    if issuer.wait_answer() == "True":
        sandbox.issued(issuer)


@requirement("VI-ADDRESS-006")
@pytest.mark.exclusive
def test_proxy_of_the_environment_is_used_except_for_the_listed_hosts(sandbox: Sandbox, control: Control) -> None:
    kind, bind = one_kind(sandbox), sandbox.environment.stack.bind
    # Only the forward proxy knows this name.
    name = f"vault-{secrets.token_hex(4)}.example.test"
    behind = sandbox.new_proxy(certificate=sandbox.authority.issue(name))
    port = behind.url.rpartition(":")[2]
    with ForwardProxy({name: (bind, int(port))}, bind=bind) as forward:
        variables = {"HTTPS_PROXY": forward.url, "NO_PROXY": f"{bind},127.0.0.1,::1,localhost"}
        variables |= {variable.lower(): value for variable, value in variables.items()}
        with control.with_environment(variables):
            direct = sandbox.issuer(kind)
            proxied = sandbox.issuer(kind, proxy=behind, server=f"https://{name}:{port}")
            for issuer in (direct, proxied):
                issuer.wait_ready(timeout=sandbox.timeouts.retry)
                sandbox.request(issuer).wait_issued(timeout=sandbox.timeouts.retry)
    others = {host for host, _ in forward.requested} - {name}
    assert not others, f"expected no request through the proxy to hosts in NO_PROXY, saw some to {sorted(others)}"
