"""Tokens that Vault's auth roles give: with few uses, without accessor, without the policy `default`."""

from __future__ import annotations

from pytest_vault_issuer import Authentication, Sandbox, requirement

from .helpers import LOGINS, in_turn


def with_tokens(sandbox: Sandbox, kind: str, feature: str, **parameters: object) -> Authentication:
    """Prepare an authentication whose role gives tokens with these parameters.

    The role is restricted later than it is created: Vault lets a role have batch tokens only without some of the
    parameters that a role may have at first.
    """
    auth = sandbox.authenticate(feature, kind)
    role = auth.approle or auth.role
    assert role is not None
    sandbox.vault.set_auth_role(role, **parameters)
    return auth


@requirement("VI-LOGIN-001")
@in_turn(LOGINS)
def test_tokens_that_can_be_used_once_suffice(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, with_tokens(sandbox, kind, feature, token_num_uses=1))
    for _ in range(2):
        sandbox.issued(issuer)


@requirement("VI-LOGIN-002")
@in_turn(LOGINS, ("ClusterIssuer", "Issuer"))
def test_batch_tokens_are_used(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, with_tokens(sandbox, kind, feature, token_type="batch"))  # noqa: S106
    for _ in range(2):
        sandbox.issued(issuer)


@requirement("VI-LOGIN-003")
@in_turn(LOGINS)
def test_login_tokens_need_no_default_policy(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, with_tokens(sandbox, kind, feature, token_no_default_policy=True))
    sandbox.issued(issuer)


@requirement("VI-LOGIN-003")
def test_stored_token_needs_no_default_policy(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind, sandbox.authenticate("token", kind, no_default_policy=True))
    sandbox.issued(issuer)
