"""Client certificate authentication with Vault's TLS certificate auth method."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from pytest_vault_issuer import (
    Authentication,
    Authority,
    CertificateRequest,
    ClientCertificate,
    Exchange,
    Route,
    Sandbox,
    at_barrier,
    requirement,
)

from .helpers import (
    PAIRS,
    alternating,
    assert_refused_or_first,
    assert_untrusted,
    end_logins,
    issued_eventually,
    never_ready,
    trusting,
    with_fields,
    with_secret,
)


def new_client(clients: Authority) -> ClientCertificate:
    return clients.issue_client(f"issuer-{secrets.token_hex(4)}.example.test")


def data_of(client: ClientCertificate) -> dict[str, str]:
    """Return the data of a Secret of type kubernetes.io/tls."""
    return {"tls.crt": client.certificate_pem, "tls.key": client.key_pem}


def another_client(sandbox: Sandbox, clients: Authority) -> ClientCertificate:
    """Return another certificate that the role accepts, with its key known to the proxies."""
    client = new_client(clients)
    sandbox.pass_on(client)
    return client


def login_behind(sandbox: Sandbox, request: CertificateRequest) -> Exchange:
    """Return the login whose token signed a request."""
    signings = sandbox.signings(request)
    assert signings, f"expected a sign request to Vault for {request}, saw none"
    for proxy in sandbox.proxies:
        for login in proxy.seen(Route.LOGIN):
            if (login.response_json.get("auth") or {}).get("client_token") == signings[-1].token:
                return login
    raise AssertionError(f"expected {request} signed with the token of a login, saw another token")


def assert_logs_in(sandbox: Sandbox, auth: Authentication, client: ClientCertificate, name: str) -> None:
    """Check the content and the client certificate of each login."""
    logins = sandbox.proxy.seen(Route.LOGIN)
    assert logins, "expected a login, saw none"
    for login in logins:
        assert login.path == auth.login_path, "expected every login at <mountPath>/login"
        assert (login.json.get("name") or "") == name, "expected the configured role, if any, in every login"
        assert login.client_certificate == client.der, "expected the certificate of the Secret at every login"


def role_of(auth: Authentication) -> str:
    assert auth.role is not None
    return auth.role.name


@requirement("VI-CLIENTCERT-001")
@pytest.mark.parametrize("mount", ["a random one", "one with slashes"])
def test_login_presents_the_certificate(sandbox: Sandbox, kind: str, mount: str) -> None:
    clients = Authority("clients")
    client = new_client(clients)
    path = f"{secrets.token_hex(3)}/{secrets.token_hex(3)}" if mount == "one with slashes" else None
    auth = sandbox.client_certificate(
        kind, clients=clients, client=client, mount=sandbox.vault.mount_auth("cert", path)
    )
    request = sandbox.issued(sandbox.ready_issuer(kind, auth))
    assert_logs_in(sandbox, auth, client, role_of(auth))
    assert login_behind(sandbox, request).client_certificate == client.der, (
        "expected the certificate of the Secret at the login that returned the signing token"
    )


@requirement("VI-CLIENTCERT-002")
@pytest.mark.parametrize("named", ["no mount path", "an empty mount path"])
def test_mount_defaults_to_cert(sandbox: Sandbox, kind: str, named: str) -> None:
    clients = Authority("clients")
    client = new_client(clients)
    auth = sandbox.client_certificate(kind, clients=clients, client=client, mount="cert")
    fields = {key: value for key, value in auth.spec["clientCertificate"].items() if key != "mountPath"}
    empty = {"mountPath": ""} if named == "an empty mount path" else {}
    issuer = sandbox.issuer(kind, {"clientCertificate": fields | empty})
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_logs_in(sandbox, auth, client, role_of(auth))


@requirement("VI-CLIENTCERT-003")
def test_login_without_a_name_leaves_the_role_to_vault(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client = new_client(clients)
    auth = sandbox.client_certificate(kind, clients=clients, client=client)
    fields = {key: value for key, value in auth.spec["clientCertificate"].items() if key != "name"}
    issuer = sandbox.issuer(kind, {"clientCertificate": fields})
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_logs_in(sandbox, auth, client, "")


@requirement("VI-CLIENTCERT-004")
def test_not_ready_when_vault_rejects_the_certificate(sandbox: Sandbox, kind: str) -> None:
    auth, untrusted = sandbox.client_certificate(kind), new_client(Authority("clients"))
    sandbox.pass_on(untrusted)
    assert auth.role is not None
    policy, others = sandbox.sign_policy(), Authority("clients")
    role_of_others = sandbox.vault.certificate_role(policy, certificate=others.pem, mount=auth.role.mount)
    never_ready(
        sandbox,
        kind,
        {
            "the role does not trust the CA of the certificate": {
                "auth": with_secret(auth, sandbox.secret(data_of(untrusted), namespace=auth.namespace))
            },
            "the named role trusts another CA only": {"auth": with_fields(auth, name=role_of_others.name)},
            "the role does not exist": {"auth": with_fields(auth, name=f"absent-{secrets.token_hex(4)}")},
            "the auth method does not exist": {
                "auth": with_fields(auth, mountPath=f"/v1/auth/absent-{secrets.token_hex(4)}")
            },
        },
    )


@requirement("VI-CLIENTCERT-005")
def test_not_ready_without_the_secret(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client, other = new_client(clients), new_client(clients)
    auth, data = sandbox.client_certificate(kind, clients=clients, client=client), data_of(client)
    # The controller now knows this certificate, which other issuer objects must not use.
    sandbox.ready_issuer(kind, auth, proxy=sandbox.new_proxy())
    contents: dict[str, dict[str, str]] = {
        "the Secret has no certificate": {"tls.key": client.key_pem, "ca.crt": client.certificate_pem},
        "the Secret has no key": {"tls.crt": client.certificate_pem, "key": client.key_pem},
        "the certificate is not valid PEM": data | {"tls.crt": secrets.token_hex(16)},
        "the key does not match the certificate": data | {"tls.key": other.key_pem},
    }
    variants = {what: with_secret(auth, sandbox.secret(c, namespace=auth.namespace)) for what, c in contents.items()}
    variants["the Secret does not exist"] = with_secret(auth, f"absent-{secrets.token_hex(4)}")
    never_ready(sandbox, kind, {what: {"auth": spec} for what, spec in variants.items()})


@requirement("VI-CLIENTCERT-005")
@pytest.mark.slow
def test_ready_once_the_secret_is_correct(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client, untrusted = new_client(clients), new_client(Authority("clients"))
    sandbox.pass_on(untrusted)
    auth = sandbox.client_certificate(kind, clients=clients, client=client)
    late, corrected = f"late-{secrets.token_hex(4)}", sandbox.secret(data_of(untrusted), namespace=auth.namespace)
    issuers = [sandbox.issuer(kind, with_secret(auth, name)) for name in (late, corrected)]
    for issuer in issuers:
        issuer.wait_not_ready("its Secret is missing or contains a certificate of another CA")
    sandbox.secret(data_of(client), namespace=auth.namespace, name=late)
    sandbox.set_secret(corrected, auth.namespace, data_of(client))
    for issuer in issuers:
        issuer.wait_ready("its Secret now contains the right certificate", timeout=sandbox.timeouts.retry)


@requirement("VI-CLIENTCERT-006")
def test_changed_certificate_is_presented(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client = new_client(clients)
    auth = sandbox.client_certificate(kind, clients=clients, client=client)
    issuer = sandbox.ready_issuer(kind, auth)
    assert login_behind(sandbox, sandbox.issued(issuer)).client_certificate == client.der, (
        "expected the certificate of the Secret at the login"
    )
    changed = another_client(sandbox, clients)
    sandbox.set_secret(auth.secret_name, auth.namespace, data_of(changed))
    # A controller sees changes in order: the barrier is an issuer object whose Secret is created after this change.
    barrier = sandbox.secret(data_of(another_client(sandbox, clients)), namespace=auth.namespace)
    with at_barrier():
        sandbox.ready_issuer(kind, with_secret(auth, barrier), proxy=sandbox.new_proxy())
    end_logins(sandbox, sandbox.proxy, auth)
    mark = sandbox.proxy.mark()
    assert login_behind(sandbox, issued_eventually(sandbox, issuer)).client_certificate == changed.der, (
        "expected the changed certificate at the login"
    )
    logins = sandbox.proxy.seen(Route.LOGIN, since=mark)
    old = [login.summary for login in logins if login.client_certificate == client.der]
    assert not old, f"expected no login with the replaced certificate, saw {old}"


@requirement("VI-CLIENTCERT-007")
def test_secret_is_read_from_the_right_namespace(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client = new_client(clients)
    auth = sandbox.client_certificate(kind, clients=clients, client=client)
    places = {sandbox.environment.cluster_resource_namespace, sandbox.namespace, sandbox.other_namespace}
    for namespace in sorted(places - {auth.namespace}):
        decoy = data_of(another_client(sandbox, clients))
        sandbox.secret(decoy, namespace=namespace, name=auth.secret_name)
    sandbox.issued(sandbox.ready_issuer(kind, auth), namespace=sandbox.namespace)
    assert_logs_in(sandbox, auth, client, role_of(auth))


@requirement("VI-CLIENTCERT-007")
def test_secret_in_another_namespace_is_not_read(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.client_certificate(kind, namespace=sandbox.other_namespace)
    never_ready(sandbox, kind, {"its Secret is in another namespace": {"auth": auth}})


@requirement("VI-CLIENTCERT-008")
@PAIRS
def test_each_issuer_logs_in_with_its_own_certificate(sandbox: Sandbox, kind: str, other_kind: str) -> None:
    clients = Authority("clients")
    pairs = []
    for which in (kind, other_kind):
        client = new_client(clients)
        auth = sandbox.client_certificate(which, clients=clients, client=client)
        pairs.append((sandbox.ready_issuer(which, auth), client))
    for issuer, client in pairs * 2:
        assert login_behind(sandbox, sandbox.issued(issuer)).client_certificate == client.der, (
            f"expected {issuer} to log in with its own certificate"
        )


def on_the_connection(sandbox: Sandbox, kind: str, client: ClientCertificate) -> dict[str, Any]:
    """Return the fields that configure a client certificate for every connection."""
    name = sandbox.secret(data_of(client), namespace=sandbox.home(kind))
    return {
        "clientCertSecretRef": {"name": name, "key": "tls.crt"},
        "clientKeySecretRef": {"name": name, "key": "tls.key"},
    }


@requirement("VI-CLIENTCERT-009")
@pytest.mark.parametrize("other_feature", ["mtls"])
def test_login_without_a_secret_uses_the_certificate_of_the_connection(
    sandbox: Sandbox, kind: str, other_feature: str
) -> None:
    clients = Authority("clients")
    client = new_client(clients)
    auth = sandbox.client_certificate(kind, clients=clients, client=client)
    fields = {key: value for key, value in auth.spec["clientCertificate"].items() if key != "secretName"}
    issuer = sandbox.issuer(kind, {"clientCertificate": fields}, **on_the_connection(sandbox, kind, client))
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_logs_in(sandbox, auth, client, role_of(auth))


@requirement("VI-CLIENTCERT-010")
@pytest.mark.parametrize("other_feature", ["mtls"])
def test_login_certificate_wins_over_that_of_the_connection(sandbox: Sandbox, kind: str, other_feature: str) -> None:
    clients = Authority("clients")
    client, transport = new_client(clients), another_client(sandbox, Authority("clients"))
    auth = sandbox.client_certificate(kind, clients=clients, client=client)
    issuer = sandbox.issuer(kind, auth, **on_the_connection(sandbox, kind, transport))
    sandbox.proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire)
    assert_logs_in(sandbox, auth, client, role_of(auth))
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert_logs_in(sandbox, auth, client, role_of(auth))


@requirement("VI-CLIENTCERT-011")
@pytest.mark.parametrize("server", ["another CA", "another host"])
def test_untrusted_server_gets_no_login(sandbox: Sandbox, kind: str, server: str) -> None:
    host = sandbox.environment.stack.bind
    proxy = sandbox.new_proxy(
        certificate=Authority().issue(host) if server == "another CA" else sandbox.authority.issue("192.0.2.1")
    )
    auth = sandbox.client_certificate(kind)
    options = {"auth": auth, "proxy": proxy} | trusting(sandbox)
    assert_untrusted(sandbox, kind, {f"its server's certificate is of {server}": options})


@requirement("VI-CLIENTCERT-012")
@alternating(
    ("kind", "other_feature"), [("Issuer", "token"), ("ClusterIssuer", "approle"), ("Issuer", "kubernetes-static")]
)
def test_second_authentication_method_is_rejected_or_comes_in_order(
    sandbox: Sandbox, kind: str, other_feature: str
) -> None:
    pair = [sandbox.client_certificate(kind), sandbox.authenticate(other_feature, kind)]
    if other_feature != "kubernetes-static":
        pair.reverse()
    assert_refused_or_first(sandbox, kind, *pair, what=f"client-certificate and {other_feature}")


@requirement("VI-CLIENTCERT-013")
def test_not_ready_without_tls(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.client_certificate(kind)
    never_ready(sandbox, kind, {"its server has no TLS": {"auth": auth, "proxy": sandbox.new_proxy(plain=True)}})


@requirement("VI-CLIENTCERT-014")
@pytest.mark.parametrize("change", ["deleted", "changed"])
def test_unusable_certificate_makes_issuer_not_ready(sandbox: Sandbox, kind: str, change: str) -> None:
    auth, untrusted = sandbox.client_certificate(kind), new_client(Authority("clients"))
    sandbox.pass_on(untrusted)
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.barrier(issuer)  # a check that follows the first one must not meet the change by chance
    if change == "deleted":
        sandbox.delete_secret(auth.secret_name, auth.namespace)
    else:
        sandbox.set_secret(auth.secret_name, auth.namespace, data_of(untrusted))
    issuer.wait_not_ready("the Secret of its certificate was deleted or now contains one of another CA")
