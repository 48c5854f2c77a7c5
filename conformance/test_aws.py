"""Authenticating with AWS IAM: an AWS role that is assumed with a requested service account token.

STS, which is neither Vault nor Kubernetes, is a local one: the implementation
gets its credentials there, and Vault has the logins verified there, signature
and all. Except where the path of a login is the subject, a login is judged by
what it carries, wherever it was sent: Vault is shown it at the right place.
"""

from __future__ import annotations

import base64
import random
import secrets

import hvac.exceptions
import pytest

from pytest_vault_issuer.aws import AssumedRole, IamLogin
from pytest_vault_issuer.aws.sts import IDENTIFY
from pytest_vault_issuer.cluster.grants import user_name
from pytest_vault_issuer.errors import Unmet
from pytest_vault_issuer.issuer import Authentication
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import JWT, Exchange, Route
from pytest_vault_issuer.sandbox import Sandbox, new_iam_role

from .helpers import is_judged, never_ready, with_fields

REGIONS = ("eu-central-1", "ap-southeast-2", "us-west-2", "sa-east-1")
STS_AUDIENCE = "sts.amazonaws.com"


def random_name(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def first_login(sandbox: Sandbox, kind: str, auth: Authentication) -> Exchange:
    """Create an issuer and return its first login, wherever it goes."""
    sandbox.issuer(kind, auth)
    return sandbox.proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire, what="a login")[0]


def content(login: Exchange) -> IamLogin:
    """Return what a login carries."""
    found = IamLogin.of(login.json)
    assert found is not None, "a login was to carry a signed request in the form that Vault's API documents"
    return found


def assumed(sandbox: Sandbox, auth: Authentication) -> list[AssumedRole]:
    """Return the times when the AWS role of an authentication was assumed, of which there has to be one."""
    found = sandbox.world.sts.assumed(auth.principal)
    for role in found:
        for secret in (role.web_identity_token, role.secret_access_key, role.session_token):
            sandbox.world.redactor.add(secret)
    assert found, "iamRoleArn was to be assumed with AssumeRoleWithWebIdentity"
    return found


def tokens(sandbox: Sandbox, auth: Authentication) -> list[JWT]:
    """Return the tokens with which the AWS role of an authentication was assumed."""
    found = [JWT.of(role.web_identity_token) for role in assumed(sandbox, auth)]
    assert None not in found, "the web identity token was to be a JWT"
    return [token for token in found if token is not None]


def assert_admitted(sandbox: Sandbox, auth: Authentication, login: Exchange) -> None:
    """Check that Vault admits a login at the mount that the issuer names."""
    assert auth.role is not None
    try:
        sandbox.world.redactor.add(sandbox.vault.log_in(auth.role, login.json))
    except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as error:
        raise Unmet(f"Vault was to admit the login, but refused it: {error}") from error


@requirement("VI-AWS-001")
def test_login_at_the_mount_path(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind, mount=f"{random_name('clouds')}/{random_name('aws')}")
    assert first_login(sandbox, kind, auth).path == auth.login_path, "the login was to go to <mountPath>/login"
    issuer = sandbox.issuers[-1]
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-AWS-002")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_login_at_the_default_mount_path(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    del auth.spec["aws"]["mountPath"]
    assert first_login(sandbox, kind, auth).path == "/v1/auth/aws/login", "the login was to go to the default mount"


