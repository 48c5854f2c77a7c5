"""AWS IAM authentication: an AWS role, assumed with a requested service account token.

STS is a local server: the controller gets its credentials there, for a token of this
cluster with STS as its audience, and Vault verifies the logins there, including their
signatures. Except in the tests of the login path, a login is judged by its content,
wherever it was sent: the test replays it to Vault at the right path.
"""

from __future__ import annotations

import base64
import random
import secrets

import hvac.exceptions
import pytest

from pytest_vault_issuer import (
    IDENTIFY,
    JWT,
    AssumedRole,
    Authentication,
    Exchange,
    IamLogin,
    NotRunnable,
    Route,
    Sandbox,
    Unmet,
    new_iam_role,
    poll,
    requirement,
    user_name,
)

from .helpers import never_ready, require_no_token_permission, with_fields

REGIONS = ("eu-central-1", "ap-southeast-2", "us-west-2", "sa-east-1")
STS_AUDIENCE = "sts.amazonaws.com"


def random_name(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def first_login(sandbox: Sandbox, kind: str, auth: Authentication) -> Exchange:
    """Create an issuer object and return its first login, whatever its path."""
    sandbox.issuer(kind, auth)
    try:
        return sandbox.proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire, what="a login")[0]
    except Unmet as error:
        if refusals := sandbox.environment.sts.refusals(auth.principal):
            raise Unmet(f"{error}\nthe local STS refused AssumeRoleWithWebIdentity: {refusals[-1]}") from error
        raise


def content(login: Exchange) -> IamLogin:
    """Return the content of a login."""
    found = IamLogin.of(login.json)
    assert found is not None, "expected a signed request in the documented form in the login, saw another form"
    return found


def assumed(sandbox: Sandbox, auth: Authentication) -> list[AssumedRole]:
    """Return each assumption of an authentication's AWS role; at least one is required."""
    found = sandbox.environment.sts.assumed(auth.principal)
    for role in found:
        for secret in (role.web_identity_token, role.secret_access_key, role.session_token):
            sandbox.environment.redactor.add(secret)
    assert found, "expected AssumeRoleWithWebIdentity for iamRoleArn, saw none"
    return found


def tokens(sandbox: Sandbox, kind: str, auth: Authentication) -> list[JWT]:
    """Create an issuer object and return the tokens offered for its AWS role, also those that STS refused."""
    sandbox.issuer(kind, auth)
    found = poll(lambda: sandbox.environment.sts.offered(auth.principal) or None, timeout=sandbox.timeouts.wire) or []
    for token in found:
        sandbox.environment.redactor.add(token)
    assert found, "expected AssumeRoleWithWebIdentity for iamRoleArn with a token of this cluster, saw none"
    return [token for token in map(JWT.of, found) if token is not None]


def assert_admitted(sandbox: Sandbox, auth: Authentication, login: Exchange) -> None:
    """Check that Vault accepts a login at the mount that the issuer object names."""
    assert auth.role is not None
    try:
        sandbox.environment.redactor.add(sandbox.vault.log_in(auth.role, login.json))
    except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as error:
        raise Unmet(f"expected Vault to accept the login, saw it rejected: {error}") from error


