"""Token authentication."""

from __future__ import annotations

import secrets
from typing import Any

import hvac.exceptions
import pytest

from pytest_vault_issuer import SECRETS, Authentication, Exchange, Route, Sandbox, poll, requirement

from .helpers import for_each_kind, issued_eventually, never_ready, settle, tokens_of


def add_decoys(sandbox: Sandbox, auth: Authentication, *keys: str) -> list[str]:
    """Put other tokens with permission to sign under other keys of the same Secret."""
    tokens = {key: sandbox.vault.token(sandbox.sign_policy()) for key in keys}
    sandbox.set_secret(auth.secret_name, auth.namespace, tokens)
    return list(tokens.values())


def random_key() -> str:
    return f"key-{secrets.token_hex(3)}"


def signing_token(sandbox: Sandbox) -> str:
    return sandbox.proxy.seen(Route.SIGN)[-1].token


@requirement("VI-TOKEN-001")
def test_token_under_the_named_key_signs(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.token(kind, key=random_key())
    add_decoys(sandbox, auth, "token", "secretId", random_key())
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert signing_token(sandbox) == auth.credential, "expected the token under the named key in the sign request"


@requirement("VI-TOKEN-002")
def test_token_needs_no_login(sandbox: Sandbox, kind: str) -> None:
    sandbox.issued(sandbox.ready_issuer(kind, sandbox.token(kind)))
    logins = [exchange.summary for exchange in sandbox.proxy.seen(Route.LOGIN)]
    assert not logins, f"expected no login with token authentication, saw {logins}"


@requirement("VI-TOKEN-003")
def test_not_ready_without_the_token(sandbox: Sandbox, kind: str) -> None:
    named, decoys = random_key(), [sandbox.vault.token(sandbox.sign_policy()) for _ in range(2)]
    other_key, usual_key = (
        sandbox.secret({key: decoy}, namespace=sandbox.home(kind))
        for key, decoy in zip((random_key(), "token"), decoys, strict=True)
    )
    references = {
        "its Secret is missing": f"secret-{secrets.token_hex(4)}",
        "its Secret has another key only": other_key,
        "its Secret has the usual key only, not the named one": usual_key,
    }
    never_ready(
        sandbox,
        kind,
        {wrong: {"auth": {"tokenSecretRef": {"name": name, "key": named}}} for wrong, name in references.items()},
    )
    assert not tokens_of(sandbox.proxy.seen()).intersection(decoys), (
        "expected no request with a token under another key, saw one"
    )


@requirement("VI-TOKEN-004")
def test_secret_key_defaults_to_token(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.token(kind)
    add_decoys(sandbox, auth, "secretId", random_key())
    issuer = sandbox.issuer(kind, {"tokenSecretRef": {"name": auth.secret_name}})
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert signing_token(sandbox) == auth.credential, "expected the token under the key 'token'"


@requirement("VI-TOKEN-005")
@pytest.mark.parametrize("stored", ["", " \n"], ids=["empty", "white-space"])
def test_request_with_an_empty_token_is_not_issued(sandbox: Sandbox, kind: str, stored: str) -> None:
    auth = sandbox.token(kind, key=random_key())
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: stored})
    others = sandbox.token(kind)
    decoys = [*add_decoys(sandbox, auth, "token", random_key()), others.credential]
    sandbox.ready_issuer(kind, others, proxy=sandbox.new_proxy())
    issuer = sandbox.issuer(kind, auth)
    request = sandbox.request(issuer)
    right = sandbox.ready_issuer(kind)
    sandbox.barrier(right)
    assert not request.certificates(), "expected no certificate with an empty token, saw one"
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: auth.credential})
    issuer.wait_ready("its token is stored now", timeout=sandbox.timeouts.retry)
    issued_eventually(sandbox, issuer)
    assert not tokens_of(sandbox.proxy.seen()).intersection(decoys), (
        "expected no request with a token of another key or Secret, saw one"
    )


@requirement("VI-TOKEN-006")
@pytest.mark.parametrize(
    ("before", "after"), [("", "\n"), ("", "\r\n"), (" \t", " ")], ids=["newline", "carriage-return", "blanks"]
)
def test_whitespace_around_the_token_is_ignored(sandbox: Sandbox, kind: str, before: str, after: str) -> None:
    auth = sandbox.token(kind)
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: before + auth.credential + after})
    sandbox.issued(sandbox.ready_issuer(kind, auth))


