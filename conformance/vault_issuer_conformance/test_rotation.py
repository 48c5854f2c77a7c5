"""Issuer objects after changes of their Secrets, service accounts and specifications."""

from __future__ import annotations

import contextlib
import secrets
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_vault_issuer import (
    Authentication,
    Authority,
    CertificateRequest,
    Exchange,
    Hold,
    Pki,
    Proxy,
    Route,
    Sandbox,
    Unmet,
    at_barrier,
    requirement,
)

from .helpers import (
    LOGINS,
    alternating,
    another_role,
    bundle,
    claimed,
    each_feature,
    end_logins,
    for_each_kind,
    issued_eventually,
    settle,
    used_an_ended_token,
    wait_held,
    with_fields,
    with_secret,
)

#: Authentication methods with a credential in a Secret.
WITH_SECRET = ("token", "approle", "kubernetes-static")
#: Each of them once, with alternating kinds of issuer objects.
EACH_WITH_SECRET = each_feature(WITH_SECRET)


def new_key() -> str:
    return f"key-{secrets.token_hex(3)}"


def carries(exchange: Exchange, credential: str) -> bool:
    """Whether a request contains a credential."""
    return credential in exchange.body.decode(errors="replace") or any(credential in v for _, v in exchange.headers)


def another_credential(sandbox: Sandbox, auth: Authentication) -> str:
    """Return a second credential that Vault accepts like the one in the Secret."""
    if auth.approle is not None:
        return sandbox.vault.new_secret_id(auth.approle.mount, auth.approle.name)
    if auth.role is not None:
        return sandbox.cluster.create_token(auth.service_account, auth.namespace)
    return sandbox.vault.token(sandbox.sign_policy())


def refused_credential(sandbox: Sandbox, auth: Authentication) -> str:
    """Return a credential that Vault rejects at the login."""
    if auth.approle is not None:
        return str(uuid.uuid4())
    return sandbox.cluster.create_token(sandbox.service_account(auth.namespace, grant=False), auth.namespace)


def behind(sandbox: Sandbox, request: CertificateRequest) -> tuple[str, str]:
    """Return the credential behind a signature and the path of its login ('' without a login)."""
    signings = sandbox.signings(request)
    assert signings, f"expected a sign request to Vault for {request}, saw none"
    token = signings[-1].token
    for proxy in sandbox.proxies:
        for login in proxy.seen(Route.LOGIN):
            if (login.response_json.get("auth") or {}).get("client_token") == token:
                return str(login.json.get("secret_id") or login.json.get("jwt")), login.path
    return token, ""


def wait_noticed(sandbox: Sandbox, kind: str, auth: Authentication, credential: str = "") -> None:
    """Wait until the controller has seen earlier changes of Secrets and issuer objects.

    It receives changes in order: a Secret and an issuer object are created after the earlier changes,
    and the issuer object becomes Ready.
    """
    spec: Authentication | dict[str, Any] = auth
    if auth.secret_name:
        name = sandbox.secret({auth.secret_key: credential or auth.credential}, namespace=auth.namespace)
        spec = with_secret(auth, name)
    with at_barrier():
        sandbox.ready_issuer(kind, spec, proxy=sandbox.new_proxy())


# -- Secrets and service accounts ---------------------------------------------------------------


@requirement("VI-ROTATION-001")
@pytest.mark.parametrize("feature", WITH_SECRET)
def test_changed_credential_is_used(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind, key=new_key())
    issuer = sandbox.ready_issuer(kind, auth)
    used, _ = behind(sandbox, sandbox.issued(issuer))
    assert used == auth.credential, "expected the credential of the Secret"
    credential = another_credential(sandbox, auth)
    change = {auth.secret_key: credential, "previous": auth.credential}
    sandbox.set_secret(auth.secret_name, auth.namespace, change)
    wait_noticed(sandbox, kind, auth, credential)
    end_logins(sandbox, sandbox.proxy, auth)
    mark = sandbox.proxy.mark()
    used, _ = behind(sandbox, issued_eventually(sandbox, issuer))
    assert used == credential, "expected the credential of the changed Secret"
    old = [exchange.summary for exchange in sandbox.proxy.seen(since=mark) if carries(exchange, auth.credential)]
    assert not old, f"expected no request with the replaced credential, saw {old}"


