"""Authentication at a JWT auth mount of Vault, configured in the same fields as Kubernetes auth.

Vault verifies the tokens with the keys of the cluster's service account issuer and
checks only their claims. It rejects the tokens of token Secrets, which have no
audience and no expiry. The stored tokens here are therefore requested ones.
"""

from __future__ import annotations

import secrets

from pytest_vault_issuer import JWT, Authentication, Exchange, Route, Sandbox, requirement, user_name

from .helpers import never_ready


def random_name(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def audience_of(sandbox: Sandbox, kind: str, name: str) -> str:
    """Return the documented audience of an issuer object that does not exist yet."""
    return f"vault://{name}" if sandbox.kind(kind).cluster_scoped else f"vault://{sandbox.namespace}/{name}"


def logins(sandbox: Sandbox, auth: Authentication) -> list[Exchange]:
    """Return the logins, at least one, each checked for the configured mount and role."""
    seen = sandbox.proxy.seen(Route.LOGIN)
    assert seen, "expected a login, saw none"
    assert auth.role is not None
    for login in seen:
        assert login.path == auth.login_path, "expected every login at <mountPath>/login"
        assert login.json.get("role") == auth.role.name, "expected the configured role in every login"
    return seen


def assert_requested(sandbox: Sandbox, auth: Authentication) -> None:
    """Check that every login carries a requested token of the ServiceAccount."""
    for login in logins(sandbox, auth):
        assert isinstance(login.jwt, JWT), f"expected a JWT in every login, saw {login.summary} without one"
        assert login.jwt.subject == user_name(auth.namespace, auth.service_account), (
            "expected a JWT of the named ServiceAccount"
        )


@requirement("VI-JWT-001")
def test_stored_token_is_sent_to_the_jwt_mount(sandbox: Sandbox, kind: str) -> None:
    mount = f"{random_name('clusters')}/{random_name('jwt')}"
    auth = sandbox.jwt(kind, stored=True, audiences=[random_name("audience")], mount=mount)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert {login.json.get("jwt") for login in logins(sandbox, auth)} == {auth.credential}, (
        "expected the JWT under the named Secret key in every login"
    )


@requirement("VI-JWT-002")
def test_token_has_the_documented_audience(sandbox: Sandbox, kind: str) -> None:
    name = sandbox.issuer_name()
    auth = sandbox.jwt(kind, audiences=[audience_of(sandbox, kind, name)])
    sandbox.issued(sandbox.ready_issuer(kind, auth, name=name))
    assert_requested(sandbox, auth)


@requirement("VI-JWT-003")
def test_token_has_a_listed_audience(sandbox: Sandbox, kind: str) -> None:
    audience = f"https://{random_name('audience')}.example.test"
    auth = sandbox.jwt(kind, audiences=[audience])
    auth.spec["kubernetes"]["serviceAccountRef"]["audiences"] = [random_name("audience"), audience]
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_requested(sandbox, auth)


@requirement("VI-JWT-004")
def test_token_has_the_server_as_audience(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.jwt(kind, audiences=[sandbox.proxy.url])
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_requested(sandbox, auth)


@requirement("VI-JWT-005")
def test_not_ready_with_a_role_for_another_audience(sandbox: Sandbox, kind: str) -> None:
    foreign = {
        "another issuer object's audience": audience_of(sandbox, kind, sandbox.issuer_name()),
        "an audience that is configured nowhere": random_name("audience"),
    }
    variants = {
        f"the role is bound to {what}": {"auth": sandbox.jwt(kind, audiences=[audience])}
        for what, audience in foreign.items()
    }
    never_ready(sandbox, kind, variants)


@requirement("VI-JWT-006")
def test_not_ready_with_a_role_for_another_subject(sandbox: Sandbox, kind: str) -> None:
    names = {stored: sandbox.issuer_name() for stored in (False, True)}
    variants = {
        f"the role is bound to another ServiceAccount ({'stored' if stored else 'requested'} token)": {
            "auth": sandbox.jwt(
                kind,
                audiences=[audience_of(sandbox, kind, name)],
                stored=stored,
                bound_to=random_name("account"),
            ),
            "name": name,
        }
        for stored, name in names.items()
    }
    never_ready(sandbox, kind, variants)
