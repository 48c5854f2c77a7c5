"""Namespaces of Vault Enterprise: login and signing in the configured namespace and nowhere else.

OpenBao has namespaces itself. Otherwise the proxy serves the stack's Vault in namespaces, see
pytest_vault_issuer.proxy.namespaces. A request in another namespace, or without one, finds nothing mounted.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import pytest

from pytest_vault_issuer import (
    Authentication,
    Exchange,
    Issuer,
    Pki,
    Proxy,
    Route,
    Sandbox,
    VaultNamespaces,
    requirement,
)

from .helpers import LOGINS, PAIRS, claimed, never_ready


def new_namespace() -> str:
    return f"team-{secrets.token_hex(4)}"


def address(exchange: Exchange) -> str:
    """Return the target of a request as Vault resolves it: the namespace of the header, then the path."""
    return "/".join(filter(None, [exchange.namespace.strip("/"), exchange.path.removeprefix("/v1/")]))


def assert_sent_to(exchanges: Iterable[Exchange], *expected: str) -> None:
    """Check that there are requests, and that each targets one of these addresses."""
    seen = {address(exchange) for exchange in exchanges}
    assert seen, f"expected a request to {' or '.join(expected)}, saw none"
    assert seen <= set(expected), f"expected requests only to {' or '.join(expected)}, saw {seen - set(expected)}"


def login_of(auth: Authentication, namespace: str) -> str:
    return f"{namespace}{auth.login_path.removeprefix('/v1')}"


def new_issuer(
    sandbox: Sandbox, within: VaultNamespaces, kind: str, namespace: str, auth: Authentication | None = None
) -> Issuer:
    """Create an issuer object that refers to a namespace.

    :param auth: default the simplest supported method.
    """
    auth = auth or sandbox.default_authentication(kind, **within.credentials)
    return sandbox.issuer(kind, auth, proxy=within.proxy, pki=within.pki, vault_namespace=namespace)


@pytest.mark.parametrize(
    "feature",
    [
        *(pytest.param(feature, marks=requirement("VI-NAMESPACE-001")) for feature in LOGINS),
        pytest.param("client-certificate", marks=requirement("VI-NAMESPACE-003")),
    ],
)
def test_login_goes_to_the_namespace(sandbox: Sandbox, kind: str, feature: str) -> None:
    namespace = new_namespace()
    within = sandbox.vault_namespaces(namespace)
    auth = sandbox.authenticate(feature, kind, **within.credentials)
    issuer = new_issuer(sandbox, within, kind, namespace, auth)
    logins = within.proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire)
    assert_sent_to(logins, login_of(auth, namespace))
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_sent_to(within.proxy.seen(Route.LOGIN), login_of(auth, namespace))


@requirement("VI-NAMESPACE-002")
def test_sign_request_goes_to_the_namespace(sandbox: Sandbox, kind: str, feature: str) -> None:
    namespace = new_namespace()
    within = sandbox.vault_namespaces(namespace)
    auth = sandbox.authenticate(feature, kind, **within.credentials)
    issuer = new_issuer(sandbox, within, kind, namespace, auth)
    issuer.wait_ready()
    assert_signs_within(sandbox, issuer, namespace, within.pki, auth)


@requirement("VI-NAMESPACE-004")
def test_health_query_has_no_namespace(sandbox: Sandbox, kind: str) -> None:
    namespace = new_namespace()
    within = sandbox.vault_namespaces(namespace, health=404)
    new_issuer(sandbox, within, kind, namespace).wait_ready()
    seen = [address(exchange) for exchange in within.proxy.seen(Route.HEALTH)]
    # A controller may ask in the namespace, too.
    assert "sys/health" in seen, f"expected a health query without a namespace, saw {seen or 'none'}"


@requirement("VI-NAMESPACE-010")
@pytest.mark.parametrize("status", [400, 404])
def test_refused_health_in_a_namespace_harms_no_issuer(sandbox: Sandbox, kind: str, status: int) -> None:
    namespace = new_namespace()
    within = sandbox.vault_namespaces(namespace, health=status)
    issuer = new_issuer(sandbox, within, kind, namespace)
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-NAMESPACE-005")
@pytest.mark.parametrize("namespace", ["absent", "empty"])
def test_requests_have_no_namespace_if_none_is_configured(
    sandbox: Sandbox, kind: str, feature: str, namespace: str
) -> None:
    auth = sandbox.authenticate(feature, kind)
    issuer = sandbox.issuer(kind, auth, vault_namespace=None if namespace == "absent" else "")
    issuer.wait_ready()
    sandbox.issued(issuer)
    # A controller may call other endpoints too, such as sys/capabilities-self.
    stray = [exchange.summary for exchange in sandbox.proxy.seen() if exchange.namespace]
    assert not stray, f"expected no request with a namespace, saw {stray}"
    for route, path in ((Route.HEALTH, "sys/health"), (Route.SIGN, sandbox.pki.sign_path)):
        assert_sent_to(sandbox.proxy.seen(route), path)
    if auth.login_path:
        assert_sent_to(sandbox.proxy.seen(Route.LOGIN), login_of(auth, "").removeprefix("/"))


@requirement("VI-NAMESPACE-006")
@pytest.mark.parametrize("form", ["{0}/{1}", "{0}/{1}/{2}", "{0}/", "/{0}", "/{0}/{1}/"])
def test_every_form_of_a_namespace_is_accepted(sandbox: Sandbox, kind: str, form: str) -> None:
    namespace = form.format(*(new_namespace() for _ in range(3)))
    issuer = new_issuer(sandbox, sandbox.vault_namespaces(namespace), kind, namespace)
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-NAMESPACE-007")
@pytest.mark.parametrize("feature", LOGINS)
def test_rejected_login_is_not_tried_in_another_namespace(sandbox: Sandbox, kind: str, feature: str) -> None:
    namespace = new_namespace()
    # In each of these namespaces Vault would accept the login.
    others = [f"{namespace}/pki", new_namespace()]
    within = sandbox.vault_namespaces(*others)
    auth = sandbox.authenticate(feature, kind, **within.credentials)
    proxies = {what: sandbox.new_proxy(namespaces=within.shown) for what in (namespace, f"{others[1]}/{namespace}")}
    never_ready(
        sandbox,
        kind,
        {
            f"nothing is mounted in its namespace {configured}": {
                "auth": auth,
                "proxy": proxy,
                "pki": within.pki,
                "vault_namespace": configured,
            }
            for configured, proxy in proxies.items()
        },
    )
    for configured, proxy in proxies.items():
        proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire, what="a login")
        assert_sent_to(proxy.seen(Route.LOGIN), login_of(auth, configured))


def shared_login(sandbox: Sandbox, within: VaultNamespaces, kind: str) -> Authentication:
    """Return an authentication that is valid in several namespaces: by a login, if the implementation has one."""
    feature = (claimed(sandbox, LOGINS) or claimed(sandbox))[0]
    return sandbox.authenticate(feature, kind, **within.credentials)


def assert_signs_within(sandbox: Sandbox, issuer: Issuer, namespace: str, pki: Pki, auth: Authentication) -> None:
    """Check that a request is signed in a namespace, with the token of a login there."""
    signings = sandbox.signings(sandbox.issued(issuer))
    assert_sent_to(signings, f"{namespace}/{pki.sign_path}".lstrip("/"))
    if auth.login_path:
        tokens = {signing.token for signing in signings}
        logins = [login for proxy in sandbox.proxies for login in proxy.seen(Route.LOGIN)]
        giving = [login for login in logins if (login.response_json.get("auth") or {}).get("client_token") in tokens]
        assert_sent_to(giving, login_of(auth, namespace).lstrip("/"))


@requirement("VI-NAMESPACE-008")
@PAIRS
def test_each_issuer_uses_its_own_namespace(sandbox: Sandbox, kind: str, other_kind: str) -> None:
    first = new_namespace()
    namespaces = {f"{first}/pki": kind, first: other_kind, new_namespace(): kind}
    within = sandbox.vault_namespaces(*namespaces)
    # The issuer objects of a kind share a credential. Only the namespace differs.
    auths = {which: shared_login(sandbox, within, which) for which in set(namespaces.values())}
    issuers = {
        namespace: new_issuer(sandbox, within, which, namespace, auths[which])
        for namespace, which in namespaces.items()
    }
    for issuer in issuers.values():
        issuer.wait_ready()
    for _ in range(2):
        for namespace, issuer in issuers.items():
            assert_signs_within(sandbox, issuer, namespace, within.pki, auths[namespaces[namespace]])


def move(sandbox: Sandbox, issuer: Issuer, proxy: Proxy, namespace: str) -> None:
    """Change the namespace of an issuer object and wait until it is Ready with it."""
    mark = proxy.mark()
    issuer.change(lambda vault: vault.update(namespace=namespace))
    proxy.wait_for(Route.HEALTH, since=mark, timeout=sandbox.timeouts.wire, what="a health query after the change")
    issuer.wait_ready()


@requirement("VI-NAMESPACE-009")
def test_changed_namespace_is_used(sandbox: Sandbox, kind: str) -> None:
    first, second = new_namespace(), new_namespace()
    within = sandbox.vault_namespaces(first, second)
    auth = shared_login(sandbox, within, kind)
    issuer = new_issuer(sandbox, within, kind, first, auth)
    issuer.wait_ready()
    assert_signs_within(sandbox, issuer, first, within.pki, auth)
    move(sandbox, issuer, within.proxy, second)
    # A controller sees changes in order: an issuer object that is created after this change is Ready.
    sandbox.ready_issuer(kind)
    assert_signs_within(sandbox, issuer, second, within.pki, auth)


@requirement("VI-NAMESPACE-009")
def test_removed_namespace_is_no_longer_used(sandbox: Sandbox, kind: str) -> None:
    namespace = new_namespace()
    within = sandbox.vault_namespaces(namespace)
    issuer = new_issuer(sandbox, within, kind, namespace, shared_login(sandbox, within, kind))
    issuer.wait_ready()
    sandbox.issued(issuer)
    auth = sandbox.authenticate((claimed(sandbox, LOGINS) or claimed(sandbox))[0], kind)
    outside = {"server": sandbox.proxy.url, "path": sandbox.pki.sign_path, "auth": auth.spec, "namespace": None}
    issuer.change(lambda vault: vault.update(outside))
    sandbox.proxy.wait_for(Route.HEALTH, timeout=sandbox.timeouts.wire, what="a health query after the change")
    issuer.wait_ready()
    sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    assert_signs_within(sandbox, issuer, "", sandbox.pki, auth)
    stray = [exchange.summary for exchange in sandbox.proxy.seen() if exchange.namespace]
    assert not stray, f"expected no request with a namespace after its removal, saw {stray}"
