"""The connection to Vault: which servers a controller trusts, and that it sends nothing to others."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from pytest_vault_issuer import (
    Authority,
    Issuer,
    NotRunnable,
    Proxy,
    Redirect,
    Route,
    Sandbox,
    ServerCertificate,
    at_barrier,
    key_to_pem,
    new_key,
    requirement,
)

from .helpers import (
    LOGINS,
    PAIRS,
    alternating,
    assert_not_ready,
    assert_silent,
    assert_untrusted,
    bundle,
    issued_eventually,
    never_ready,
    settle,
    trusting,
)


def impostor(sandbox: Sandbox) -> ServerCertificate:
    """Return a certificate with the right name, signed by a CA with the trusted CA's name but another key."""
    return Authority().issue(sandbox.environment.stack.bind)


def of_another_ca(sandbox: Sandbox) -> dict[str, Any]:
    """Return fields of an issuer object with that server and the CA that it trusts instead."""
    return {"proxy": sandbox.new_proxy(certificate=impostor(sandbox))} | trusting(sandbox)


#: Where the server's CA is. A controller that falls back to the system trust store shows it only in the second case,
#: and only if this store is known.
SERVER_CA = pytest.mark.parametrize("trusted", ["unknown to the system", "in the system trust store"])


def with_system_ca(sandbox: Sandbox) -> Proxy:
    """Return a listener whose certificate is from a CA in the controller's system trust store.

    :raises NotRunnable: if this store is unknown.
    """
    certificate = sandbox.environment.system_server
    if certificate is None:
        raise NotRunnable(
            "the system trust store of the controller is unknown",
            hint="let the suite start its command, and remove SSL_CERT_FILE from [run] env",
        )
    return sandbox.new_proxy(certificate=certificate)


@requirement("VI-TLS-001")
@pytest.mark.parametrize("chain", ["issued by the CA", "issued by an intermediate"])
def test_certificate_of_the_ca_in_the_bundle_is_trusted(sandbox: Sandbox, kind: str, chain: str) -> None:
    root = Authority(f"Root {secrets.token_hex(4)}")
    signer = root if chain == "issued by the CA" else Authority(f"Intermediate {secrets.token_hex(4)}", parent=root)
    proxy = sandbox.new_proxy(certificate=signer.issue(sandbox.environment.stack.bind))
    sandbox.issued(sandbox.ready_issuer(kind, proxy=proxy, caBundle=bundle(root.pem)))


@requirement("VI-TLS-002")
def test_certificate_of_another_ca_is_rejected(sandbox: Sandbox, kind: str) -> None:
    assert_untrusted(sandbox, kind, {"another CA signed the server certificate": of_another_ca(sandbox)})


@requirement("VI-TLS-002")
@pytest.mark.parametrize("feature", LOGINS)
def test_server_of_another_ca_gets_no_credentials(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind)
    assert_untrusted(
        sandbox, kind, {"another CA signed the server certificate": {"auth": auth} | of_another_ca(sandbox)}
    )


@requirement("VI-TLS-003")
def test_expired_certificate_is_rejected(sandbox: Sandbox, kind: str) -> None:
    certificate = sandbox.authority.issue(sandbox.environment.stack.bind, expired=True)
    proxy = sandbox.new_proxy(certificate=certificate)
    assert_untrusted(sandbox, kind, {"the server certificate has expired": {"proxy": proxy}})


@requirement("VI-TLS-004")
def test_certificate_for_another_host_is_rejected(sandbox: Sandbox, kind: str) -> None:
    host = sandbox.environment.stack.bind
    certificate = sandbox.authority.issue(f"{secrets.token_hex(4)}.example.test", "192.0.2.1", common_name=host)
    proxy = sandbox.new_proxy(certificate=certificate)
    assert_untrusted(sandbox, kind, {"the server certificate is for another host": {"proxy": proxy}})


@requirement("VI-TLS-005")
def test_private_ca_is_not_trusted_without_a_bundle(sandbox: Sandbox, kind: str) -> None:
    assert_untrusted(
        sandbox,
        kind,
        {
            f"{what}, and the system trust store does not contain the server's CA": {
                "proxy": sandbox.new_proxy(certificate=impostor(sandbox)),
                "caBundle": value,
            }
            for what, value in (("caBundle is not set", None), ("caBundle is empty", ""))
        },
    )