@requirement("VI-AWS-001")
def test_login_goes_to_the_mount_path(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind, mount=f"{random_name('clouds')}/{random_name('aws')}")
    assert first_login(sandbox, kind, auth).path == auth.login_path, "expected the login at <mountPath>/login"
    issuer = sandbox.issuers[-1]
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-AWS-002")
def test_mount_path_defaults_to_aws(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    del auth.spec["aws"]["mountPath"]
    assert first_login(sandbox, kind, auth).path == "/v1/auth/aws/login", "expected the login at the default mount"


@requirement("VI-AWS-003")
def test_vault_accepts_the_login(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    login = first_login(sandbox, kind, auth)
    found = content(login)
    assert auth.role is not None
    assert found.role == auth.role.name, "expected the configured role in the login"
    assert found.request.parameters.get("Action") == IDENTIFY, "expected a GetCallerIdentity request in the login"
    assert found.signature.access_key_id in {role.access_key_id for role in assumed(sandbox, auth)}, (
        "expected a login signed with credentials of iamRoleArn, saw other credentials"
    )
    assert_admitted(sandbox, auth, login)


@requirement("VI-AWS-004")
def test_role_is_assumed_with_a_token_of_the_service_account(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    if sandbox.home(kind) != sandbox.namespace:
        sandbox.service_account(sandbox.namespace, name=auth.service_account)
    for token in tokens(sandbox, kind, auth):
        assert token.subject == user_name(auth.namespace, auth.service_account), (
            "expected a token of the named ServiceAccount"
        )
        assert STS_AUDIENCE in token.audiences, f"expected the audience {STS_AUDIENCE}, saw {token.audiences}"
        assert token.lifetime is not None, "expected a requested token, which expires, saw one without expiry"


@requirement("VI-AWS-005")
def test_listed_audiences_are_requested(sandbox: Sandbox, kind: str) -> None:
    audience = random_name("audience")
    auth = sandbox.aws(kind)
    auth.spec["aws"]["serviceAccountRef"]["audiences"] = [audience]
    for token in tokens(sandbox, kind, auth):
        expected = {audience, STS_AUDIENCE}
        assert expected <= set(token.audiences), f"expected the audiences {expected}, saw {token.audiences}"


@requirement("VI-AWS-006")
def test_vault_accepts_the_signed_server_id_header(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind, server_id=f"{random_name('vault')}.example.test")
    assert_admitted(sandbox, auth, first_login(sandbox, kind, auth))


@requirement("VI-AWS-007")
def test_login_is_signed_for_the_region(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    region = auth.spec["aws"]["region"] = random.choice(REGIONS)  # noqa: S311 (no secret)
    login = first_login(sandbox, kind, auth)
    assert content(login).signature.region == region, "expected a login signed for the configured region"
    assert_admitted(sandbox, auth, login)


@requirement("VI-AWS-008")
def test_region_defaults_to_that_of_the_environment(sandbox: Sandbox, kind: str) -> None:
    environment = sandbox.environment.implementation_env
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    auth = sandbox.aws(kind)
    login = first_login(sandbox, kind, auth)
    assert content(login).signature.region == region, "expected a login signed for the default region"
    assert_admitted(sandbox, auth, login)


@requirement("VI-AWS-009")
def test_not_ready_without_permission_to_create_tokens(sandbox: Sandbox, kind: str) -> None:
    proxy, auth = sandbox.new_proxy(), sandbox.aws(kind, grant=False)
    require_no_token_permission(sandbox, auth)
    never_ready(sandbox, kind, {"no permission to create tokens": {"auth": auth, "proxy": proxy}})
    offered = len(sandbox.environment.sts.offered(auth.principal))
    assert not offered, f"expected no token to be offered to STS, saw {offered}"
    logins = [exchange.summary for exchange in proxy.seen(Route.LOGIN)]
    assert not logins, f"expected no login without a service account token, saw {logins}"


@requirement("VI-AWS-010")
def test_not_ready_when_the_vault_role_rejects_it(sandbox: Sandbox, kind: str) -> None:
    never_ready(
        sandbox,
        kind,
        {
            "the role is bound to another principal": {"auth": sandbox.aws(kind, bound_to=new_iam_role())},
            "the role does not exist": {"auth": with_fields(sandbox.aws(kind), role=random_name("role"))},
        },
    )


@requirement("VI-AWS-011")
def test_not_ready_without_an_aws_role(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    del auth.spec["aws"]["iamRoleArn"]
    never_ready(sandbox, kind, {"iamRoleArn is not set": {"auth": auth}})


@requirement("VI-AWS-013")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_issuer_does_not_use_the_identity_of_the_controller(sandbox: Sandbox, kind: str) -> None:
    proxy = sandbox.new_proxy()
    variants = {"serviceAccountRef is not set": {"auth": sandbox.aws(kind, ambient=True), "proxy": proxy}}
    never_ready(sandbox, kind, variants)
    used = {content(login).signature.access_key_id for login in proxy.seen(Route.LOGIN)}
    assert sandbox.environment.sts.access_key_id not in used, (
        "expected no login with the controller's own identity, saw one"
    )


@requirement("VI-AWS-014")
@pytest.mark.parametrize("kind", ["ClusterIssuer"])
def test_cluster_issuer_uses_the_identity_of_the_controller(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind, ambient=True)
    login = first_login(sandbox, kind, auth)
    assert content(login).signature.access_key_id == sandbox.environment.sts.access_key_id, (
        "expected a login signed with the controller's own identity"
    )
    assert_admitted(sandbox, auth, login)


@requirement("VI-AWS-012")
@pytest.mark.parametrize("place", ["Vault and objects", "log"])
def test_aws_secrets_are_neither_sent_nor_shown(sandbox: Sandbox, kind: str, place: str) -> None:
    if place == "log" and sandbox.environment.implementation_log is None:
        raise NotRunnable("the controller's log cannot be read", hint="let the suite start it: set [run] command")
    auth = sandbox.aws(kind)
    issuer = sandbox.issuer(kind, auth)
    sandbox.proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire, what="a login")
    issuer.wait_answer()
    seen = sent(sandbox)
    published = sandbox.implementation_log() if place == "log" else sandbox.published()
    for role in assumed(sandbox, auth):
        for what, secret in (("secret access key", role.secret_access_key), ("token", role.web_identity_token)):
            assert secret not in seen, f"expected no {what} in requests to Vault, saw one"
            assert secret not in published, f"expected no {what} in status, events or log, saw one"
        assert role.session_token not in published, "expected no session token in status, events or log, saw one"


def sent(sandbox: Sandbox) -> str:
    """Return everything that was sent to Vault; base64 values also decoded."""
    parts = []
    for exchange in sandbox.proxy.exchanges:
        parts += [exchange.query, *(value for _, value in exchange.headers), exchange.body.decode(errors="replace")]
        for value in exchange.json.values():
            try:
                parts.append(base64.b64decode(str(value), validate=True).decode(errors="replace"))
            except ValueError:
                continue  # not base64: the body contains it verbatim
    return "\n".join(parts)
