"""The client certificate of the connection to Vault: presented everywhere, and no authentication."""

from __future__ import annotations

import secrets
import ssl
import uuid
from typing import Any

import pytest

from pytest_vault_issuer.issuer import Authentication
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import Authority, Proxy, Route
from pytest_vault_issuer.sandbox import Sandbox

from .helpers import LOGINS, assert_untrusted, never_ready, with_fields

CERTIFICATE, KEY = "tls.crt", "tls.key"


def new_client(clients: Authority) -> dict[str, str]:
    """A client certificate and its key, as a Secret of type kubernetes.io/tls holds them."""
    client = clients.issue_client(f"issuer-{secrets.token_hex(4)}.example.test")
    return {CERTIFICATE: client.certificate_pem, KEY: client.key_pem}


def der(client: dict[str, str]) -> bytes:
    return ssl.PEM_cert_to_DER_cert(client[CERTIFICATE])


def refer(certificate: str, key: str | None = None) -> dict[str, Any]:
    """The fields that name a Secret with a certificate and one with its key, by default the same."""
    return {
        "clientCertSecretRef": {"name": certificate, "key": CERTIFICATE},
        "clientKeySecretRef": {"name": key or certificate, "key": KEY},
    }


def stored(sandbox: Sandbox, kind: str, client: dict[str, str], name: str | None = None) -> dict[str, Any]:
    """Put a client certificate where an issuer of `kind` looks for it; return the fields that name it."""
    return refer(sandbox.secret(client, namespace=sandbox.home(kind), name=name))


def asking(sandbox: Sandbox, clients: Authority, *, required: bool = True) -> Proxy:
    """A Vault that asks for a client certificate, and by default serves nobody without."""
    return sandbox.new_proxy(client_ca=clients.pem, client_certificate_required=required)


def presented(proxy: Proxy, *, since: int = 0) -> set[bytes | None]:
    """The certificates (DER; None for none) with which requests were made."""
    return {exchange.client_certificate for exchange in proxy.seen(since=since)}


@requirement("VI-MTLS-001")
def test_certificate_is_presented_everywhere(sandbox: Sandbox, kind: str, feature: str) -> None:
    clients = Authority("clients")
    client, proxy = new_client(clients), asking(sandbox, clients, required=False)
    auth = sandbox.authenticate(feature, kind)
    issuer = sandbox.issuer(kind, auth, proxy=proxy, **stored(sandbox, kind, client))
    issuer.wait_ready()
    sandbox.issued(issuer)
    for route in [Route.HEALTH, Route.SIGN, *([Route.LOGIN] if auth.login_path else [])]:
        assert {exchange.client_certificate for exchange in proxy.seen(route)} == {der(client)}, (
            f"the certificate has to be presented on each connection with a {route.value} request"
        )