@requirement("VI-TLS-006")
@alternating(
    ("kind", "feature"),
    [
        ("Issuer", "token"),
        ("ClusterIssuer", "token"),
        ("ClusterIssuer", "approle"),
        ("Issuer", "kubernetes-static"),
        ("ClusterIssuer", "kubernetes-secretless"),
    ],
)
def test_certificate_is_verified_again_to_sign(sandbox: Sandbox, kind: str, feature: str) -> None:
    proxy, certificate = sandbox.new_proxy(), sandbox.authority.issue(sandbox.environment.stack.bind)
    issuer = sandbox.ready_issuer(kind, sandbox.authenticate(feature, kind), proxy=proxy)
    sandbox.issued(issuer)
    proxy.replace_certificate(impostor(sandbox))
    sent, failures = proxy.mark(), len(proxy.handshake_failures)
    request = sandbox.request(issuer)
    proxy.wait_for_handshake_failure(sandbox.timeouts.wire, since=failures)
    settle(request)
    assert not request.certificates(), "expected no certificate over an unverified connection, saw one"
    assert_silent(proxy, since=sent)
    proxy.replace_certificate(certificate)
    issuer.touch()  # faster, if the controller set the issuer object not Ready in between
    sandbox.barrier(issuer)


@requirement("VI-TLS-007")
@alternating(("kind", "position"), [("Issuer", 0), ("Issuer", 1), ("Issuer", 2), ("ClusterIssuer", 1)])
def test_bundle_of_several_certificates_is_accepted(sandbox: Sandbox, kind: str, position: int) -> None:
    # The first of the other CAs has the name of the right one.
    listed = [Authority().pem, Authority(f"CA {secrets.token_hex(4)}").pem]
    listed.insert(position, sandbox.authority.pem)
    text = [f"# {secrets.token_hex(4)}\n\nsubject=CN = one of our CAs\n{pem}\n\n" for pem in listed]
    sandbox.issuer(kind, caBundle=bundle(*text)).wait_ready()


@requirement("VI-TLS-008")
@SERVER_CA
def test_bundle_without_a_certificate_is_rejected(sandbox: Sandbox, kind: str, trusted: str) -> None:
    contents = {
        "text": secrets.token_hex(16),
        "a private key": key_to_pem(new_key()),
        "a truncated certificate": sandbox.authority.pem[:200],
    }
    assert_untrusted(
        sandbox,
        kind,
        {
            f"caBundle contains {what} instead of a certificate": {
                "proxy": with_system_ca(sandbox) if trusted == "in the system trust store" else sandbox.new_proxy(),
                "caBundle": bundle(content),
            }
            for what, content in contents.items()
        },
    )


@requirement("VI-TLS-009")
@pytest.mark.slow  # cert-manager's client treats this as an outage and tries three times
@pytest.mark.holds_controller
def test_server_without_tls_gets_no_plain_http(sandbox: Sandbox, kind: str) -> None:
    proxy = sandbox.new_proxy(plain=True)
    server = proxy.url.replace("http://", "https://")
    options = {"proxy": proxy, "server": server} | trusting(sandbox)
    assert_untrusted(sandbox, kind, {"its https server does not support TLS": options})


def redirected(sandbox: Sandbox, route: Route, status: int, path: str) -> tuple[Proxy, Callable[[], None]]:
    """Redirect requests of the proxy to a plain HTTP listener in front of the same Vault.

    :return: the listener, and a function that waits for the first redirect and then ends the redirects.
    """
    plain = sandbox.new_proxy(plain=True)
    injection = sandbox.proxy.inject(route, Redirect(plain.url + path, status))

    def end() -> None:
        injection.wait(sandbox.timeouts.wire)
        injection.remove()

    return plain, end


@requirement("VI-TLS-009")
@alternating(("kind", "status"), [("Issuer", 307), ("ClusterIssuer", 302)])
def test_health_query_does_not_follow_a_redirect_to_plain_http(sandbox: Sandbox, kind: str, status: int) -> None:
    plain, end_redirects = redirected(sandbox, Route.HEALTH, status, "/v1/sys/health")
    issuer = sandbox.issuer(kind)
    end_redirects()
    assert_recovers(sandbox, issuer)
    assert_silent(plain)