@requirement("VI-ROTATION-002")
@pytest.mark.parametrize("feature", WITH_SECRET)
def test_corrected_secret_makes_issuer_ready(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind, key=new_key())
    good = {auth.secret_key: auth.credential}
    absent, keyless, refused = (f"late-{secrets.token_hex(4)}" for _ in range(3))
    sandbox.secret({"other-key": auth.credential}, namespace=auth.namespace, name=keyless)
    corrections: list[tuple[str, Callable[[], object]]] = [
        (absent, lambda: sandbox.secret(good, namespace=auth.namespace, name=absent)),
        (keyless, lambda: sandbox.set_secret(keyless, auth.namespace, good)),
    ]
    if feature != "token":  # Vault reports a wrong token only at the sign request
        wrong = {auth.secret_key: refused_credential(sandbox, auth)}
        sandbox.secret(wrong, namespace=auth.namespace, name=refused)
        corrections.append((refused, lambda: sandbox.set_secret(refused, auth.namespace, good)))
    issuers = [sandbox.issuer(kind, with_secret(auth, name)) for name, _ in corrections]
    for issuer in issuers:
        issuer.wait_not_ready("its Secret is missing, lacks the key or contains a wrong credential")
    for _, correct in corrections:
        correct()
    for issuer in issuers:
        issuer.wait_ready("its Secret is correct now", timeout=sandbox.timeouts.retry)


@requirement("VI-ROTATION-002")
@pytest.mark.slow
@pytest.mark.parametrize("feature", ["kubernetes-secretless"])
def test_service_account_created_late_makes_issuer_ready(sandbox: Sandbox, feature: str) -> None:
    def check(kind: str) -> None:
        name = f"late-{secrets.token_hex(4)}"
        sandbox.grant_token_requests(sandbox.home(kind), name)
        issuer = sandbox.issuer(kind, sandbox.authenticate(feature, kind, service_account=name))
        issuer.wait_not_ready("its service account is missing")
        sandbox.service_account(sandbox.home(kind), name=name, grant=False)
        issuer.wait_ready("its service account exists now", timeout=sandbox.timeouts.retry)

    for_each_kind(sandbox, check)


@requirement("VI-ROTATION-003")
@EACH_WITH_SECRET
def test_deleted_credential_is_not_used(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind, key=new_key())
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.issued(issuer)
    sandbox.delete_secret(auth.secret_name, auth.namespace)
    name = sandbox.secret({auth.secret_key: auth.credential}, namespace=auth.namespace)
    other = sandbox.ready_issuer(kind, with_secret(auth, name), proxy=sandbox.new_proxy())
    with contextlib.suppress(Unmet):  # another requirement covers the condition
        issuer.wait_not_ready(timeout=sandbox.timeouts.issuer / 4)
    end_logins(sandbox, sandbox.proxy, auth)
    mark = sandbox.proxy.mark()
    request = sandbox.request(issuer)
    sandbox.barrier(other)
    assert_credential_is_not_used(sandbox, auth, since=mark)
    assert request.condition().get("status") != "True", "expected Ready not to be True, saw True"
    sandbox.secret({auth.secret_key: auth.credential}, namespace=auth.namespace, name=auth.secret_name)
    if used_an_ended_token(sandbox, request):
        issued_eventually(sandbox, issuer)  # Vault rejected the request itself: it may be final
    else:
        request.wait_issued(timeout=sandbox.timeouts.retry)


def assert_credential_is_not_used(sandbox: Sandbox, auth: Authentication, *, since: int) -> None:
    """Check that no login and no sign request at the test's own proxy contains a deleted credential."""
    used = [
        exchange.summary
        for exchange in sandbox.proxy.seen(since=since)
        if exchange.route in (Route.LOGIN, Route.SIGN) and carries(exchange, auth.credential)
    ]
    assert not used, f"expected no use of a deleted credential, saw {used}"


