"""The common configuration of all issuer objects: server, path and one authentication method."""

from __future__ import annotations

import copy
import secrets
from typing import Any

import pytest

from pytest_vault_issuer import (
    Authentication,
    Authority,
    InexpressibleError,
    Issuer,
    Proxy,
    RefusedError,
    Route,
    Sandbox,
    at_barrier,
    condition,
    requirement,
)

from .helpers import (
    alternating,
    assert_refused_or_first,
    bundle,
    issue_endpoint,
    never_ready,
    trusting,
    wait_final,
    with_absent_reference,
)


def prefixed_proxy(sandbox: Sandbox) -> tuple[Proxy, str]:
    prefix = f"/Team-{secrets.token_hex(3)}/{secrets.token_hex(3)}"
    return sandbox.new_proxy(prefix=prefix), prefix


def assert_only_below(proxy: Proxy, prefix: str, *routes: Route) -> None:
    stray = [exchange.summary for exchange in proxy.seen() if not exchange.path.startswith(f"{prefix}/v1/")]
    assert not stray, f"expected the path prefix {prefix}/v1/ in every request, saw {stray}"
    for route in routes:
        assert proxy.seen(route), f"expected a {route.value} request at the host and port of server, saw none"


@requirement("VI-SPEC-001")
def test_every_request_keeps_the_path_prefix(sandbox: Sandbox, kind: str, feature: str) -> None:
    proxy, prefix = prefixed_proxy(sandbox)
    auth = sandbox.authenticate(feature, kind)
    sandbox.issued(sandbox.ready_issuer(kind, auth, proxy=proxy))
    # VI-HEALTH-001 judges whether it queries the health.
    assert_only_below(proxy, prefix, Route.SIGN, *([Route.LOGIN] if auth.login_path else []))