@requirement("VI-TLS-009")
@pytest.mark.parametrize("feature", LOGINS)
def test_login_does_not_follow_a_redirect_to_plain_http(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind)
    plain, end_redirects = redirected(sandbox, Route.LOGIN, 307, auth.login_path)
    issuer = sandbox.issuer(kind, auth)
    end_redirects()
    assert_recovers(sandbox, issuer)
    assert_silent(plain)


@requirement("VI-TLS-009")
@alternating(("kind", "status"), [("Issuer", 307), ("ClusterIssuer", 302)])
def test_sign_request_does_not_follow_a_redirect_to_plain_http(sandbox: Sandbox, kind: str, status: int) -> None:
    plain, end_redirects = redirected(sandbox, Route.SIGN, status, f"/v1/{sandbox.pki.sign_path}")
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer)
    end_redirects()
    sandbox.barrier(issuer)
    settle(request)
    assert_silent(plain)


def assert_recovers(sandbox: Sandbox, issuer: Issuer) -> None:
    """Check that the same issuer object becomes Ready and signs after the redirects: the barrier of these tests."""
    issuer.touch()
    issuer.wait_ready("its Vault no longer redirects", timeout=sandbox.timeouts.retry)
    sandbox.barrier(issuer)


@requirement("VI-TLS-010")
@PAIRS
def test_bundle_of_another_issuer_is_not_trusted(sandbox: Sandbox, kind: str, other_kind: str) -> None:
    authority = Authority()
    shared, own = (sandbox.new_proxy(certificate=authority.issue(sandbox.environment.stack.bind)) for _ in range(2))
    other = sandbox.ready_issuer(other_kind, proxy=shared)
    namesake: dict[str, Any] = {"name": other.name}
    if kind == other_kind:
        place = sandbox.other_namespace
        namesake |= {"namespace": place, "auth": sandbox.default_authentication(kind, namespace=place)}
    wrong: dict[str, dict[str, Any]] = {
        "only another issuer object's caBundle contains its server's CA": {"proxy": own},
        "only the caBundle of another issuer object of the same server contains the CA": {"proxy": shared},
        "only the caBundle of another issuer object of the same name contains its server's CA": {"proxy": shared}
        | namesake,
    }
    if kind == other_kind and other.type.cluster_scoped:
        wrong.popitem()  # there are no two of the same name
    own_bundle = {"caBundle": bundle(sandbox.authority.pem)}
    issuers = never_ready(sandbox, kind, {what: options | own_bundle for what, options in wrong.items()})
    for issuer in (other, *issuers.values()):
        issuer.touch()
    sandbox.issued(other)
    sandbox.ready_issuer(kind, proxy=shared)
    assert_not_ready(issuers)
    assert_silent(own)


# -- caBundleSecretRef --------------------------------------------------------------------------


def in_secret(sandbox: Sandbox, kind: str, pem: str, *, key: str = "ca.crt", namespace: str = "") -> dict[str, Any]:
    """Put a bundle into a Secret where an issuer object of `kind` reads it; return the fields that name it."""
    name = sandbox.secret({key: pem}, namespace=namespace or sandbox.home(kind), secret=False)
    return {"caBundle": None, "caBundleSecretRef": {"name": name, "key": key}}


@requirement("VI-TLS-011")
def test_certificate_of_the_ca_in_the_secret_is_trusted(sandbox: Sandbox, kind: str) -> None:
    key, wrong = f"key-{secrets.token_hex(3)}", Authority().pem
    fields = in_secret(sandbox, kind, sandbox.authority.pem, key=key)
    name = fields["caBundleSecretRef"]["name"]
    sandbox.set_secret(name, sandbox.home(kind), {"ca.crt": wrong, "tls.crt": wrong})
    for namespace in {sandbox.namespace, sandbox.other_namespace, sandbox.home("ClusterIssuer")} - {sandbox.home(kind)}:
        sandbox.secret({key: wrong}, namespace=namespace, name=name, secret=False)
    issuer = sandbox.issuer(kind, **fields)
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-TLS-012")
@pytest.mark.parametrize("named", ["no key", "an empty key"])
def test_secret_key_defaults_to_ca_crt(sandbox: Sandbox, kind: str, named: str) -> None:
    fields = in_secret(sandbox, kind, sandbox.authority.pem)
    name = fields["caBundleSecretRef"]["name"]
    sandbox.set_secret(name, sandbox.home(kind), {"tls.crt": Authority().pem, "token": Authority().pem})
    reference = {"name": name} if named == "no key" else {"name": name, "key": ""}
    sandbox.issuer(kind, **fields | {"caBundleSecretRef": reference}).wait_ready()