@requirement("VI-ROTATION-003")
@EACH_WITH_SECRET
@pytest.mark.holds_controller
def test_request_waits_for_a_deleted_credential(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth, role = another_role(sandbox, kind, sandbox.pki, feature)
    name = sandbox.secret({auth.secret_key: auth.credential}, namespace=auth.namespace)
    other = sandbox.ready_issuer(kind, with_secret(auth, name), proxy=sandbox.new_proxy())
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.issued(issuer)
    # The issuer object stays Ready for a while: the controller checks another change while the Secret is deleted.
    hold = Hold()
    sandbox.proxy.inject(Route.HEALTH, hold)
    issuer.change(lambda vault: vault.update(path=role.sign_path))
    with at_barrier():
        wait_held(sandbox, hold, "a query of v1/sys/health for the changed issuer object")
    sandbox.delete_secret(auth.secret_name, auth.namespace)
    # A controller sees changes of Secrets in order.
    later = another_credential(sandbox, auth)
    sandbox.set_secret(name, auth.namespace, {auth.secret_key: later})
    with contextlib.suppress(Unmet):  # another requirement covers the other issuer object
        for _ in range(5):
            if behind(sandbox, issued_eventually(sandbox, other))[0] == later:
                break
    end_logins(sandbox, sandbox.proxy, auth)
    mark = sandbox.proxy.mark()
    request = sandbox.request(issuer)
    settle(request)
    assert_credential_is_not_used(sandbox, auth, since=mark)
    reason = request.condition().get("reason")
    final = ("Issued",) if used_an_ended_token(sandbox, request) else ("Issued", "Failed", "Denied")
    assert reason not in final, f"expected the CertificateRequest to wait for the Secret, saw the reason {reason}"
    hold.release()


@requirement("VI-ROTATION-004")
@pytest.mark.parametrize("feature", WITH_SECRET)
def test_deleted_secret_makes_issuers_not_ready(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind, key=new_key())
    sharing = [sandbox.ready_issuer(kind, auth), sandbox.ready_issuer(kind, auth)]
    for issuer in sharing:
        sandbox.barrier(issuer)  # a check that follows the first one must not meet the change by chance
    sandbox.delete_secret(auth.secret_name, auth.namespace)
    for issuer in sharing:
        issuer.wait_not_ready("the Secret that it shares with another was deleted")


@requirement("VI-ROTATION-004")
@pytest.mark.parametrize("feature", WITH_SECRET)
def test_missing_secret_key_makes_issuer_not_ready(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind, key=new_key())
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.barrier(issuer)
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: None, "other-key": auth.credential})
    issuer.wait_not_ready("its Secret lost the named key")


@requirement("VI-ROTATION-004")
@pytest.mark.parametrize("feature", ["ca-bundle-secret"])
@pytest.mark.parametrize("change", ["deleted", "changed"])
def test_unusable_ca_bundle_secret_makes_issuer_not_ready(
    sandbox: Sandbox, kind: str, feature: str, change: str
) -> None:
    home = sandbox.home(kind)
    name = sandbox.secret({"ca.crt": sandbox.authority.pem}, namespace=home, secret=False)
    reference: dict[str, Any] = {"caBundle": None, "caBundleSecretRef": {"name": name, "key": "ca.crt"}}
    issuer = sandbox.ready_issuer(kind, **reference)
    sandbox.barrier(issuer)
    if change == "deleted":
        sandbox.delete_secret(name, home)
    else:
        sandbox.set_secret(name, home, {"ca.crt": Authority().pem})
    issuer.wait_not_ready("the Secret of its CA bundle was deleted or now contains another CA")


# -- the specification --------------------------------------------------------------------------------


def assert_signed_at(sandbox: Sandbox, proxy: Proxy, pki: Pki, request: CertificateRequest) -> None:
    places = {
        ("the configured server" if seen_by is proxy else "another server", exchange.path)
        for seen_by in sandbox.proxies
        for exchange in seen_by.seen(Route.SIGN)
        if request.signing.is_for_same_key(exchange.json.get("csr"))
    }
    expected = f"{urlsplit(proxy.url).path}/v1/{pki.sign_path}"
    assert places == {("the configured server", expected)}, (
        f"expected a sign request only at {expected} of the configured server"
    )
    issuer = request.certificate().issuer
    assert issuer == pki.issuing.certificate.subject, "expected a certificate of the CA at the configured path"


