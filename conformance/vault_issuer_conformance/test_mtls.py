"""The client certificate of the connection to Vault: presented everywhere, but not an authentication."""

from __future__ import annotations

import secrets
import ssl
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from pytest_vault_issuer import Authentication, Authority, Proxy, Route, Sandbox, new_key, requirement, to_pem

from .helpers import LOGINS, PAIRS, alternating, assert_untrusted, never_ready, with_fields

CERTIFICATE, KEY = "tls.crt", "tls.key"


def new_client(clients: Authority) -> dict[str, str]:
    """Return a client certificate and its key as data of a Secret of type kubernetes.io/tls."""
    client = clients.issue_client(f"issuer-{secrets.token_hex(4)}.example.test")
    return {CERTIFICATE: client.certificate_pem, KEY: client.key_pem}


def der(client: dict[str, str]) -> bytes:
    return ssl.PEM_cert_to_DER_cert(client[CERTIFICATE])


def refer(certificate: str, key: str | None = None) -> dict[str, Any]:
    """Return the fields that name the Secrets of a certificate and its key, by default the same Secret."""
    return {
        "clientCertSecretRef": {"name": certificate, "key": CERTIFICATE},
        "clientKeySecretRef": {"name": key or certificate, "key": KEY},
    }


def stored(sandbox: Sandbox, kind: str, client: dict[str, str], name: str | None = None) -> dict[str, Any]:
    """Put a client certificate where an issuer object of `kind` reads it; return the fields that name it."""
    return refer(sandbox.secret(client, namespace=sandbox.home(kind), name=name))


def asking(sandbox: Sandbox, clients: Authority, *, required: bool = True) -> Proxy:
    """Return a proxy that requests a client certificate, and by default requires one."""
    return sandbox.new_proxy(client_ca=clients.pem, client_certificate_required=required)


def presented(proxy: Proxy) -> set[bytes | None]:
    """Return the client certificates of requests (DER, None for a request without one)."""
    return {exchange.client_certificate for exchange in proxy.seen()}


@requirement("VI-MTLS-001")
def test_certificate_is_presented_with_every_request(sandbox: Sandbox, kind: str, feature: str) -> None:
    clients = Authority("clients")
    client, proxy = new_client(clients), asking(sandbox, clients, required=False)
    auth = sandbox.authenticate(feature, kind)
    issuer = sandbox.issuer(kind, auth, proxy=proxy, **stored(sandbox, kind, client))
    issuer.wait_ready()
    sandbox.issued(issuer)
    for route in [Route.HEALTH, Route.SIGN, *([Route.LOGIN] if auth.login_path else [])]:
        assert {exchange.client_certificate for exchange in proxy.seen(route)} == {der(client)}, (
            f"expected the client certificate with every {route.value} request"
        )


@requirement("VI-MTLS-002")
def test_certificate_and_key_are_read_from_the_named_secrets(sandbox: Sandbox, kind: str) -> None:
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
    assert presented(proxy) == {der(client)}, "expected only the certificate of the named Secret"