@requirement("VI-TLS-013")
def test_certificate_of_a_ca_outside_the_secret_is_rejected(sandbox: Sandbox, kind: str) -> None:
    fields = in_secret(sandbox, kind, sandbox.authority.pem)
    proxy = sandbox.new_proxy(certificate=impostor(sandbox))
    assert_untrusted(sandbox, kind, {"another CA signed the server certificate": fields | {"proxy": proxy}})


@requirement("VI-TLS-014")
@SERVER_CA
def test_secret_without_a_bundle_is_rejected(sandbox: Sandbox, kind: str, trusted: str) -> None:
    right = in_secret(sandbox, kind, sandbox.authority.pem)
    name = right["caBundleSecretRef"]["name"]
    wrong = {
        "the Secret does not exist": right | {"caBundleSecretRef": {"name": f"absent-{secrets.token_hex(4)}"}},
        "the Secret lacks the named key": right | {"caBundleSecretRef": {"name": name, "key": "other.crt"}},
        "the value is empty": in_secret(sandbox, kind, ""),
        "the value is text": in_secret(sandbox, kind, secrets.token_hex(16)),
    }
    if trusted == "in the system trust store":
        del wrong["the value is empty"]  # another requirement covers this case
        assert_untrusted(
            sandbox, kind, {what: fields | {"proxy": with_system_ca(sandbox)} for what, fields in wrong.items()}
        )
    else:
        assert_untrusted(
            sandbox, kind, {what: fields | {"proxy": sandbox.new_proxy()} for what, fields in wrong.items()}
        )


def wait_noticed(sandbox: Sandbox, kind: str) -> None:
    """Wait until the controller has seen earlier changes of Secrets: it uses a Secret that is created after them."""
    with at_barrier():
        sandbox.ready_issuer(kind, proxy=sandbox.new_proxy(), **in_secret(sandbox, kind, sandbox.authority.pem))


@requirement("VI-TLS-015")
def test_ca_in_a_changed_secret_is_trusted(sandbox: Sandbox, kind: str) -> None:
    authority, proxy = Authority(), sandbox.new_proxy()
    fields = in_secret(sandbox, kind, sandbox.authority.pem)
    issuer = sandbox.ready_issuer(kind, proxy=proxy, **fields)
    sandbox.issued(issuer)
    proxy.replace_certificate(authority.issue(sandbox.environment.stack.bind))
    sandbox.set_secret(fields["caBundleSecretRef"]["name"], sandbox.home(kind), {"ca.crt": authority.pem})
    wait_noticed(sandbox, kind)
    issued_eventually(sandbox, issuer)


@requirement("VI-TLS-015")
def test_ca_removed_from_the_secret_is_no_longer_trusted(sandbox: Sandbox, kind: str) -> None:
    proxy = sandbox.new_proxy()
    fields = in_secret(sandbox, kind, sandbox.authority.pem)
    issuer = sandbox.ready_issuer(kind, proxy=proxy, **fields)
    sandbox.issued(issuer)
    failures = len(proxy.handshake_failures)
    sandbox.set_secret(fields["caBundleSecretRef"]["name"], sandbox.home(kind), {"ca.crt": Authority().pem})
    # The certificate is as valid as before, and all earlier connections are closed.
    proxy.replace_certificate(sandbox.authority.issue(sandbox.environment.stack.bind))
    wait_noticed(sandbox, kind)
    mark = proxy.mark()
    request = sandbox.request(issuer)
    proxy.wait_for_handshake_failure(sandbox.timeouts.wire, since=failures)
    settle(request)
    assert not request.certificates(), "expected no certificate from a server whose CA left the Secret, saw one"
    assert_silent(proxy, since=mark)


@requirement("VI-TLS-015")
def test_corrected_secret_makes_issuer_ready(sandbox: Sandbox, kind: str) -> None:
    right = {"ca.crt": sandbox.authority.pem}
    late = f"late-{secrets.token_hex(4)}"
    other = in_secret(sandbox, kind, Authority().pem)
    issuers = [
        sandbox.issuer(kind, **fields)
        for fields in (other, other | {"caBundleSecretRef": {"name": late, "key": "ca.crt"}})
    ]
    for issuer in issuers:
        issuer.wait_not_ready("the Secret of its CA bundle is missing or contains another CA")
    sandbox.set_secret(other["caBundleSecretRef"]["name"], sandbox.home(kind), right)
    sandbox.secret(right, namespace=sandbox.home(kind), name=late, secret=False)
    for issuer in issuers:
        issuer.wait_ready("the Secret of its CA bundle is correct now", timeout=sandbox.timeouts.retry)