@requirement("VI-ROTATION-005")
def test_changed_server_and_path_are_used(sandbox: Sandbox, kind: str) -> None:
    first, second = sandbox.pki, sandbox.vault.pki()
    auth = sandbox.default_authentication(kind, policy=sandbox.vault.policy(first.sign_path, second.sign_path))
    issuer = sandbox.ready_issuer(kind, auth)
    assert_signed_at(sandbox, sandbox.proxy, first, sandbox.issued(issuer))

    issuer.change(lambda vault: vault.update(path=second.sign_path))
    issuer.wait_ready()
    wait_noticed(sandbox, kind, auth)
    assert_signed_at(sandbox, sandbox.proxy, second, sandbox.issued(issuer))

    proxy = sandbox.new_proxy(prefix=f"/{secrets.token_hex(3)}")
    issuer.change(lambda vault: vault.update(server=proxy.url, path=first.sign_path))
    proxy.wait_for(Route.HEALTH, timeout=sandbox.timeouts.wire, what="a health query at the changed server")
    issuer.wait_ready()
    mark = sandbox.proxy.mark()
    assert_signed_at(sandbox, proxy, first, sandbox.issued(issuer))
    old = [exchange.summary for exchange in sandbox.proxy.seen(since=mark)]
    assert not old, f"expected no request to the replaced server, saw {old}"