@requirement("VI-TOKEN-007")
def test_new_token_is_used_after_the_old_one_was_revoked(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.token(kind)
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.issued(issuer)
    sandbox.vault.revoke(auth.credential)
    settle(sandbox.request(issuer))
    new = sandbox.vault.token(sandbox.sign_policy())
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: new})
    request = issued_eventually(sandbox, issuer)
    assert sandbox.signings(request)[-1].token == new, "expected the new token in the sign request"
    mark = sandbox.proxy.mark()
    sandbox.barrier(issuer)
    assert auth.credential not in tokens_of(sandbox.proxy.seen(since=mark)), (
        "expected no request with the old token, saw one"
    )


@requirement("VI-TOKEN-008")
def test_token_is_not_renewed_revoked_or_replaced(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.token(kind, ttl="20m", period="20m")
    issued = sandbox.vault.client.auth.token.lookup(auth.credential)["data"]
    stored = sandbox.cluster.get(SECRETS, auth.secret_name, auth.namespace)
    issuer = sandbox.ready_issuer(kind, auth)
    for _ in range(2):
        sandbox.issued(issuer)
    managing = [exchange.summary for exchange in sandbox.proxy.seen() if manages_tokens(exchange)]
    assert not managing, f"expected no request that manages tokens, saw {managing}"
    now = sandbox.vault.client.auth.token.lookup(auth.credential)["data"]
    assert now["expire_time"] == issued["expire_time"], "expected an unchanged expiry of the token"
    version = sandbox.cluster.get(SECRETS, auth.secret_name, auth.namespace)["metadata"]["resourceVersion"]
    assert version == stored["metadata"]["resourceVersion"], "expected an unchanged Secret"


@requirement("VI-TOKEN-008")
@pytest.mark.slow
def test_token_is_not_renewed_before_it_expires(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        # Long enough for a timer that renews a token in the course of its ttl, such as at two thirds.
        auth = sandbox.token(kind, ttl="6s")
        sandbox.issuer(kind, auth).wait_answer()

        def expired() -> bool | None:
            try:
                sandbox.vault.client.auth.token.lookup(auth.credential)
            except (hvac.exceptions.InvalidPath, hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest):
                return True
            return None

        ended = poll(expired, timeout=sandbox.timeouts.issuer, interval=0.25)
        managing = [exchange.summary for exchange in sandbox.proxy.seen() if manages_tokens(exchange)]
        assert not managing, f"expected no request that manages tokens, saw {managing}"
        assert ended, "expected the token to expire, saw it renewed"

    for_each_kind(sandbox, check)


def manages_tokens(exchange: Exchange) -> bool:
    """Whether a request renews, revokes or creates tokens or leases."""
    path = exchange.path.partition("/v1/")[2]
    return path.startswith(
        ("auth/token/renew", "auth/token/revoke", "auth/token/create", "sys/leases/", "sys/renew", "sys/revoke")
    )


@requirement("VI-TOKEN-009")
def test_not_ready_with_an_empty_token(sandbox: Sandbox, kind: str) -> None:
    stored = {
        what: sandbox.secret({"token": value}, namespace=sandbox.home(kind))
        for what, value in {"the stored token is empty": "", "the stored token is white space": " \n"}.items()
    }
    references = {wrong: {"name": name, "key": "token"} for wrong, name in stored.items()}
    never_ready(sandbox, kind, {wrong: {"auth": {"tokenSecretRef": ref}} for wrong, ref in references.items()})


@requirement("VI-TOKEN-010")
@pytest.mark.parametrize("form", ["batch", "chosen"])
def test_token_in_any_form_is_used(sandbox: Sandbox, kind: str, form: str) -> None:
    parameters: dict[str, Any] = {"type": "batch"} if form == "batch" else {"id": f"issuer-{secrets.token_hex(8)}"}
    auth = sandbox.token(kind, **parameters)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert sandbox.proxy.seen(Route.SIGN)[-1].token == auth.credential, "expected the stored token in the sign request"
