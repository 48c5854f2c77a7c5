"""Authenticating at a JWT auth mount of Vault, which is configured as if it were Kubernetes auth.

Vault verifies the tokens with the keys of the cluster's service account issuer
and looks at nothing but their claims. A token that names no audience and never
expires, as the older token Secrets hold, is not admitted: the stored tokens here
are requested ones.
"""

from __future__ import annotations

import secrets

from pytest_vault_issuer.cluster.grants import user_name
from pytest_vault_issuer.issuer import Authentication
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import JWT, Exchange, Route
from pytest_vault_issuer.sandbox import Sandbox

from .helpers import never_ready


def random_name(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def audience_of(sandbox: Sandbox, kind: str, name: str) -> str:
    """Return the documented audience of an issuer that does not exist yet."""
    return f"vault://{name}" if sandbox.kind(kind).cluster_scoped else f"vault://{sandbox.namespace}/{name}"


def logins(sandbox: Sandbox, auth: Authentication) -> list[Exchange]:
    """Return the logins, of which there has to be one, each at the mount and with the role that were named."""
    seen = sandbox.proxy.seen(Route.LOGIN)
    assert seen, "the issuer was to log in"
    assert auth.role is not None
    for login in seen:
        assert login.path == auth.login_path, "every login was to go to <mountPath>/login"
        assert login.json.get("role") == auth.role.name, "every login was to carry the configured role"
    return seen


def assert_requested(sandbox: Sandbox, auth: Authentication) -> None:
    """Check that every login carried a token of the ServiceAccount that was requested for it."""
    for login in logins(sandbox, auth):
        assert isinstance(login.jwt, JWT), "every login was to carry a JWT"
        assert login.jwt.subject == user_name(auth.namespace, auth.service_account), (
            "every JWT was to be one of the ServiceAccount that the issuer names"
        )


@requirement("VI-JWT-001")
def test_stored_token(sandbox: Sandbox, kind: str) -> None:
    mount = f"{random_name('clusters')}/{random_name('jwt')}"
    auth = sandbox.jwt(kind, stored=True, audiences=[random_name("audience")], mount=mount)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert {login.json.get("jwt") for login in logins(sandbox, auth)} == {auth.credential}, (
        "every login was to carry the JWT under the named Secret key"
    )


@requirement("VI-JWT-002")
def test_documented_audience(sandbox: Sandbox, kind: str) -> None:
    name = sandbox.issuer_name()
    auth = sandbox.jwt(kind, audiences=[audience_of(sandbox, kind, name)])
    sandbox.issued(sandbox.ready_issuer(kind, auth, name=name))
    assert_requested(sandbox, auth)


@requirement("VI-JWT-003")
def test_further_audience(sandbox: Sandbox, kind: str) -> None:
    audience = f"https://{random_name('audience')}.example.test"
    auth = sandbox.jwt(kind, audiences=[audience])
    auth.spec["kubernetes"]["serviceAccountRef"]["audiences"] = [random_name("audience"), audience]
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_requested(sandbox, auth)


@requirement("VI-JWT-004")
def test_server_as_audience(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.jwt(kind, audiences=[sandbox.proxy.url])
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_requested(sandbox, auth)


@requirement("VI-JWT-005")
def test_not_ready_with_a_role_for_another_audience(sandbox: Sandbox, kind: str) -> None:
    foreign = {
        "another issuer's audience": audience_of(sandbox, kind, sandbox.issuer_name()),
        "an audience that nobody named": random_name("audience"),
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