@requirement("VI-TLS-016")
@PAIRS
def test_secret_of_another_issuer_is_not_trusted(sandbox: Sandbox, kind: str, other_kind: str) -> None:
    authority = Authority()
    shared, own = (sandbox.new_proxy(certificate=authority.issue(sandbox.environment.stack.bind)) for _ in range(2))
    others = in_secret(sandbox, other_kind, authority.pem)
    sandbox.ready_issuer(other_kind, proxy=shared, **others)
    elsewhere = in_secret(sandbox, kind, authority.pem, namespace=sandbox.other_namespace)
    own_secret = in_secret(sandbox, kind, sandbox.authority.pem)
    wrong = {
        "only the Secret of another issuer object contains the CA": {"proxy": own} | own_secret,
        "only the Secret of another issuer object of the same server contains the CA": {"proxy": shared} | own_secret,
        "only a Secret of this name in another namespace contains the CA": {"proxy": own} | elsewhere,
    }
    if kind != other_kind:
        wrong["only another issuer object's Secret in its namespace contains the CA"] = {"proxy": own} | others
    issuers = never_ready(sandbox, kind, wrong)
    for issuer in issuers.values():
        issuer.touch()
    wait_noticed(sandbox, kind)
    assert_not_ready(issuers)
    assert_silent(own)


@requirement("VI-TLS-017")
def test_secret_does_not_extend_the_inline_bundle(sandbox: Sandbox, kind: str) -> None:
    proxy = sandbox.new_proxy()
    both = in_secret(sandbox, kind, sandbox.authority.pem) | {"caBundle": bundle(Authority().pem), "proxy": proxy}
    assert_untrusted(sandbox, kind, {"the server's CA is in the Secret but not in caBundle": both})


# -- serverName ---------------------------------------------------------------------------------


def new_name() -> str:
    return f"vault-{secrets.token_hex(4)}.example.test"


@requirement("VI-TLS-018")
@pytest.mark.parametrize("certificate_for", ["serverName only", "names besides serverName", "a wildcard"])
def test_certificate_is_verified_for_server_name(sandbox: Sandbox, kind: str, certificate_for: str) -> None:
    name = new_name()
    names = {
        "serverName only": [name],
        "names besides serverName": [new_name(), name, "192.0.2.1"],
        "a wildcard": ["*.example.test"],
    }
    proxy = sandbox.new_proxy(certificate=sandbox.authority.issue(*names[certificate_for]))
    issuer = sandbox.issuer(kind, proxy=proxy, serverName=name)
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-TLS-019")
def test_certificate_not_valid_for_server_name_is_rejected(sandbox: Sandbox, kind: str) -> None:
    host, name = sandbox.environment.stack.bind, new_name()
    certificates = {
        "the server certificate is for the host in server only": sandbox.authority.issue(host),
        "the server certificate is for another name": sandbox.authority.issue(new_name(), host, common_name=name),
        "the server certificate is for a longer name": sandbox.authority.issue(f"a.{name}", f"{name}.test"),
        "another CA signed the server certificate": Authority().issue(name, host),
    }
    variants: dict[str, dict[str, Any]] = {
        what: {
            "proxy": sandbox.new_proxy(certificate=certificate),
            "serverName": name,
        }
        | trusting(sandbox)
        for what, certificate in certificates.items()
    }
    assert_untrusted(sandbox, kind, variants)


@requirement("VI-TLS-020")
@pytest.mark.parametrize("feature", [*LOGINS, "client-certificate"])
def test_server_name_is_sent_in_every_handshake(sandbox: Sandbox, kind: str, feature: str) -> None:
    name = new_name()
    proxy = sandbox.new_proxy(certificate=sandbox.authority.issue(name))
    issuer = sandbox.ready_issuer(kind, sandbox.authenticate(feature, kind), proxy=proxy, serverName=name)
    sandbox.issued(issuer)
    for route in (Route.LOGIN, Route.HEALTH, Route.SIGN):
        names = {exchange.server_name for exchange in proxy.seen(route)}
        assert names == {name}, (
            f"expected the SNI name {name} on every connection with a {route.value} request, saw {names}"
        )


