"""Tokens of Vault's auth roles: with few uses, without accessor, without the policy `default`."""

from __future__ import annotations

import contextlib
import re
import secrets
from typing import Any

from pytest_vault_issuer import (
    Authentication,
    CertificateSigningRequest,
    NotRunnable,
    Route,
    Sandbox,
    Tamper,
    Unmet,
    condition,
    requirement,
)

from .helpers import LOGINS, alternating, claimed, each_feature, issued_eventually, wait_final

#: Words for a missing permission. Which of them is up to the controller.
DENIED = re.compile(r"403|permi|denied|deny|forbidden|unauthori[sz]ed|may not|not allowed", re.IGNORECASE)
#: This many logins in a few seconds, while nothing changes, are a loop. A controller may check a Ready issuer object
#: again from time to time.
TOO_MANY = 4


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
@each_feature(LOGINS)
def test_tokens_that_can_be_used_once_suffice(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, with_tokens(sandbox, kind, feature, token_num_uses=1))
    for _ in range(2):
        sandbox.issued(issuer)


@requirement("VI-LOGIN-002")
@each_feature(LOGINS, ("ClusterIssuer", "Issuer"))
def test_batch_tokens_are_used(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, with_tokens(sandbox, kind, feature, token_type="batch"))  # noqa: S106
    for _ in range(2):
        sandbox.issued(issuer)


@requirement("VI-LOGIN-003")
@each_feature(LOGINS)
def test_login_tokens_need_no_default_policy(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, with_tokens(sandbox, kind, feature, token_no_default_policy=True))
    sandbox.issued(issuer)


@requirement("VI-LOGIN-003")
def test_stored_token_needs_no_default_policy(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind, sandbox.authenticate("token", kind, no_default_policy=True))
    sandbox.issued(issuer)


@requirement("VI-LOGIN-005")
@each_feature(LOGINS)
def test_warnings_do_not_matter(sandbox: Sandbox, kind: str, feature: str) -> None:
    def warn(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"warnings": ['TTL of "2h" exceeded the effective max_ttl of "1h"; TTL value is capped']}

    for route in (Route.LOGIN, Route.SIGN):
        sandbox.proxy.inject(route, Tamper(warn, "add a warning"))
    sandbox.issued(sandbox.ready_issuer(kind, sandbox.authenticate(feature, kind)))


@requirement("VI-LOGIN-006")
@each_feature(LOGINS, ("ClusterIssuer", "Issuer"))
def test_policies_of_a_changed_role_are_used(sandbox: Sandbox, kind: str, feature: str) -> None:
    policy = sandbox.vault.policy(f"pki-{secrets.token_hex(4)}/sign/none")
    auth = sandbox.authenticate(feature, kind, policy=policy)
    issuer = sandbox.issuer(kind, auth)
    if issuer.wait_answer() == "True":  # otherwise the controller has asked Vault whether its token may sign
        wait_final(sandbox.request(issuer))
    role = auth.approle or auth.role
    assert role is not None
    # The token of the earlier login stays valid, without the new policy.
    sandbox.vault.set_auth_role(role, token_policies=[sandbox.sign_policy()])
    issuer.touch()
    issuer.wait_ready("the role of its login may sign now", timeout=sandbox.timeouts.retry)
    issued_eventually(sandbox, issuer)


@requirement("VI-LOGIN-007")
@alternating(("kind",), [("ClusterIssuer",)])
def test_ready_issuer_causes_no_further_logins(sandbox: Sandbox, kind: str) -> None:
    features = claimed(sandbox, LOGINS)
    if not features:
        raise NotRunnable("the implementation claims no authentication method that logs in")
    sandbox.issued(sandbox.ready_issuer(kind, sandbox.authenticate(features[0], kind)))
    sandbox.barrier(sandbox.ready_issuer(kind, proxy=sandbox.new_proxy()))  # checks after its own updates are over
    mark = sandbox.proxy.mark()
    with contextlib.suppress(Unmet):
        sandbox.proxy.wait_for(Route.LOGIN, count=TOO_MANY, since=mark, timeout=sandbox.timeouts.wire / 4)
    logins = len(sandbox.proxy.seen(Route.LOGIN, since=mark))
    assert logins < TOO_MANY, (
        f"expected at most {TOO_MANY - 1} logins for a Ready issuer object while no request waits, saw {logins}"
    )


# -- tokens that may not sign ----------------------------------------------------------------------


def assert_denial_is_stated(sandbox: Sandbox, kind: str, auth: Authentication) -> None:
    """Check the message of the Issuer, if it is not Ready, or else that of a request."""
    issuer = sandbox.issuer(kind, auth)
    if issuer.wait_answer() == "True":
        request = sandbox.request(issuer)
        try:
            request.wait(
                lambda item: bool(DENIED.search(str(condition(item, "Ready").get("message", "")))),
                "to state in its Ready condition that Vault denies permission",
                timeout=sandbox.timeouts.request,
            )
        except Unmet:
            if isinstance(request, CertificateSigningRequest) and not condition(request.get(), "Ready"):
                raise NotRunnable("a CertificateSigningRequest that waits has no condition with a message") from None
            raise
        assert not request.certificates(), "expected no certificate without permission, saw one"
    else:
        message = str(issuer.condition().get("message", ""))
        assert DENIED.search(message), f"expected a STATUS that states the missing permission, saw {message!r}"


@requirement("VI-LOGIN-004")
def test_missing_policy_is_stated(sandbox: Sandbox, kind: str) -> None:
    policy = sandbox.vault.policy(f"pki-{secrets.token_hex(4)}/sign/none")
    assert_denial_is_stated(sandbox, kind, sandbox.default_authentication(kind, policy=policy))


@requirement("VI-LOGIN-004")
@each_feature(LOGINS, ("ClusterIssuer", "Issuer"))
def test_token_for_another_address_is_stated(sandbox: Sandbox, kind: str, feature: str) -> None:
    # Vault gives the token at the login, and checks the address when it is used.
    assert_denial_is_stated(sandbox, kind, with_tokens(sandbox, kind, feature, token_bound_cidrs=["192.0.2.1/32"]))
