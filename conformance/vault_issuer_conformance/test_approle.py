"""AppRole authentication."""

from __future__ import annotations

import secrets
import uuid

from pytest_vault_issuer import AppRole, Authentication, Exchange, Route, Sandbox, requirement

from .helpers import logins_without_a_token, never_ready


def approle_of(auth: Authentication) -> AppRole:
    assert auth.approle is not None
    return auth.approle


def new_secret_id(sandbox: Sandbox, auth: Authentication) -> str:
    """Return another SecretID that Vault accepts."""
    approle = approle_of(auth)
    return sandbox.vault.new_secret_id(approle.mount, approle.name)


def random_key() -> str:
    return f"key-{secrets.token_hex(3)}"


def client_tokens(exchanges: list[Exchange]) -> set[str]:
    """Return the tokens in Vault's responses to logins."""
    answers = [exchange.response_json.get("auth") or {} for exchange in exchanges]
    return {answer["client_token"] for answer in answers if answer.get("client_token")}


def assert_logs_in(sandbox: Sandbox, auth: Authentication) -> None:
    """Check each login at the sandbox's proxy, and that the sign request carries the token of one of them."""
    approle = approle_of(auth)
    logins = sandbox.proxy.seen(Route.LOGIN)
    for login in logins:
        assert login.path == auth.login_path, "expected every login at the AppRole mount"
        assert login.json.get("role_id") == approle.role_id, "expected the configured roleId in every login"
        assert login.json.get("secret_id") == auth.credential, "expected the SecretID under the named key"
    token = sandbox.proxy.seen(Route.SIGN)[-1].token
    assert token in client_tokens(logins), "expected the token of a login in the sign request, saw another token"


@requirement("VI-APPROLE-001")
def test_login_sends_role_id_and_secret_id(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.approle(kind, key=random_key())
    decoys = {key: new_secret_id(sandbox, auth) for key in ("secretId", "token", random_key())}
    decoys["roleId"] = str(uuid.uuid4())
    sandbox.set_secret(auth.secret_name, auth.namespace, decoys)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_logs_in(sandbox, auth)


@requirement("VI-APPROLE-001")
def test_login_goes_to_a_mount_with_slashes(sandbox: Sandbox, kind: str) -> None:
    mount = sandbox.vault.mount_auth("approle", f"{secrets.token_hex(3)}/{secrets.token_hex(3)}")
    auth = sandbox.approle(kind, mount=mount)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_logs_in(sandbox, auth)


@requirement("VI-APPROLE-002")
def test_mount_defaults_to_approle(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.approle(kind, mount="approle")
    issuer = sandbox.issuer(kind, {"appRole": auth.spec["appRole"] | {"path": ""}})
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_logs_in(sandbox, auth)


@requirement("VI-APPROLE-003")
def test_not_ready_without_the_secret_id(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.approle(kind, key="secretId")
    # The controller now knows this SecretID, which other issuer objects must not use.
    sandbox.ready_issuer(kind, auth, proxy=sandbox.new_proxy())
    other = new_secret_id(sandbox, auth)
    named = random_key()
    references = {
        "its Secret is missing": f"secret-{secrets.token_hex(4)}",
        "its Secret has the usual key only, not the named one": auth.secret_name,
        "the value is empty": sandbox.secret({named: "", "secretId": other}, namespace=auth.namespace),
    }
    never_ready(
        sandbox,
        kind,
        {
            wrong: {"auth": {"appRole": auth.spec["appRole"] | {"secretRef": {"name": name, "key": named}}}}
            for wrong, name in references.items()
        },
    )
    sent = {login.json.get("secret_id") for login in sandbox.proxy.seen(Route.LOGIN)}
    assert not sent & {auth.credential, other}, "expected no login with a SecretID under another key, saw one"


@requirement("VI-APPROLE-004")
def test_not_ready_without_a_client_token(sandbox: Sandbox, kind: str) -> None:
    never_ready(sandbox, kind, logins_without_a_token(sandbox, sandbox.approle(kind)))


@requirement("VI-APPROLE-005")
def test_whitespace_around_secret_id_and_role_id_is_ignored(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.approle(kind)
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: f" {auth.credential}\r\n"})
    issuer = sandbox.issuer(kind, {"appRole": auth.spec["appRole"] | {"roleId": f" {approle_of(auth).role_id}\n"}})
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_logs_in(sandbox, auth)


@requirement("VI-APPROLE-006")
def test_request_is_signed_after_the_login_token_was_revoked(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.approle(kind)
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.issued(issuer)
    mark = sandbox.proxy.mark()
    sandbox.vault.client.sys.revoke_prefix(auth.login_path.removeprefix("/v1/"))
    request = sandbox.issued(issuer)
    later = client_tokens(sandbox.proxy.seen(Route.LOGIN, since=mark))
    assert sandbox.signings(request)[-1].token in later, "expected a later login's token, saw another"


@requirement("VI-APPROLE-007")
def test_chosen_role_id_and_secret_id_are_accepted(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.approle(kind)
    approle = approle_of(auth)
    role_id, secret_id = f"issuer {secrets.token_hex(4)}", f"secret/{secrets.token_hex(8)}="
    method = sandbox.vault.client.auth.approle
    method.update_role_id(approle.name, role_id, mount_point=approle.mount)
    method.create_custom_secret_id(approle.name, secret_id, mount_point=approle.mount)
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: secret_id})
    issuer = sandbox.ready_issuer(kind, {"appRole": auth.spec["appRole"] | {"roleId": role_id}})
    sandbox.issued(issuer)
