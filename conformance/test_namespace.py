"""Namespaces of Vault Enterprise: logging in and signing where the issuer says, and nowhere else.

The proxy shows the stack's Vault in namespaces, see pytest_vault_issuer.proxy.namespaces: whoever asks in another, or
in none, finds nothing mounted.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import pytest

from pytest_vault_issuer.issuer import Authentication, Issuer
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import Exchange, Proxy, Route
from pytest_vault_issuer.sandbox import Sandbox

from .helpers import LOGINS, never_ready


def new_namespace() -> str:
    return f"team-{secrets.token_hex(4)}"


def address(exchange: Exchange) -> str:
    """What a request is for, as Vault understands it: the namespace of the header before the path's."""
    return "/".join(filter(None, [exchange.namespace.strip("/"), exchange.path.removeprefix("/v1/")]))


def assert_sent_to(exchanges: Iterable[Exchange], *expected: str) -> None:
    """Check that there are requests, and all are for one of these addresses."""
    seen = {address(exchange) for exchange in exchanges}
    assert seen, f"a request was to be sent to {' or '.join(expected)}"
    assert seen <= set(expected), f"requests were to be sent to {' or '.join(expected)}, not to {seen - set(expected)}"


def login_of(auth: Authentication, namespace: str) -> str:
    return f"{namespace}{auth.login_path.removeprefix('/v1')}"


def assert_logs_in_within(sandbox: Sandbox, kind: str, feature: str) -> None:
    """Check that an issuer with a namespace logs in there, and gets a certificate."""
    namespace = new_namespace()
    proxy, auth = sandbox.new_proxy(namespaces=[namespace]), sandbox.authenticate(feature, kind)
    issuer = sandbox.issuer(kind, auth, proxy=proxy, vault_namespace=namespace)
    assert_sent_to(proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire), login_of(auth, namespace))
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_sent_to(proxy.seen(Route.LOGIN), login_of(auth, namespace))


@requirement("VI-NAMESPACE-001")
@pytest.mark.parametrize("feature", LOGINS)
def test_login_within_the_namespace(sandbox: Sandbox, kind: str, feature: str) -> None:
    assert_logs_in_within(sandbox, kind, feature)


@requirement("VI-NAMESPACE-003")
@pytest.mark.parametrize("feature", ["client-certificate"])
def test_login_with_a_certificate_within_the_namespace(sandbox: Sandbox, kind: str, feature: str) -> None:
    assert_logs_in_within(sandbox, kind, feature)


@requirement("VI-NAMESPACE-002")
def test_signing_within_the_namespace(sandbox: Sandbox, kind: str, feature: str) -> None:
    namespace = new_namespace()
    proxy = sandbox.new_proxy(namespaces=[namespace])
    issuer = sandbox.issuer(kind, sandbox.authenticate(feature, kind), proxy=proxy, vault_namespace=namespace)
    issuer.wait_ready()
    request = sandbox.issued(issuer)
    assert_sent_to(sandbox.signings(request), f"{namespace}/{sandbox.pki.sign_path}")


@requirement("VI-NAMESPACE-004")
def test_health_without_the_namespace(sandbox: Sandbox, kind: str) -> None:
    namespace = new_namespace()
    proxy = sandbox.new_proxy(namespaces=[namespace])
    sandbox.ready_issuer(kind, proxy=proxy, vault_namespace=namespace)
    assert_sent_to(proxy.seen(Route.HEALTH), "sys/health")


@requirement("VI-NAMESPACE-005")
@pytest.mark.parametrize("namespace", ["absent", "empty"])
def test_no_namespace_where_none_is_configured(sandbox: Sandbox, kind: str, feature: str, namespace: str) -> None:
    auth = sandbox.authenticate(feature, kind)
    issuer = sandbox.issuer(kind, auth, vault_namespace=None if namespace == "absent" else "")
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_sent_to(sandbox.proxy.exchanges, login_of(auth, "").removeprefix("/"), "sys/health", sandbox.pki.sign_path)


@requirement("VI-NAMESPACE-006")
@pytest.mark.parametrize("form", ["{0}/{1}", "{0}/{1}/{2}", "{0}/", "/{0}", "/{0}/{1}/"])
def test_every_form_of_a_namespace(sandbox: Sandbox, kind: str, form: str) -> None:
    namespace = form.format(*(new_namespace() for _ in range(3)))
    proxy = sandbox.new_proxy(namespaces=[namespace])
    issuer = sandbox.issuer(kind, proxy=proxy, vault_namespace=namespace)
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-NAMESPACE-007")
@pytest.mark.parametrize("feature", LOGINS)
def test_no_login_elsewhere(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth, namespace = sandbox.authenticate(feature, kind), new_namespace()
    # In any of these the login would be admitted.
    others = [f"{namespace}/pki", new_namespace()]
    proxies = {what: sandbox.new_proxy(namespaces=others) for what in (namespace, f"{others[1]}/{namespace}")}
    never_ready(
        sandbox,
        kind,
        {
            f"there is nothing in its namespace {configured}": {
                "auth": auth,
                "proxy": proxy,
                "vault_namespace": configured,
            }
            for configured, proxy in proxies.items()
        },
    )
    for configured, proxy in proxies.items():
        assert_sent_to(proxy.seen(Route.LOGIN), login_of(auth, configured))


def assert_signs_within(sandbox: Sandbox, issuer: Issuer, namespace: str) -> None:
    expected = "/".join(filter(None, [namespace, sandbox.pki.sign_path]))
    assert_sent_to(sandbox.signings(sandbox.issued(issuer)), expected)


@requirement("VI-NAMESPACE-008")
@pytest.mark.parametrize(
    ("kind", "other_kind"), [("Issuer", "Issuer"), ("Issuer", "ClusterIssuer"), ("ClusterIssuer", "Issuer")]
)
def test_each_issuer_has_its_own_namespace(sandbox: Sandbox, kind: str, other_kind: str) -> None:
    first = new_namespace()
    namespaces = {f"{first}/pki": kind, first: other_kind, new_namespace(): kind}
    proxy = sandbox.new_proxy(namespaces=namespaces)
    issuers = {
        namespace: sandbox.ready_issuer(which, proxy=proxy, vault_namespace=namespace)
        for namespace, which in namespaces.items()
    }
    for _ in range(2):
        for namespace, issuer in issuers.items():
            assert_signs_within(sandbox, issuer, namespace)


def moved(sandbox: Sandbox, issuer: Issuer, proxy: Proxy, namespace: str) -> None:
    """Change an issuer's namespace and see it Ready with it."""
    mark = proxy.mark()
    issuer.change(lambda vault: vault.update(namespace=namespace))
    proxy.wait_for(Route.HEALTH, since=mark, timeout=sandbox.timeouts.wire, what="health, after the change")
    issuer.wait_ready()


@requirement("VI-NAMESPACE-009")
def test_changed_namespace_is_used(sandbox: Sandbox, kind: str) -> None:
    first, second = new_namespace(), new_namespace()
    proxy = sandbox.new_proxy(namespaces=[first, second])
    issuer = sandbox.ready_issuer(kind, proxy=proxy, vault_namespace=first)
    assert_signs_within(sandbox, issuer, first)
    moved(sandbox, issuer, proxy, second)
    # Issuers are noticed in the order of their changes: one made after this change is Ready.
    sandbox.ready_issuer(kind)
    assert_signs_within(sandbox, issuer, second)