@requirement("VI-AWS-003")
def test_login_that_vault_accepts(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    login = first_login(sandbox, kind, auth)
    found = content(login)
    assert auth.role is not None
    assert found.role == auth.role.name, "the login was to carry the configured role"
    assert found.request.parameters.get("Action") == IDENTIFY, "the login was to carry a GetCallerIdentity request"
    assert found.signature.access_key_id in {role.access_key_id for role in assumed(sandbox, auth)}, (
        "the login was to be signed with credentials of iamRoleArn"
    )
    assert_admitted(sandbox, auth, login)


@requirement("VI-AWS-004")
def test_role_is_assumed_with_a_token_of_the_service_account(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    if sandbox.home(kind) != sandbox.namespace:
        sandbox.service_account(sandbox.namespace, name=auth.service_account)
    first_login(sandbox, kind, auth)
    for token in tokens(sandbox, auth):
        assert token.subject == user_name(auth.namespace, auth.service_account), (
            "every token was to be one of the ServiceAccount that the issuer names"
        )
        assert STS_AUDIENCE in token.audiences, "every token was to be for STS"
        assert token.lifetime is not None, "every token was to be a requested one, which expires"


@requirement("VI-AWS-005")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_further_audiences(sandbox: Sandbox, kind: str) -> None:
    audience = random_name("audience")
    auth = sandbox.aws(kind)
    auth.spec["aws"]["serviceAccountRef"]["audiences"] = [audience]
    first_login(sandbox, kind, auth)
    for token in tokens(sandbox, auth):
        assert {audience, STS_AUDIENCE} <= set(token.audiences), "every token was to be for the listed audience and STS"


@requirement("VI-AWS-006")
def test_server_id(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind, server_id=f"{random_name('vault')}.example.test")
    assert_admitted(sandbox, auth, first_login(sandbox, kind, auth))


@requirement("VI-AWS-007")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_region(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    region = auth.spec["aws"]["region"] = random.choice(REGIONS)  # noqa: S311 (no secret)
    login = first_login(sandbox, kind, auth)
    assert content(login).signature.region == region, "the login was to be signed for the configured region"
    assert_admitted(sandbox, auth, login)


@requirement("VI-AWS-008")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_default_region(sandbox: Sandbox, kind: str) -> None:
    environment = sandbox.world.implementation_env
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    auth = sandbox.aws(kind)
    login = first_login(sandbox, kind, auth)
    assert content(login).signature.region == region, f"the login was to be signed for {region}"
    assert_admitted(sandbox, auth, login)


@requirement("VI-AWS-009")
def test_not_ready_without_the_right_to_create_tokens(sandbox: Sandbox, kind: str) -> None:
    proxy = sandbox.new_proxy()
    never_ready(sandbox, kind, {"it may not create tokens": {"auth": sandbox.aws(kind, grant=False), "proxy": proxy}})
    assert not proxy.seen(Route.LOGIN), "no login was to be tried"


@requirement("VI-AWS-010")
def test_not_ready_with_a_role_that_does_not_admit_it(sandbox: Sandbox, kind: str) -> None:
    never_ready(
        sandbox,
        kind,
        {
            "the role is bound to another principal": {"auth": sandbox.aws(kind, bound_to=new_iam_role())},
            "there is no such role": {"auth": with_fields(sandbox.aws(kind), role=random_name("role"))},
        },
    )


@requirement("VI-AWS-011")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_not_ready_without_an_aws_role(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    del auth.spec["aws"]["iamRoleArn"]
    never_ready(sandbox, kind, {"it names no AWS role to assume": {"auth": auth}})


@requirement("VI-AWS-013")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_issuer_does_not_borrow_the_identity_of_the_implementation(sandbox: Sandbox, kind: str) -> None:
    proxy = sandbox.new_proxy()
    variants = {"it names no ServiceAccount": {"auth": sandbox.aws(kind, ambient=True), "proxy": proxy}}
    never_ready(sandbox, kind, variants)
    used = {content(login).signature.access_key_id for login in proxy.seen(Route.LOGIN)}
    assert sandbox.world.sts.access_key_id not in used, "no login was to be signed with the implementation's identity"


@requirement("VI-AWS-014")
@pytest.mark.parametrize("kind", ["ClusterIssuer"])
def test_cluster_issuer_uses_the_identity_of_the_implementation(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind, ambient=True)
    login = first_login(sandbox, kind, auth)
    assert content(login).signature.access_key_id == sandbox.world.sts.access_key_id, (
        "the login was to be signed with the implementation's identity"
    )
    assert_admitted(sandbox, auth, login)


@requirement("VI-AWS-012")
def test_secrets_stay_inside(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.aws(kind)
    issuer = sandbox.issuer(kind, auth)
    issuer.wait(is_judged, "to get a Ready condition", timeout=sandbox.timeouts.issuer)
    seen, published = sent(sandbox), sandbox.published()
    for role in assumed(sandbox, auth):
        for what, secret in (("secret access key", role.secret_access_key), ("token", role.web_identity_token)):
            assert secret not in seen, f"the {what} was not to be sent to Vault"
            assert secret not in published, f"the {what} was not to be shown"
        assert role.session_token not in published, "the session token was not to be shown"


def sent(sandbox: Sandbox) -> str:
    """Return all that was sent to Vault, what is in base64 as it is and decoded."""
    parts = []
    for exchange in sandbox.proxy.exchanges:
        parts += [exchange.query, *(value for _, value in exchange.headers), exchange.body.decode(errors="replace")]
        for value in exchange.json.values():
            try:
                parts.append(base64.b64decode(str(value), validate=True).decode(errors="replace"))
            except ValueError:
                continue  # no base64: it is in the body as it is
    return "\n".join(parts)
