"""Kubernetes authentication with a service account: secretless, with requested tokens."""

from __future__ import annotations

import base64
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

import pytest

from pytest_vault_issuer import (
    CONFIG_MAPS,
    JWT,
    SECRETS,
    Authentication,
    Exchange,
    NotRunnable,
    Object,
    Proxy,
    Respond,
    Route,
    Sandbox,
    at_barrier,
    create_token_secret,
    ready_status,
    requirement,
    user_name,
)

from .helpers import for_each_kind, logins_without_a_token, never_ready, require_no_token_permission

#: In bytes. A file with a token is small.
LARGEST_FILE = 1_000_000


def random_name(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def implementation_user(sandbox: Sandbox) -> str:
    return "system:serviceaccount:" + sandbox.environment.service_account.replace("/", ":")


def role_name(auth: Authentication) -> str:
    assert auth.role is not None
    return auth.role.name


def logins(proxy: Proxy, auth: Authentication) -> list[Exchange]:
    """Return the logins with the Vault role of an authentication, at any path."""
    return [login for login in proxy.seen(Route.LOGIN) if login.json.get("role") == role_name(auth)]


def jwts(proxy: Proxy, auth: Authentication) -> list[JWT]:
    """Return the tokens presented for the Vault role of an authentication; at least one is required."""
    found = [login.jwt for login in logins(proxy, auth)]
    assert found, "expected a login with the configured role, saw none"
    assert None not in found, "expected a JWT in every login, saw a login without one"
    return [jwt for jwt in found if jwt is not None]


def vault_token(login: Exchange) -> str:
    """Return the Vault token from the response to a login, '' if Vault rejected it."""
    return str((login.response_json.get("auth") or {}).get("client_token", ""))


def any_namespace(sandbox: Sandbox, service_account: str, *, audience: str = "") -> Authentication:
    """Prepare a Vault role that accepts ServiceAccounts of this name from every namespace."""
    role = sandbox.vault.kubernetes_role(
        sandbox.sign_policy(), service_account=service_account, namespace="*", audience=audience
    )
    kubernetes = {
        "mountPath": role.mount_path,
        "role": role.name,
        "serviceAccountRef": {"name": service_account},
    }
    spec = {"kubernetes": kubernetes}
    return Authentication("kubernetes-secretless", spec, "*", service_account=service_account, role=role)


def requested(sandbox: Sandbox, namespace: str, service_account: str) -> list[Object]:
    """Return the successful TokenRequests of the controller for a ServiceAccount.

    :raises NotRunnable: if the audit log cannot be read.
    """
    # The suite's own request is logged after those of the controller.
    sandbox.cluster.create_token(service_account, namespace)
    user = implementation_user(sandbox)
    records = sandbox.audit.wait(
        lambda record: is_token_request(record, namespace, service_account) and record["user"]["username"] != user
    )
    assert records, "expected the suite's own TokenRequest in the audit log, saw none"
    return [
        record
        for record in sandbox.audit.records()
        if is_token_request(record, namespace, service_account) and record["user"]["username"] == user
    ]


def is_token_request(record: Object, namespace: str, service_account: str) -> bool:
    target = record.get("objectRef", {})
    wanted = ("serviceaccounts", "token", namespace, service_account)
    return (
        tuple(target.get(key) for key in ("resource", "subresource", "namespace", "name")) == wanted
        and record.get("responseStatus", {}).get("code") == 201
    )


@requirement("VI-KSECRETLESS-001")
def test_login_carries_a_requested_token(sandbox: Sandbox, kind: str) -> None:
    sandbox.service_account(sandbox.home(kind))
    auth = sandbox.kubernetes_secretless(kind)
    create_token_secret(
        sandbox.cluster, auth.namespace, auth.service_account, random_name("static"), sandbox.labels, sandbox.timeouts
    )
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    for login, jwt in zip(logins(sandbox.proxy, auth), jwts(sandbox.proxy, auth), strict=True):
        assert login.path == auth.login_path, "expected every login at <mountPath>/login"
        assert jwt.subject == user_name(auth.namespace, auth.service_account), (
            "expected a JWT of the named ServiceAccount"
        )
        assert jwt.lifetime is not None, "expected a requested JWT, which expires, saw one without expiry"
    assert logins(sandbox.proxy, auth) == sandbox.proxy.seen(Route.LOGIN), "expected the configured role in every login"


@requirement("VI-KSECRETLESS-001")
def test_mount_path_defaults_to_kubernetes(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_secretless(kind, mount="kubernetes")
    del auth.spec["kubernetes"]["mountPath"]
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert {login.path for login in logins(sandbox.proxy, auth)} == {"/v1/auth/kubernetes/login"}, (
        "expected every login at the default mount"
    )


@requirement("VI-KSECRETLESS-001")
def test_token_is_requested_by_the_controller_itself(sandbox: Sandbox, kind: str) -> None:
    decoy = sandbox.service_account(sandbox.home(kind))
    auth = sandbox.kubernetes_secretless(kind)
    sandbox.ready_issuer(kind, auth)
    assert requested(sandbox, auth.namespace, auth.service_account), (
        "expected a TokenRequest by the controller's own user in the audit log, saw none"
    )
    others = len(requested(sandbox, auth.namespace, decoy))
    assert not others, f"expected no TokenRequest for another ServiceAccount, saw {others}"


@requirement("VI-KSECRETLESS-002")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_audience_of_an_issuer_has_its_namespace_and_name(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_secretless(kind)
    issuer = sandbox.ready_issuer(kind, auth, name=f"{sandbox.issuer_name()}.{secrets.token_hex(2)}")
    sandbox.issued(issuer)
    for jwt in jwts(sandbox.proxy, auth):
        assert f"vault://{sandbox.namespace}/{issuer.name}" in jwt.audiences, (
            f"expected the audience vault://<namespace>/<issuer-name>, saw {jwt.audiences}"
        )


@requirement("VI-KSECRETLESS-003")
@pytest.mark.parametrize("kind", ["ClusterIssuer"])
def test_audience_of_a_cluster_issuer_has_its_name_only(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_secretless(kind)
    issuer = sandbox.ready_issuer(kind, auth, name=f"{sandbox.issuer_name()}.{secrets.token_hex(2)}")
    sandbox.issued(issuer)
    for jwt in jwts(sandbox.proxy, auth):
        assert f"vault://{issuer.name}" in jwt.audiences, (
            f"expected the audience vault://<cluster-issuer-name>, saw {jwt.audiences}"
        )
        for namespace in (sandbox.namespace, auth.namespace):
            assert not [a for a in jwt.audiences if a.startswith(f"vault://{namespace}/")], (
                f"expected no namespace in the audience of a ClusterIssuer, saw {jwt.audiences}"
            )


@requirement("VI-KSECRETLESS-004")
def test_tokens_expire_after_ten_minutes(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_secretless(kind)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert {jwt.lifetime for jwt in jwts(sandbox.proxy, auth)} == {600}, "expected JWTs that expire after 600 s"


@requirement("VI-KSECRETLESS-004")
def test_lifetime_of_ten_minutes_is_requested(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_secretless(kind)
    sandbox.ready_issuer(kind, auth)
    records = requested(sandbox, auth.namespace, auth.service_account)
    assert {record["requestObject"]["spec"].get("expirationSeconds") for record in records} == {600}, (
        "expected every TokenRequest with expirationSeconds 600"
    )


@requirement("VI-KSECRETLESS-005")
def test_every_interaction_uses_a_new_token(sandbox: Sandbox, kind: str) -> None:
    policy = sandbox.sign_policy()
    auth = sandbox.kubernetes_secretless(kind, policy=policy)
    assert auth.role is not None
    checked = sandbox.kubernetes_secretless(
        kind, policy=policy, service_account=auth.service_account, mount=auth.role.mount
    )
    issuer = sandbox.ready_issuer(kind, auth)
    issuer.change(lambda vault: vault["auth"]["kubernetes"].update(role=role_name(checked)))
    sandbox.proxy.wait_for(
        Route.LOGIN,
        where=lambda login: login.json.get("role") == role_name(checked),
        timeout=sandbox.timeouts.wire,
        what="a login of the changed issuer object",
    )
    issuer.wait_ready()
    before = {login.json["jwt"] for login in sandbox.proxy.seen(Route.LOGIN)}
    for _ in range(3):
        signing = sandbox.signings(sandbox.issued(issuer))[-1]
        made_with = [login for login in sandbox.proxy.seen(Route.LOGIN) if vault_token(login) == signing.token]
        assert made_with, "expected a request signed with the Vault token of a login, saw another token"
        used = made_with[-1].json["jwt"]
        assert used not in before, "expected a new service account token, saw one used before"
        before.add(used)
    presented = [login.json["jwt"] for login in sandbox.proxy.seen(Route.LOGIN)]
    assert len(presented) == len(set(presented)), "expected a different service account token at each login"


def used_signatures(sandbox: Sandbox, kind: str) -> list[bytes]:
    """Issue certificates; return the signatures of the tokens: they identify a token, even if it is stored in parts."""
    auth = sandbox.kubernetes_secretless(kind)
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.issued(issuer)
    sandbox.issued(issuer)
    assert jwts(sandbox.proxy, auth), "expected a login with a token, saw none"
    return [login.json["jwt"].rpartition(".")[2].encode() for login in logins(sandbox.proxy, auth)]


@requirement("VI-KSECRETLESS-006")
def test_tokens_are_not_stored_in_the_cluster(sandbox: Sandbox, kind: str) -> None:
    signatures = used_signatures(sandbox, kind)
    for resource in (SECRETS, CONFIG_MAPS):
        for item in sandbox.cluster.list(resource):
            contents = stored(item)
            where = f"{resource.plural} {item['metadata'].get('namespace')}/{item['metadata']['name']}"
            assert not any(s in content for s in signatures for content in contents), (
                f"expected no requested token in a Secret or ConfigMap, saw one in {where}"
            )


@requirement("VI-KSECRETLESS-006")
def test_tokens_are_not_stored_in_files(sandbox: Sandbox, kind: str) -> None:
    home, directory = sandbox.environment.implementation_home, sandbox.environment.implementation_directory
    if home is None or directory is None:
        raise NotRunnable(
            "the files of the controller are not on this machine", hint="let the suite start it: set [run] command"
        )
    began = time.time()
    signatures = used_signatures(sandbox, kind)
    for path in changed_files(home, directory, since=began):
        try:
            content = path.read_bytes()
        except OSError:
            continue  # deleted, or not readable
        assert not any(s in content for s in signatures), f"expected no requested token in a file, saw one in {path}"


def stored(item: Object) -> Iterator[bytes]:
    """Yield the content of an object, including its decoded data."""
    yield str(item).encode()
    for value in (item.get("data") or {}).values():
        try:
            decoded = base64.b64decode(value)
        except ValueError:
            continue  # a ConfigMap's plain text
        yield decoded
        try:
            yield base64.b64decode(decoded)
        except ValueError:
            continue


def changed_files(home: Path, directory: Path, *, since: float) -> Iterator[Path]:
    """Yield recently written files in the places where a controller on this machine could store tokens.

    These are its home directory, which is also its temporary directory, with all
    subdirectories, and the top level of its working directory and of the system's
    temporary directory.
    """
    for path in [*home.rglob("*"), *directory.iterdir(), *Path(tempfile.gettempdir()).iterdir()]:
        try:
            status = path.lstat()
        except OSError:
            continue
        if S_ISREG(status.st_mode) and status.st_mtime >= since - 1 and status.st_size <= LARGEST_FILE:
            yield path


@requirement("VI-KSECRETLESS-007")
def test_not_ready_without_permission(sandbox: Sandbox, kind: str) -> None:
    forbidden = sandbox.kubernetes_secretless(kind, grant=False)
    require_no_token_permission(sandbox, forbidden)
    assert forbidden.role is not None
    sandbox.expect_rejected(kind, forbidden)
    # Now a Role exists, but for another ServiceAccount.
    allowed = sandbox.kubernetes_secretless(kind, mount=forbidden.role.mount)
    sandbox.expect_rejected(kind, forbidden)
    rejected = list(sandbox.issuers)
    with at_barrier():
        right = sandbox.ready_issuer(kind, allowed)
    sandbox.barrier(right)
    tried = [login.summary for login in logins(sandbox.proxy, forbidden)]
    assert not tried, f"expected no login without a token of the ServiceAccount, saw {tried}"
    for issuer in rejected:
        assert ready_status(issuer.get()) != "True", f"expected {issuer} to stay not Ready, saw Ready=True"


@requirement("VI-KSECRETLESS-008")
@pytest.mark.slow
def test_ready_once_the_role_exists(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        auth = sandbox.kubernetes_secretless(kind, grant=False)
        require_no_token_permission(sandbox, auth)
        issuer = sandbox.issuer(kind, auth)
        issuer.wait_not_ready("the controller lacks permission to request the token")
        sandbox.grant_token_requests(auth.namespace, auth.service_account)
        issuer.wait_ready("the controller now has permission to request the token", timeout=sandbox.timeouts.retry)
        sandbox.issued(issuer)

    for_each_kind(sandbox, check)


#: What shows the use of a service account. Not every stack can show the audit log.
EVIDENCE = pytest.mark.parametrize("evidence", ["logins", "TokenRequests"])


@requirement("VI-KSECRETLESS-009")
@pytest.mark.parametrize("kind", ["Issuer"])
@EVIDENCE
def test_service_account_in_another_namespace_is_not_used(sandbox: Sandbox, kind: str, evidence: str) -> None:
    if evidence == "TokenRequests":
        _ = sandbox.audit
    elsewhere = (sandbox.environment.cluster_resource_namespace, sandbox.other_namespace)
    account = sandbox.service_account(elsewhere[0])
    sandbox.service_account(elsewhere[1], name=account)
    auth = any_namespace(sandbox, account)
    sandbox.expect_rejected(kind, auth)
    rejected = list(sandbox.issuers)
    with at_barrier():
        sandbox.ready_issuer(kind, sandbox.kubernetes_secretless(kind))
    for issuer in rejected:
        assert ready_status(issuer.get()) != "True", f"expected {issuer} to stay not Ready, saw Ready=True"
    tried = [login.summary for login in logins(sandbox.proxy, auth)]
    assert not tried, f"expected no login without the ServiceAccount in the Issuer's namespace, saw {tried}"
    if evidence == "TokenRequests":
        for namespace in elsewhere:
            others = len(requested(sandbox, namespace, account))
            assert not others, f"expected no TokenRequest for the ServiceAccount in {namespace}, saw {others}"


@requirement("VI-KSECRETLESS-010")
@pytest.mark.parametrize("kind", ["ClusterIssuer"])
def test_service_account_in_the_cluster_resource_namespace_is_used(sandbox: Sandbox, kind: str) -> None:
    account = sandbox.service_account(sandbox.home(kind))
    sandbox.service_account(sandbox.namespace, name=account)
    auth = any_namespace(sandbox, account)
    sandbox.issued(sandbox.ready_issuer(kind, auth), namespace=sandbox.namespace)
    assert {jwt.subject for jwt in jwts(sandbox.proxy, auth)} == {user_name(sandbox.home(kind), account)}, (
        "expected JWTs of the ServiceAccount in the cluster resource namespace"
    )


@requirement("VI-KSECRETLESS-010")
@pytest.mark.parametrize("kind", ["ClusterIssuer"])
@EVIDENCE
def test_service_account_outside_the_cluster_resource_namespace_is_not_used(
    sandbox: Sandbox, kind: str, evidence: str
) -> None:
    if evidence == "TokenRequests":
        _ = sandbox.audit
    account = sandbox.service_account(sandbox.namespace)
    auth = any_namespace(sandbox, account)
    sandbox.expect_rejected(kind, auth)
    for issuer in sandbox.issuers:
        sandbox.request(issuer, namespace=sandbox.namespace)
    rejected = list(sandbox.issuers)
    with at_barrier():
        right = sandbox.ready_issuer(kind, sandbox.kubernetes_secretless(kind))
    sandbox.barrier(right)
    for issuer in rejected:
        assert ready_status(issuer.get()) != "True", f"expected {issuer} to stay not Ready, saw Ready=True"
    tried = [login.summary for login in logins(sandbox.proxy, auth)]
    assert not tried, f"expected no login without the ServiceAccount in the cluster resource namespace, saw {tried}"
    if evidence == "TokenRequests":
        others = len(requested(sandbox, sandbox.namespace, account))
        assert not others, f"expected no TokenRequest for the ServiceAccount in {sandbox.namespace}, saw {others}"


@requirement("VI-KSECRETLESS-011")
def test_vault_role_accepts_only_the_issuers_own_audience(sandbox: Sandbox, kind: str) -> None:
    other_kind = "ClusterIssuer" if kind == "Issuer" else "Issuer"
    kinds = [kind, *({other_kind} & set(sandbox.environment.kinds))]
    account = random_name("account")
    for each in kinds:
        sandbox.service_account(sandbox.home(each), name=account)
    name = sandbox.issuer_name()
    audience = f"vault://{name}" if kind == "ClusterIssuer" else f"vault://{sandbox.namespace}/{name}"
    auth = any_namespace(sandbox, account, audience=audience)
    admitted = sandbox.ready_issuer(kind, auth, name=name)
    sandbox.issued(admitted)

    # The same Vault: only the token differs.
    others = {kind: f"{name}-2"} | dict.fromkeys(kinds[1:], name)
    proxies = {each: sandbox.new_proxy() for each in others}
    for each, other in others.items():
        sandbox.expect_rejected(each, auth, name=other, proxy=proxies[each])
    sandbox.barrier(admitted)
    for proxy in proxies.values():
        proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire, what="a login")
        for jwt in jwts(proxy, auth):
            assert audience not in jwt.audiences, f"expected no {audience} in another Issuer's JWT, saw {jwt.audiences}"
    for issuer in sandbox.issuers:
        if issuer.name != admitted.name or issuer.kind != admitted.kind:
            assert ready_status(issuer.get()) != "True", f"expected {issuer} not to be Ready, saw Ready=True"


@requirement("VI-KSECRETLESS-012")
def test_several_issuers_share_one_vault_role(sandbox: Sandbox, kind: str) -> None:
    account = sandbox.service_account(sandbox.namespace)
    if sandbox.home(kind) != sandbox.namespace:
        sandbox.service_account(sandbox.home(kind), name=account)
    auth = any_namespace(sandbox, account)
    issuers = [sandbox.issuer(each, auth) for each in (next(iter(sandbox.environment.kinds)), kind)]
    for issuer in issuers:
        issuer.wait_ready()
    for request in [sandbox.request(issuer) for issuer in issuers]:
        request.wait_issued()


@requirement("VI-KSECRETLESS-013")
def test_request_is_signed_after_the_vault_token_ended(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.kubernetes_secretless(kind, ttl="1m")
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.issued(issuer)
    # Revoke Vault's tokens now instead of waiting a minute for their end.
    ended = {
        login.response_json["auth"]["client_token"] for login in logins(sandbox.proxy, auth) if login.status == 200
    }
    for token in ended:
        sandbox.vault.revoke(token)
    for signing in sandbox.signings(sandbox.issued(issuer)):
        assert signing.token not in ended, "expected the token of a later login, saw a revoked one"


@requirement("VI-KSECRETLESS-014")
def test_listed_audiences_are_requested(sandbox: Sandbox, kind: str) -> None:
    extra = [f"https://{random_name('audience')}.example.test", random_name("audience")]
    auth = sandbox.kubernetes_secretless(kind, audience=extra[1])
    auth.spec["kubernetes"]["serviceAccountRef"]["audiences"] = extra
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.issued(issuer)
    for jwt in jwts(sandbox.proxy, auth):
        expected = {*extra, issuer.audience}
        assert expected <= set(jwt.audiences), f"expected the audiences {expected}, saw {jwt.audiences}"


@requirement("VI-KSECRETLESS-015")
@pytest.mark.parametrize("end", ["", "/"], ids=["path", "slash"])
def test_server_is_an_audience(sandbox: Sandbox, kind: str, end: str) -> None:
    # Vault does not know the prefix; the response to the login does not matter here.
    sandbox.proxy.inject(Route.HEALTH, Respond(200, json={"initialized": True, "sealed": False, "standby": False}))
    auth = sandbox.kubernetes_secretless(kind)
    server = f"{sandbox.proxy.url}/{random_name('vault')}{end}"
    sandbox.issuer(kind, auth, server=server)
    sandbox.proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire, what="a login")
    for jwt in jwts(sandbox.proxy, auth):
        assert server in jwt.audiences, f"expected the audience {server}, saw {jwt.audiences}"


@requirement("VI-KSECRETLESS-016")
def test_not_ready_without_a_client_token(sandbox: Sandbox, kind: str) -> None:
    never_ready(sandbox, kind, logins_without_a_token(sandbox, sandbox.kubernetes_secretless(kind)))