@requirement("VI-MTLS-002")
def test_certificate_and_key_of_the_named_secrets(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client, proxy = new_client(clients), asking(sandbox, clients)
    home, named = sandbox.home(kind), (f"cert-{secrets.token_hex(3)}", f"key-{secrets.token_hex(3)}")
    first = sandbox.secret({named[0]: client[CERTIFICATE]} | new_client(clients), namespace=home)
    second = sandbox.secret({named[1]: client[KEY]} | new_client(clients), namespace=home)
    for namespace in {sandbox.namespace, sandbox.other_namespace, sandbox.home("ClusterIssuer")} - {home}:
        other = new_client(clients)
        both = {named[0]: other[CERTIFICATE], named[1]: other[KEY]}
        for name in (first, second):
            sandbox.secret(both, namespace=namespace, name=name)
    fields: dict[str, Any] = {
        "clientCertSecretRef": {"name": first, "key": named[0]},
        "clientKeySecretRef": {"name": second, "key": named[1]},
    }
    issuer = sandbox.issuer(kind, proxy=proxy, **fields)
    issuer.wait_ready()
    sandbox.issued(issuer)
    assert presented(proxy) == {der(client)}, "the certificate of the named Secret was to be presented, and no other"


@requirement("VI-MTLS-002")
def test_no_secret_of_another_namespace(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    elsewhere = refer(sandbox.secret(new_client(clients), namespace=sandbox.other_namespace))
    proxy = asking(sandbox, clients)
    assert_untrusted(sandbox, kind, {"its Secret is in another namespace": {"proxy": proxy} | elsewhere})


@requirement("VI-MTLS-003")
def test_keys_are_those_of_a_tls_secret_where_none_are_named(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client, proxy = new_client(clients), asking(sandbox, clients)
    name = sandbox.secret(client | {"token": secrets.token_hex(8), "ca.crt": clients.pem}, namespace=sandbox.home(kind))
    fields: dict[str, Any] = {"clientCertSecretRef": {"name": name}, "clientKeySecretRef": {"name": name}}
    sandbox.issuer(kind, proxy=proxy, **fields).wait_ready()


@requirement("VI-MTLS-004")
def test_not_ready_without_the_right_certificate(sandbox: Sandbox, kind: str) -> None:
    clients, strangers = Authority("clients"), Authority("clients")
    variants: dict[str, dict[str, Any]] = {
        "it has no client certificate": {},
        "its client certificate is of another CA": stored(sandbox, kind, new_client(strangers)),
    }
    assert_untrusted(
        sandbox, kind, {what: fields | {"proxy": asking(sandbox, clients)} for what, fields in variants.items()}
    )


@requirement("VI-MTLS-005")
def test_half_of_a_client_certificate(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    fields = stored(sandbox, kind, new_client(clients))
    assert_untrusted(
        sandbox,
        kind,
        {
            f"there is no {absent}": {"proxy": asking(sandbox, clients)} | fields | {absent: None}
            for absent in ("clientCertSecretRef", "clientKeySecretRef")
        },
    )


@requirement("VI-MTLS-006")
def test_not_ready_without_the_secrets(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    home, client, other = sandbox.home(kind), new_client(clients), new_client(clients)
    name, absent = sandbox.secret(client, namespace=home), f"absent-{secrets.token_hex(4)}"

    def holding(data: dict[str, str]) -> dict[str, Any]:
        return refer(sandbox.secret(data, namespace=home))

    wrong = {
        "the certificate's Secret does not exist": refer(absent, name),
        "the key's Secret does not exist": refer(name, absent),
        "the Secret has no certificate": holding({KEY: client[KEY]}),
        "the Secret has no key": holding({CERTIFICATE: client[CERTIFICATE]}),
        "the certificate is none": holding(client | {CERTIFICATE: secrets.token_hex(16)}),
        "the key is another certificate's": holding(client | {KEY: other[KEY]}),
    }
    # Even a Vault that serves whoever has no certificate is not asked.
    proxies = {what: asking(sandbox, clients, required=False) for what in wrong}
    assert_untrusted(sandbox, kind, {what: fields | {"proxy": proxies[what]} for what, fields in wrong.items()})


@requirement("VI-MTLS-006")
@pytest.mark.slow
def test_ready_once_the_secrets_are_there(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client, proxy, home = new_client(clients), asking(sandbox, clients), sandbox.home(kind)
    late, corrected = f"late-{secrets.token_hex(4)}", sandbox.secret({KEY: client[KEY]}, namespace=home)
    issuers = [sandbox.issuer(kind, proxy=proxy, **refer(name)) for name in (late, corrected)]
    for issuer in issuers:
        issuer.wait_not_ready("a Secret of its certificate is missing, or has no certificate")
    sandbox.secret(client, namespace=home, name=late)
    sandbox.set_secret(corrected, home, client)
    for issuer in issuers:
        issuer.wait_ready("its Secrets are right now", timeout=sandbox.timeouts.retry)


def refused(auth: Authentication) -> dict[str, Any]:
    """The authentication with a role that Vault does not know."""
    return with_fields(auth, **{"roleId" if auth.approle else "role": str(uuid.uuid4())})


@requirement("VI-MTLS-007")
@pytest.mark.parametrize("feature", LOGINS)
def test_certificate_does_not_replace_the_login(sandbox: Sandbox, kind: str, feature: str) -> None:
    clients = Authority("clients")
    fields = {"proxy": asking(sandbox, clients)} | stored(sandbox, kind, new_client(clients))
    auth = sandbox.authenticate(feature, kind)
    issuer = sandbox.ready_issuer(kind, auth, **fields)
    signing = sandbox.signings(sandbox.issued(issuer))[-1]
    logins = [login for login in fields["proxy"].seen(Route.LOGIN) if login.path == auth.login_path]
    tokens = {(login.response_json.get("auth") or {}).get("client_token") for login in logins}
    assert signing.token in tokens, f"a certificate has to be signed with the token of a login by {feature}"
    never_ready(sandbox, kind, {f"its {feature} login is refused": {"auth": refused(auth)} | fields})


@requirement("VI-MTLS-007")
@pytest.mark.parametrize("feature", ["token"])
def test_certificate_does_not_replace_the_token(sandbox: Sandbox, kind: str, feature: str) -> None:
    clients = Authority("clients")
    proxy, auth = asking(sandbox, clients), sandbox.authenticate(feature, kind)
    issuer = sandbox.ready_issuer(kind, auth, proxy=proxy, **stored(sandbox, kind, new_client(clients)))
    assert sandbox.signings(sandbox.issued(issuer))[-1].token == auth.credential, "the configured token has to be used"
    assert not proxy.seen(Route.LOGIN), "with a token there is nothing to log in for"


@requirement("VI-MTLS-008")
@pytest.mark.parametrize(
    ("kind", "other_kind"), [("Issuer", "Issuer"), ("Issuer", "ClusterIssuer"), ("ClusterIssuer", "Issuer")]
)
def test_certificate_of_another_issuer_is_not_presented(sandbox: Sandbox, kind: str, other_kind: str) -> None:
    clients = Authority("clients")
    proxy, own, others = asking(sandbox, clients, required=False), new_client(clients), new_client(clients)
    # In two namespaces, the issuers and their Secrets can have the same names.
    name = f"mtls-{secrets.token_hex(4)}" if kind != other_kind else None
    other = sandbox.ready_issuer(other_kind, proxy=proxy, name=name, **stored(sandbox, other_kind, others, name))
    issuer = sandbox.ready_issuer(kind, proxy=proxy, name=name, **stored(sandbox, kind, own, name))
    without = sandbox.ready_issuer(kind, proxy=proxy)
    expected = {
        "another issuer": (other, der(others)),
        "the issuer": (issuer, der(own)),
        "one without": (without, None),
    }
    for _ in range(2):
        for what, (signer, certificate) in expected.items():
            used = {signing.client_certificate for signing in sandbox.signings(sandbox.issued(signer))}
            assert used == {certificate}, f"{what} has to present its own certificate only, if it has one"


@requirement("VI-MTLS-009")
def test_changed_certificate_is_presented(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    proxy, new = asking(sandbox, clients), new_client(clients)
    fields = stored(sandbox, kind, new_client(clients))
    issuer = sandbox.ready_issuer(kind, proxy=proxy, **fields)
    sandbox.issued(issuer)
    sandbox.set_secret(fields["clientCertSecretRef"]["name"], sandbox.home(kind), new)
    # Changes are noticed in their order: the barrier is an issuer whose Secret is made after this one.
    sandbox.ready_issuer(kind, proxy=asking(sandbox, clients), **stored(sandbox, kind, new_client(clients)))
    used = {signing.client_certificate for signing in sandbox.signings(sandbox.issued(issuer))}
    assert used == {der(new)}, "the changed certificate was to be presented"