@requirement("VI-SPEC-002")
def test_not_ready_without_server_or_path(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    never_ready(sandbox, kind, {f"{field} is empty": {"auth": auth.spec, field: ""} for field in ("server", "path")})


def emptied(sandbox: Sandbox, auth: Authentication) -> dict[str, dict[str, Any]]:
    """Return otherwise valid specifications by the field that is empty."""
    specs: dict[str, dict[str, Any]] = {}

    def leave_empty(*path: str) -> None:
        spec = inner = copy.deepcopy(auth.spec)
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = ""
        specs[f"{'.'.join(path)} is empty"] = spec

    if auth.feature == "token":
        leave_empty("tokenSecretRef", "name")
    elif auth.feature == "approle":
        leave_empty("appRole", "roleId")
        leave_empty("appRole", "secretRef", "name")
        leave_empty("appRole", "secretRef", "key")
        usual = dict.fromkeys(("secretId", "secret-id", "secret_id", "token"), auth.credential)
        reference = {"name": sandbox.secret(usual, namespace=auth.namespace), "key": ""}
        specs["appRole.secretRef.key is empty, and the Secret has the usual keys"] = {
            "appRole": auth.spec["appRole"] | {"secretRef": reference}
        }
    else:
        leave_empty("kubernetes", "role")
    if auth.feature == "kubernetes-static":
        leave_empty("kubernetes", "secretRef", "name")
    if auth.feature == "kubernetes-secretless":
        # Vault accepts the controller's own service account, so that a fallback to it shows.
        namespace, _, account = sandbox.environment.service_account.partition("/")
        role = sandbox.vault.kubernetes_role(
            sandbox.sign_policy(),
            service_account=account,
            namespace=namespace,
            mount=auth.role.mount if auth.role else None,
        )
        specs["neither secretRef nor serviceAccountRef is given"] = {
            "kubernetes": {"mountPath": role.mount_path, "role": role.name}
        }
    return specs


@requirement("VI-SPEC-002")
def test_not_ready_without_a_required_field_of_the_authentication(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind, **({"key": secrets.token_hex(4)} if feature == "approle" else {}))
    never_ready(sandbox, kind, {wrong: {"auth": spec} for wrong, spec in emptied(sandbox, auth).items()})


@requirement("VI-SPEC-003")
def test_not_ready_without_authentication(sandbox: Sandbox, kind: str) -> None:
    never_ready(sandbox, kind, {"no authentication is configured": {"auth": {}}})


@requirement("VI-SPEC-004")
@alternating(
    ("kind", "feature", "other_feature"),
    [
        ("Issuer", "token", "approle"),
        ("ClusterIssuer", "token", "approle"),
        ("Issuer", "token", "kubernetes-secretless"),
        ("Issuer", "approle", "kubernetes-static"),
        ("Issuer", "kubernetes-static", "kubernetes-secretless"),
        ("ClusterIssuer", "kubernetes-static", "kubernetes-secretless"),
    ],
)
def test_two_authentication_methods_are_rejected_or_come_in_order(
    sandbox: Sandbox, kind: str, feature: str, other_feature: str
) -> None:
    auth = sandbox.authenticate(feature, kind)
    if feature == "kubernetes-static":
        # Both use the service account of the Vault role, so that each alone works.
        sandbox.grant_token_requests(auth.namespace, auth.service_account)
        both = {"kubernetes": auth.spec["kubernetes"] | {"serviceAccountRef": {"name": auth.service_account}}}
        never_ready(sandbox, kind, {f"{feature} and {other_feature} are configured": {"auth": both}})
    else:
        other = sandbox.authenticate(other_feature, kind)
        assert_refused_or_first(sandbox, kind, auth, other, what=f"{feature} and {other_feature}")


def invalid_issuer(sandbox: Sandbox, kind: str, auth: Authentication) -> Issuer:
    """Return an issuer object with an empty path or, if its API does not allow this, with another mistake."""
    mistakes: list[dict[str, Any]] = [{"path": ""}, {"caBundle": bundle(Authority().pem)}]
    for mistake in mistakes:
        try:
            return sandbox.issuer(kind, auth, **mistake)
        except (RefusedError, InexpressibleError):
            continue
    return sandbox.issuer(kind, with_absent_reference(auth))


@requirement("VI-SPEC-005")
def test_ready_once_the_configuration_is_corrected(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    issuer = invalid_issuer(sandbox, kind, auth)
    with at_barrier():
        issuer.wait_not_ready("its configuration is invalid")
    right = {"path": sandbox.pki.sign_path, "auth": auth.spec} | trusting(sandbox)
    issuer.change(lambda vault: vault.update(right))
    issuer.wait_ready("its configuration is correct now", timeout=sandbox.timeouts.retry)


@requirement("VI-SPEC-007")
def test_path_that_is_not_a_sign_endpoint_issues_nothing(sandbox: Sandbox, kind: str) -> None:
    auth, path = issue_endpoint(sandbox, kind)
    try:
        issuer = sandbox.issuer(kind, auth, path=path)
    except RefusedError:
        return  # a rejection by the API server is enough
    with at_barrier():
        right = sandbox.ready_issuer(kind)
    if issuer.wait_answer() != "True":
        return
    request = sandbox.request(issuer)
    wait_final(request)
    sandbox.barrier(right)
    assert not request.certificates(), f"expected no certificate from {path}, which is not a sign endpoint, saw one"


@requirement("VI-SPEC-006")
@pytest.mark.parametrize("trusted", ["no bundle", "unrelated bundle"])
def test_plain_http_server_is_supported(sandbox: Sandbox, kind: str, trusted: str) -> None:
    proxy = sandbox.new_proxy(plain=True)
    given = bundle(Authority().pem) if trusted == "unrelated bundle" else None
    issuer = sandbox.issuer(kind, proxy=proxy, caBundle=given)
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_only_below(proxy, "", Route.SIGN)


@requirement("VI-SPEC-008")
def test_issuer_of_another_type_is_left_alone(sandbox: Sandbox, kind: str) -> None:
    vault = sandbox.ready_issuer(kind)
    api = "cert-manager.io/v1"
    type_name = "ClusterIssuer" if vault.type.cluster_scoped else "Issuer"
    other = sandbox.cluster.discover(api, type_name)
    place = {"namespace": vault.namespace} if vault.namespace else {}
    name = sandbox.issuer_name()
    body = {
        "apiVersion": api,
        "kind": type_name,
        "metadata": {"name": name, "labels": sandbox.labels} | place,
        "spec": {"selfSigned": {}},
    }
    sandbox.cluster.create(other, body)
    sandbox.remove_later(sandbox.cluster.delete, other, name, vault.namespace)
    with at_barrier():
        sandbox.ready_issuer(kind)
    item = sandbox.cluster.find(other, name, vault.namespace) or {}
    # cert-manager has a controller for this type, too, which sets the object Ready.
    assert condition(item, "Ready").get("status") != "False", (
        "expected no Ready=False on an issuer object without a Vault configuration, saw it"
    )