@requirement("VI-ROTATION-006")
def test_changed_ca_bundle_is_used(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    sandbox.issued(issuer)
    authority = Authority()
    sandbox.proxy.replace_certificate(authority.issue(sandbox.environment.stack.bind))
    mark = sandbox.proxy.mark()
    issuer.change(lambda vault: vault.update(caBundle=bundle(authority.pem)))
    sandbox.proxy.wait_for(
        Route.HEALTH, since=mark, timeout=sandbox.timeouts.wire, what="a health query with the changed caBundle"
    )
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-ROTATION-006")
def test_replaced_ca_bundle_is_no_longer_trusted(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    sandbox.issued(issuer)
    # The certificate authorities have the same name and different keys.
    issuer.change(lambda vault: vault.update(caBundle=bundle(Authority().pem)))
    # The certificate is as valid as before, and all earlier connections are closed.
    sandbox.proxy.replace_certificate(sandbox.authority.issue(sandbox.environment.stack.bind))
    # Until it sees the change, a controller may check with the old bundle.
    issuer.wait_not_ready("its CA bundle now contains another CA")
    mark, failures = sandbox.proxy.mark(), len(sandbox.proxy.handshake_failures)
    issuer.change(lambda vault: vault.update(caBundle=bundle(Authority().pem)))
    sandbox.proxy.wait_for_handshake_failure(sandbox.timeouts.wire, failures)
    seen = [exchange.summary for exchange in sandbox.proxy.seen(since=mark)]
    assert not seen, f"expected no request to a server whose CA is no longer in caBundle, saw {seen}"


#: From each authentication method to the next.
CHANGES = alternating(
    ("kind", "feature", "other_feature"),
    [
        ("Issuer", "token", "approle"),
        ("ClusterIssuer", "approle", "kubernetes-static"),
        ("Issuer", "kubernetes-static", "kubernetes-secretless"),
        ("ClusterIssuer", "kubernetes-secretless", "token"),
    ],
)


@requirement("VI-ROTATION-007")
@CHANGES
def test_changed_method_is_used(sandbox: Sandbox, kind: str, feature: str, other_feature: str) -> None:
    old, new = sandbox.authenticate(feature, kind), sandbox.authenticate(other_feature, kind)
    issuer = sandbox.ready_issuer(kind, old)
    sandbox.issued(issuer)
    mark = sandbox.proxy.mark()
    issuer.change(lambda vault: vault.update(auth=new.spec))
    if new.login_path:
        sandbox.proxy.wait_for(
            Route.LOGIN,
            since=mark,
            where=lambda exchange: exchange.path == new.login_path,
            timeout=sandbox.timeouts.wire,
            what=f"a login by {other_feature}",
        )
    issuer.wait_ready()
    wait_noticed(sandbox, kind, new)
    mark = sandbox.proxy.mark()
    credential, login = behind(sandbox, sandbox.issued(issuer))
    assert login == new.login_path, f"expected the login path of {other_feature}"
    assert credential == new.credential or not new.credential, "expected the credential of the new method, saw another"
    used = [
        exchange.summary
        for exchange in sandbox.proxy.seen(since=mark)
        if (old.credential and carries(exchange, old.credential)) or exchange.path == old.login_path
    ]
    assert not used, f"expected no {feature} credential after the change of the method, saw {used}"


def at_another_role(sandbox: Sandbox, auth: Authentication, mount: str | None) -> Authentication:
    """Return an authentication with the same credential for another role.

    :param mount: of the role; None mounts one.
    """
    policy = sandbox.sign_policy()
    if auth.approle is not None:
        approle = sandbox.vault.approle(policy, mount=mount)
        method = sandbox.vault.client.auth.approle
        method.create_custom_secret_id(approle.name, auth.credential, mount_point=approle.mount)
        return replace(auth, spec=with_fields(auth, path=approle.mount, roleId=approle.role_id), approle=approle)
    role = sandbox.vault.kubernetes_role(
        policy, service_account=auth.service_account, namespace=auth.namespace, mount=mount
    )
    return replace(auth, spec=with_fields(auth, mountPath=role.mount_path, role=role.name), role=role)


def asked_for(login: Exchange) -> tuple[str, str]:
    """Return the path of a login and the role that it names."""
    return login.path, str(login.json.get("role") or login.json.get("role_id"))


@requirement("VI-ROTATION-009")
@each_feature(LOGINS)
@pytest.mark.parametrize("changed", ["role", "mount"])
def test_changed_role_and_mount_are_used(sandbox: Sandbox, kind: str, feature: str, changed: str) -> None:
    old = sandbox.authenticate(feature, kind)
    mount = old.approle or old.role
    assert mount is not None
    new = at_another_role(sandbox, old, mount.mount if changed == "role" else None)
    role = new.approle.role_id if new.approle else new.role.name if new.role else ""
    expected = (new.login_path, role)
    issuer = sandbox.ready_issuer(kind, old)
    sandbox.issued(issuer)
    # Only the login shows the change: the credential is the same, and both roles may sign.
    mark = sandbox.proxy.mark()
    issuer.change(lambda vault: vault.update(auth=new.spec))
    sandbox.proxy.wait_for(
        Route.LOGIN,
        since=mark,
        where=lambda exchange: asked_for(exchange) == expected,
        timeout=sandbox.timeouts.wire,
        what=f"a login with the changed {changed}",
    )
    issuer.wait_ready()
    wait_noticed(sandbox, kind, new)
    tokens = {signing.token for signing in sandbox.signings(sandbox.issued(issuer))}
    used = {
        asked_for(login)
        for login in sandbox.proxy.seen(Route.LOGIN)
        if (login.response_json.get("auth") or {}).get("client_token") in tokens
    }
    assert used == {expected}, (
        f"expected a sign request with the token of a login with the changed {changed}, saw {used}"
    )


@requirement("VI-ROTATION-008")
def test_unusable_specification_makes_issuer_not_ready(sandbox: Sandbox, kind: str) -> None:
    # Vault's client retries a server that does not answer at once, but not an untrusted one.
    untrusted = sandbox.new_proxy(certificate=Authority().issue(sandbox.environment.stack.bind))
    absent = f"absent-{secrets.token_hex(4)}"
    auths = {feature: sandbox.authenticate(feature, kind) for feature in claimed(sandbox)}
    default = next(iter(auths.values()))
    changes: dict[str, tuple[Authentication, dict[str, Any]]] = {
        "the server is not trusted": (default, {"server": untrusted.url}),
    }
    for feature, auth in auths.items():
        if auth.secret_name:
            changes[f"the Secret does not exist ({feature})"] = auth, {"auth": with_secret(auth, absent)}
        if auth.approle is not None:
            changes["the RoleID is wrong"] = auth, {"auth": with_fields(auth, roleId=str(uuid.uuid4()))}
        if auth.role is not None:
            changes[f"the role does not exist ({feature})"] = auth, {"auth": with_fields(auth, role=absent)}
        if auth.role is not None and not auth.secret_name:
            spec = with_fields(auth, serviceAccountRef={"name": absent})
            changes["the service account does not exist"] = auth, {"auth": spec}
    issuers = {what: sandbox.issuer(kind, auth) for what, (auth, _) in changes.items()}
    former: dict[str, dict[str, Any]] = {}

    def edit(what: str, fields: dict[str, Any]) -> None:
        def change(vault: dict[str, Any]) -> None:
            former[what] = {key: vault[key] for key in fields}
            vault.update(fields)

        issuers[what].change(change)

    for what, issuer in issuers.items():
        issuer.wait_ready()
        edit(what, changes[what][1])
    for what, issuer in issuers.items():
        issuer.wait_not_ready(what)
    for what, issuer in issuers.items():
        edit(what, former[what])
        issuer.wait_ready(f"its configuration is correct again after: {what}", timeout=sandbox.timeouts.retry)