@requirement("VI-MTLS-002")
def test_secret_in_another_namespace_is_not_read(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    elsewhere = refer(sandbox.secret(new_client(clients), namespace=sandbox.other_namespace))
    proxy = asking(sandbox, clients)
    assert_untrusted(sandbox, kind, {"its Secret is in another namespace": {"proxy": proxy} | elsewhere})


@requirement("VI-MTLS-003")
def test_secret_keys_default_to_those_of_a_tls_secret(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client, proxy = new_client(clients), asking(sandbox, clients)
    name = sandbox.secret(client | {"token": secrets.token_hex(8), "ca.crt": clients.pem}, namespace=sandbox.home(kind))
    fields: dict[str, Any] = {"clientCertSecretRef": {"name": name}, "clientKeySecretRef": {"name": name}}
    sandbox.issuer(kind, proxy=proxy, **fields).wait_ready()


@requirement("VI-MTLS-004")
def test_not_ready_without_the_right_certificate(sandbox: Sandbox, kind: str) -> None:
    clients, untrusted = Authority("clients"), Authority("clients")
    variants: dict[str, dict[str, Any]] = {
        "it has no client certificate": {},
        "another CA signed its client certificate": stored(sandbox, kind, new_client(untrusted)),
    }
    assert_untrusted(
        sandbox, kind, {what: fields | {"proxy": asking(sandbox, clients)} for what, fields in variants.items()}
    )


@requirement("VI-MTLS-005")
def test_not_ready_with_half_of_a_client_certificate(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    fields = stored(sandbox, kind, new_client(clients))
    assert_untrusted(
        sandbox,
        kind,
        {
            f"{absent} is not set": {"proxy": asking(sandbox, clients)} | fields | {absent: None}
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
        "the certificate is not valid PEM": holding(client | {CERTIFICATE: secrets.token_hex(16)}),
        "the key does not match the certificate": holding(client | {KEY: other[KEY]}),
    }
    # The Vault would serve requests without a certificate, but must not get any.
    proxies = {what: asking(sandbox, clients, required=False) for what in wrong}
    assert_untrusted(sandbox, kind, {what: fields | {"proxy": proxies[what]} for what, fields in wrong.items()})


@requirement("VI-MTLS-006")
@pytest.mark.slow
def test_ready_once_the_secrets_are_correct(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    client, proxy, home = new_client(clients), asking(sandbox, clients), sandbox.home(kind)
    late, corrected = f"late-{secrets.token_hex(4)}", sandbox.secret({KEY: client[KEY]}, namespace=home)
    issuers = [sandbox.issuer(kind, proxy=proxy, **refer(name)) for name in (late, corrected)]
    for issuer in issuers:
        issuer.wait_not_ready("a Secret of its certificate is missing or contains no certificate")
    sandbox.secret(client, namespace=home, name=late)
    sandbox.set_secret(corrected, home, client)
    for issuer in issuers:
        issuer.wait_ready("its Secrets are correct now", timeout=sandbox.timeouts.retry)


def refused(auth: Authentication) -> dict[str, Any]:
    """Return the authentication with a role that Vault does not know."""
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
    assert signing.token in tokens, f"expected the token of a {feature} login in the sign request, saw another token"
    never_ready(sandbox, kind, {f"Vault rejects its {feature} login": {"auth": refused(auth)} | fields})


@requirement("VI-MTLS-007")
@pytest.mark.parametrize("feature", ["token"])
def test_certificate_does_not_replace_the_token(sandbox: Sandbox, kind: str, feature: str) -> None:
    clients = Authority("clients")
    proxy, auth = asking(sandbox, clients), sandbox.authenticate(feature, kind)
    issuer = sandbox.ready_issuer(kind, auth, proxy=proxy, **stored(sandbox, kind, new_client(clients)))
    assert sandbox.signings(sandbox.issued(issuer))[-1].token == auth.credential, "expected the configured token"
    logins = [exchange.summary for exchange in proxy.seen(Route.LOGIN)]
    assert not logins, f"expected no login with token authentication, saw {logins}"


@requirement("VI-MTLS-008")
@PAIRS
def test_certificate_of_another_issuer_is_not_presented(sandbox: Sandbox, kind: str, other_kind: str) -> None:
    clients = Authority("clients")
    proxy, own, others = asking(sandbox, clients, required=False), new_client(clients), new_client(clients)
    # In two namespaces, the issuer objects and their Secrets can have the same names.
    name = f"mtls-{secrets.token_hex(4)}" if kind != other_kind else None
    other = sandbox.ready_issuer(other_kind, proxy=proxy, name=name, **stored(sandbox, other_kind, others, name))
    issuer = sandbox.ready_issuer(kind, proxy=proxy, name=name, **stored(sandbox, kind, own, name))
    without = sandbox.ready_issuer(kind, proxy=proxy)
    expected = {
        "the other issuer object": (other, der(others)),
        "the issuer object": (issuer, der(own)),
        "the issuer object without a certificate": (without, None),
    }
    for _ in range(2):
        for what, (signer, certificate) in expected.items():
            used = {signing.client_certificate for signing in sandbox.signings(sandbox.issued(signer))}
            assert used == {certificate}, f"expected only its own certificate, if any, from {what}"


@requirement("VI-MTLS-009")
def test_changed_certificate_is_presented(sandbox: Sandbox, kind: str) -> None:
    clients = Authority("clients")
    proxy, new = asking(sandbox, clients), new_client(clients)
    fields = stored(sandbox, kind, new_client(clients))
    issuer = sandbox.ready_issuer(kind, proxy=proxy, **fields)
    sandbox.issued(issuer)
    sandbox.set_secret(fields["clientCertSecretRef"]["name"], sandbox.home(kind), new)
    # A controller sees changes in order: the barrier is an issuer object whose Secret is created after this change.
    sandbox.ready_issuer(kind, proxy=asking(sandbox, clients), **stored(sandbox, kind, new_client(clients)))
    used = {signing.client_certificate for signing in sandbox.signings(sandbox.issued(issuer))}
    assert used == {der(new)}, "expected the changed certificate"


@requirement("VI-MTLS-010")
def test_intermediates_are_presented(sandbox: Sandbox, kind: str) -> None:
    root = Authority.root()
    fields = stored(sandbox, kind, new_client(root.intermediate()))
    sandbox.issued(sandbox.ready_issuer(kind, proxy=asking(sandbox, root), **fields))


@requirement("VI-MTLS-011")
@alternating(("kind", "key_type"), [("Issuer", "rsa"), ("ClusterIssuer", "ec")])
def test_key_in_its_traditional_form_is_accepted(sandbox: Sandbox, kind: str, key_type: str) -> None:
    clients, key = Authority("clients"), new_key(key_type)
    form = serialization.PrivateFormat.TraditionalOpenSSL  # PKCS #1 or SEC 1
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    leaf = clients.leaf(key.public_key(), f"issuer-{secrets.token_hex(4)}.example.test")
    fields = stored(sandbox, kind, {CERTIFICATE: to_pem(leaf), KEY: pem})
    sandbox.ready_issuer(kind, proxy=asking(sandbox, clients), **fields)


@requirement("VI-MTLS-012")
@pytest.mark.parametrize("change", ["deleted", "changed"])
def test_unusable_certificate_makes_issuer_not_ready(sandbox: Sandbox, kind: str, change: str) -> None:
    clients, home = Authority("clients"), sandbox.home(kind)
    fields = stored(sandbox, kind, new_client(clients))
    name = fields["clientCertSecretRef"]["name"]
    issuer = sandbox.ready_issuer(kind, proxy=asking(sandbox, clients), **fields)
    sandbox.barrier(issuer)  # a check that follows the first one must not meet the change by chance
    if change == "deleted":
        sandbox.delete_secret(name, home)
    else:
        sandbox.set_secret(name, home, new_client(Authority("clients")))
    issuer.wait_not_ready("the Secret of its client certificate was deleted or now contains one of another CA")
