"""Kubernetes authentication with a service account: a static token in a Secret."""

from __future__ import annotations

import secrets

import pytest

from pytest_vault_issuer import Exchange, Route, Sandbox, create_token_secret, requirement

from .helpers import logins_without_a_token, never_ready, with_fields


def random_name(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def decoys(sandbox: Sandbox, namespace: str, *keys: str) -> dict[str, str]:
    """Return data for a Secret: under each key a token of a ServiceAccount that the issuer object does not name."""
    account = sandbox.service_account(namespace, grant=False)
    return {key: sandbox.cluster.create_token(account, namespace) for key in keys}


def logins(sandbox: Sandbox) -> list[Exchange]:
    """Return the logins; at least one is required."""
    seen = sandbox.proxy.seen(Route.LOGIN)
    assert seen, "expected a login, saw none"
    return seen


def assert_every_login(sandbox: Sandbox, *, path: str, role: str, jwt: str) -> None:
    for login in logins(sandbox):
        assert login.path == path, "expected every login at <mountPath>/login"
        assert login.json.get("role") == role, "expected the configured role in every login"
        assert login.json.get("jwt") == jwt, "expected the JWT under the named Secret key"


@requirement("VI-KSTATIC-001")
def test_login_sends_role_and_stored_jwt_to_the_mount_path(sandbox: Sandbox, kind: str) -> None:
    mount = sandbox.vault.mount_kubernetes(f"{random_name('clusters')}/{random_name('kubernetes')}")
    auth = sandbox.kubernetes_static(kind, mount=mount, key=random_name("key"))
    assert auth.role is not None
    others = decoys(sandbox, auth.namespace, "token", "jwt", f"{auth.secret_key}-old", "secretId")
    sandbox.set_secret(auth.secret_name, auth.namespace, others)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_every_login(sandbox, path=f"/v1/auth/{mount}/login", role=auth.role.name, jwt=auth.credential)


@requirement("VI-KSTATIC-002")
def test_token_secret_populated_by_kubernetes_is_used(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_static(kind)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert {login.json.get("jwt") for login in logins(sandbox)} == {auth.credential}, (
        "expected the JWT that Kubernetes put into the Secret"
    )


@requirement("VI-KSTATIC-002")
def test_token_secret_populated_after_the_issuer_was_created_is_used(sandbox: Sandbox, kind: str) -> None:
    namespace = sandbox.home(kind)
    account = sandbox.service_account(namespace, grant=False)
    role = sandbox.vault.kubernetes_role(sandbox.sign_policy(), service_account=account, namespace=namespace)
    name = random_name("token")
    spec = {"role": role.name, "mountPath": role.mount_path, "secretRef": {"name": name, "key": "token"}}
    issuer = sandbox.issuer(kind, {"kubernetes": spec})
    issuer.wait_not_ready("its Secret is missing")

    # Kubernetes deletes the Secret with its ServiceAccount.
    create_token_secret(sandbox.cluster, namespace, account, name, sandbox.labels, sandbox.timeouts)
    issuer.wait_ready("its Secret exists now", timeout=sandbox.timeouts.retry)
    sandbox.issued(issuer)


@requirement("VI-KSTATIC-003")
def test_mount_path_defaults_to_kubernetes(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_static(kind, mount="kubernetes")
    assert auth.role is not None
    del auth.spec["kubernetes"]["mountPath"]
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_every_login(sandbox, path="/v1/auth/kubernetes/login", role=auth.role.name, jwt=auth.credential)


@requirement("VI-KSTATIC-004")
def test_secret_key_defaults_to_token(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_static(kind, key="token")
    assert auth.role is not None
    others = decoys(sandbox, auth.namespace, "jwt", "key", random_name("token"))
    name = sandbox.secret({**others, "token": auth.credential}, namespace=auth.namespace)
    auth.spec["kubernetes"]["secretRef"] = {"name": name}
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_every_login(sandbox, path=auth.login_path, role=auth.role.name, jwt=auth.credential)


@requirement("VI-KSTATIC-005")
def test_not_ready_without_the_token(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_static(kind)
    # The controller now knows this JWT, which other issuer objects must not use.
    sandbox.ready_issuer(kind, auth, proxy=sandbox.new_proxy())
    good = {"token": auth.credential, "jwt": auth.credential}
    other_key = sandbox.secret(good, namespace=auth.namespace)
    empty_value = sandbox.secret({**good, "mine": ""}, namespace=auth.namespace)
    wrong = {
        "the Secret does not exist": random_name("absent"),
        "the Secret lacks the named key": other_key,
        "the value is empty": empty_value,
    }
    variants = {
        what: {"auth": with_fields(auth, secretRef={"name": secret, "key": "mine"})} for what, secret in wrong.items()
    }
    never_ready(sandbox, kind, variants)
    assert auth.credential not in {login.json.get("jwt") for login in sandbox.proxy.seen(Route.LOGIN)}, (
        "expected no login with a JWT from another Secret or key, saw one"
    )


@requirement("VI-KSTATIC-006")
def test_no_service_account_token_is_requested(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_static(kind)
    sandbox.grant_token_requests(auth.namespace, auth.service_account)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    # The suite's own request is logged after those of the controller.
    sandbox.cluster.create_token(auth.service_account, auth.namespace)
    requested = sandbox.audit.token_requests(auth.namespace, auth.service_account)
    user = f"system:serviceaccount:{sandbox.environment.service_account.replace('/', ':')}"
    assert user not in {record["user"]["username"] for record in requested}, (
        f"expected no TokenRequest by {user}, saw one"
    )
    assert len(requested) == 1, "expected only the suite's own TokenRequest"


@requirement("VI-KSTATIC-007")
def test_not_ready_without_a_client_token(sandbox: Sandbox, kind: str) -> None:
    never_ready(sandbox, kind, logins_without_a_token(sandbox, sandbox.kubernetes_static(kind)))


@requirement("VI-KSTATIC-008")
@pytest.mark.parametrize("line_break", ["\n", "\r\n"], ids=["newline", "carriage-return"])
def test_jwt_that_ends_in_a_line_break_is_accepted(sandbox: Sandbox, kind: str, line_break: str) -> None:
    # Vault accepts both forms.
    auth = sandbox.kubernetes_static(kind, key=random_name("key"))
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: auth.credential + line_break})
    sandbox.issued(sandbox.ready_issuer(kind, auth))