# -- the system trust store ---------------------------------------------------------------------


@requirement("VI-TLS-021")
def test_bundle_replaces_the_system_trust_store(sandbox: Sandbox, kind: str) -> None:
    fields = {"proxy": with_system_ca(sandbox), "caBundle": bundle(sandbox.authority.pem)}
    assert_untrusted(sandbox, kind, {"the server's CA is in the system trust store but not in caBundle": fields})


@requirement("VI-TLS-021")
@pytest.mark.parametrize("feature", ["ca-bundle-secret"])
def test_bundle_in_a_secret_replaces_the_system_trust_store(sandbox: Sandbox, kind: str, feature: str) -> None:
    fields = {"proxy": with_system_ca(sandbox)} | in_secret(sandbox, kind, sandbox.authority.pem)
    assert_untrusted(sandbox, kind, {"the server's CA is in the system trust store but not in the Secret": fields})


@requirement("VI-TLS-022")
def test_system_trust_store_is_used_without_a_bundle(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.issuer(kind, proxy=with_system_ca(sandbox), caBundle=None)
    issuer.wait_ready()
    sandbox.issued(issuer)


@requirement("VI-TLS-023")
@pytest.mark.parametrize("feature", ["ca-bundle-secret"])
def test_empty_bundle_in_a_secret_does_not_select_the_system_trust_store(
    sandbox: Sandbox, kind: str, feature: str
) -> None:
    fields = {"proxy": with_system_ca(sandbox)} | in_secret(sandbox, kind, "")
    assert_untrusted(sandbox, kind, {"the value in the Secret is empty": fields})


@requirement("VI-TLS-024")
@alternating(("kind", "form"), [("Issuer", "CRLF"), ("ClusterIssuer", "no final line break")])
def test_line_breaks_of_the_bundle_do_not_matter(sandbox: Sandbox, kind: str, form: str) -> None:
    pem = Authority(f"CA {secrets.token_hex(4)}").pem + sandbox.authority.pem
    text = pem.replace("\n", "\r\n") if form == "CRLF" else pem.rstrip("\n")
    sandbox.ready_issuer(kind, caBundle=bundle(text))


@requirement("VI-TLS-025")
@alternating(("kind",), [("Issuer",)])
def test_bundle_of_a_hundred_certificates_is_accepted(sandbox: Sandbox, kind: str) -> None:
    others = [Authority(f"CA {number} {secrets.token_hex(4)}").pem for number in range(100)]
    sandbox.ready_issuer(kind, caBundle=bundle(*others, sandbox.authority.pem))


@requirement("VI-TLS-026")
@alternating(("kind",), [("ClusterIssuer",)])
def test_expired_certificate_in_the_bundle_does_not_matter(sandbox: Sandbox, kind: str) -> None:
    expired = Authority().issue("expired.example.test", expired=True).certificate_chain_pem
    sandbox.ready_issuer(kind, caBundle=bundle(expired, sandbox.authority.pem))


@requirement("VI-TLS-027")
def test_server_with_tls_1_3_only_is_accepted(sandbox: Sandbox, kind: str) -> None:
    sandbox.issued(sandbox.ready_issuer(kind, proxy=sandbox.new_proxy(only_tls13=True)))


@requirement("VI-TLS-028")
@pytest.mark.parametrize("feature", ["ca-bundle-secret"])
def test_bundle_in_a_secret_may_have_any_form(sandbox: Sandbox, kind: str, feature: str) -> None:
    pem = f"# one of our CAs\n\n{Authority(f'CA {secrets.token_hex(4)}').pem}\n{sandbox.authority.pem}"
    for text in (pem.rstrip("\n"), pem.replace("\n", "\r\n")):
        sandbox.ready_issuer(kind, **in_secret(sandbox, kind, text))


@requirement("VI-TLS-029")
@alternating(("kind",), [("Issuer",)])
def test_bundle_with_a_repeated_certificate_is_accepted(sandbox: Sandbox, kind: str) -> None:
    other = Authority(f"CA {secrets.token_hex(4)}").pem
    sandbox.ready_issuer(kind, caBundle=bundle(other, sandbox.authority.pem, other, sandbox.authority.pem))
