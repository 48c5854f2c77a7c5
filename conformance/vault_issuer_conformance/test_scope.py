"""The issuer object of a request, the place of its credentials, and the isolation of issuer objects."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from typing import Any

import pytest

from pytest_vault_issuer import (
    FEATURES,
    Authentication,
    CertificateRequest,
    Hold,
    InexpressibleError,
    Issuer,
    Pki,
    Proxy,
    RefusedError,
    Respond,
    Route,
    Sandbox,
    Unmet,
    UnsupportedError,
    at_barrier,
    ready_status,
    requirement,
)

from .helpers import LOGINS, alternating, bundle, claimed, each_feature, wait_held, with_fields

IN_SECRETS = pytest.mark.parametrize("feature", ["token", "approle", "kubernetes-static"])
ISSUER = pytest.param("Issuer", marks=requirement("VI-SCOPE-001"))
CLUSTER_ISSUER = pytest.param("ClusterIssuer", marks=requirement("VI-SCOPE-002"))


def another_pki(sandbox: Sandbox) -> Pki:
    """Return another role of the test's PKI: another sign path without the cost of a mount."""
    pki = replace(sandbox.pki, role=f"role-{secrets.token_hex(4)}")
    sandbox.vault.set_pki_role(pki)
    return pki


def spread_decoys(sandbox: Sandbox, auth: Authentication, policy: str) -> list[str]:
    """Create Secrets of the same name with other valid credentials in namespaces that are not the issuer object's."""
    places = {sandbox.environment.cluster_resource_namespace, sandbox.namespace, sandbox.other_namespace} - {
        auth.namespace
    }
    decoys = []
    for namespace in sorted(places):
        if auth.approle is not None:
            decoys.append(sandbox.vault.new_secret_id(auth.approle.mount, auth.approle.name))
        elif auth.role is not None:
            decoys.append(sandbox.cluster.create_token(auth.service_account, auth.namespace))
        else:
            decoys.append(sandbox.vault.token(policy))
        sandbox.secret({auth.secret_key: decoys[-1]}, namespace=namespace, name=auth.secret_name)
    return decoys


def presented(sandbox: Sandbox, credential: str) -> bool:
    """Whether any request to Vault contains a credential."""
    return any(
        credential.encode() in exchange.body or any(credential in value for _, value in exchange.headers)
        for proxy in sandbox.proxies
        for exchange in proxy.exchanges
    )


def tokens_of(proxy: Proxy, auth: Authentication) -> set[str]:
    """Return the Vault tokens that belong to an authentication."""
    if auth.feature == "token":
        return {auth.credential}
    own = auth.role.name if auth.role else auth.approle.role_id if auth.approle else ""
    return {
        str((login.response_json.get("auth") or {}).get("client_token"))
        for login in proxy.seen(Route.LOGIN)
        if login.path == auth.login_path and own in (login.json.get("role"), login.json.get("role_id"))
    }


def assert_signed(sandbox: Sandbox, request: CertificateRequest, proxy: Proxy, pki: Pki, auth: Authentication) -> None:
    """Check that a request was signed at the server and path of an issuer object with its own credentials."""
    signings = sandbox.signings(request)
    assert signings, f"expected a sign request to Vault for {request}, saw none"
    here = [exchange for exchange in proxy.seen(Route.SIGN) if exchange in signings]
    assert here == signings, f"expected {request} signed only at its own server, saw another server"
    for signing in signings:
        assert signing.path == f"/v1/{pki.sign_path}", f"expected {request} signed at its own path"
        assert signing.token in tokens_of(proxy, auth), (
            f"expected {request} signed with its own credentials, saw others"
        )


@IN_SECRETS
@pytest.mark.parametrize("kind", [ISSUER, CLUSTER_ISSUER])
def test_secret_is_read_from_the_right_namespace(sandbox: Sandbox, kind: str, feature: str) -> None:
    policy = sandbox.sign_policy()
    auth = sandbox.authenticate(feature, kind, policy=policy)
    decoys = spread_decoys(sandbox, auth, policy)
    sandbox.issued(sandbox.ready_issuer(kind, auth), namespace=sandbox.namespace)
    assert presented(sandbox, auth.credential), "expected the credential of the right namespace, saw none"
    assert not any(presented(sandbox, decoy) for decoy in decoys), (
        "expected no credential from a Secret of the same name in another namespace, saw one"
    )


@IN_SECRETS
@pytest.mark.parametrize("kind", [ISSUER, CLUSTER_ISSUER])
def test_secret_in_another_namespace_is_not_read(sandbox: Sandbox, kind: str, feature: str) -> None:
    policy = sandbox.sign_policy()
    auth = sandbox.authenticate(feature, kind, policy=policy)
    decoys = spread_decoys(sandbox, auth, policy)
    sandbox.delete_secret(auth.secret_name, auth.namespace)
    sandbox.expect_rejected(kind, auth)
    for issuer in sandbox.issuers:
        sandbox.request(issuer, namespace=sandbox.namespace)
    rejected = list(sandbox.issuers)
    with at_barrier():
        right = sandbox.ready_issuer(kind)
    sandbox.barrier(right)
    assert not any(presented(sandbox, decoy) for decoy in decoys), (
        "expected no credential from a Secret of the same name in another namespace, saw one"
    )
    for issuer in rejected:
        assert ready_status(issuer.get()) != "True", f"expected {issuer} not to become Ready, saw Ready=True"


@requirement("VI-SCOPE-003")
@pytest.mark.parametrize("kind", ["ClusterIssuer"])
def test_cluster_issuer_signs_requests_from_any_namespace(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.issuer(kind)
    places = [sandbox.namespace, sandbox.other_namespace]
    requests = [sandbox.request(issuer, namespace=namespace) for namespace in places]
    issuer.wait_ready()
    requests.append(sandbox.request(issuer, namespace=sandbox.new_namespace()))
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)
        assert request.signing.matches(request.certificate()), (
            f"expected a certificate for the key of {request}, saw one for another key"
        )


@requirement("VI-SCOPE-004")
@pytest.mark.parametrize("kind", ["Issuer"])
def test_issuer_in_another_namespace_does_not_sign(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer, namespace=sandbox.other_namespace)
    sandbox.barrier(issuer)
    asked = len(sandbox.signings(request))
    assert not asked, f"expected no sign request through an Issuer in another namespace, saw {asked}"

    pki = another_pki(sandbox)
    auth = sandbox.default_authentication(kind, pki=pki, namespace=sandbox.other_namespace)
    sandbox.ready_issuer(kind, auth, name=issuer.name, namespace=sandbox.other_namespace, pki=pki)
    request.wait_issued(timeout=sandbox.timeouts.retry)
    assert_signed(sandbox, request, sandbox.proxy, pki, auth)


@requirement("VI-SCOPE-005")
def test_issuer_kind_decides_between_issuers_of_the_same_name(sandbox: Sandbox) -> None:
    name = sandbox.issuer_name()
    pkis = {"Issuer": sandbox.pki, "ClusterIssuer": another_pki(sandbox)}
    auths = {kind: sandbox.default_authentication(kind, pki=pki) for kind, pki in pkis.items()}
    issuers = {kind: sandbox.issuer(kind, auths[kind], name=name, pki=pki) for kind, pki in pkis.items()}
    for issuer in issuers.values():
        issuer.wait_ready()
    references = [(issuer.ref, kind) for kind, issuer in issuers.items()]
    if issuers["Issuer"].resource.group == "cert-manager.io":
        references.append(({"name": name}, "Issuer"))
    requests = [
        (sandbox.request(issuers[kind], namespace=sandbox.namespace, issuer_ref=reference), kind)
        for reference, kind in references
    ]
    for request, kind in requests:
        request.wait_issued()
        assert_signed(sandbox, request, sandbox.proxy, pkis[kind], auths[kind])


@requirement("VI-SCOPE-005")
def test_issuer_of_the_other_kind_does_not_sign(sandbox: Sandbox) -> None:
    issuers = [sandbox.ready_issuer("Issuer"), sandbox.ready_issuer("ClusterIssuer")]
    wrong: list[tuple[Issuer, CertificateRequest]] = []
    for issuer, other in zip(issuers, reversed(issuers), strict=True):
        # The reference has the kind of one object and the name of the other.
        reference = issuer.ref | {"name": other.name}
        wrong.append((other, sandbox.request(other, namespace=sandbox.namespace, issuer_ref=reference)))
    if issuers[0].resource.group == "cert-manager.io":
        reference = {"name": issuers[1].name}
        wrong.append((issuers[1], sandbox.request(issuers[1], namespace=sandbox.namespace, issuer_ref=reference)))
    for issuer in issuers:
        sandbox.barrier(issuer, namespace=sandbox.namespace)
    for other, request in wrong:
        asked = len(sandbox.signings(request))
        assert not asked, f"expected no sign request for {request} through {other} of the other kind, saw {asked}"


@requirement("VI-SCOPE-006")
@each_feature(FEATURES, ("Issuer", "Issuer"))
def test_request_uses_the_credentials_of_the_named_issuer(sandbox: Sandbox, kind: str, feature: str) -> None:
    pkis = [sandbox.pki, another_pki(sandbox)]
    auths = [sandbox.authenticate(feature, kind, pki=pkis[0])]
    mount = auths[0].approle or auths[0].role
    shared = {"mount": mount.mount} if mount else {}
    auths.append(sandbox.authenticate(feature, kind, pki=pkis[1], **shared))
    check_two_issuers(sandbox, kind, [sandbox.proxy, sandbox.proxy], pkis, auths)


@requirement("VI-SCOPE-006")
def test_request_uses_the_server_and_method_of_the_named_issuer(sandbox: Sandbox, kind: str) -> None:
    features = claimed(sandbox)
    pkis = [sandbox.pki, another_pki(sandbox)]
    auths = [
        sandbox.authenticate(feature, kind, pki=pki)
        for feature, pki in zip((features[0], features[-1]), pkis, strict=True)
    ]
    check_two_issuers(sandbox, kind, [sandbox.proxy, sandbox.new_proxy()], pkis, auths)


@requirement("VI-SCOPE-006")
@each_feature(("kubernetes-static", "kubernetes-secretless"))
def test_request_uses_the_role_of_the_named_issuer(sandbox: Sandbox, kind: str, feature: str) -> None:
    # The issuer objects share a service account. Only the role in Vault differs.
    pkis = [sandbox.pki, another_pki(sandbox)]
    auth = sandbox.authenticate(feature, kind, pki=pkis[0])
    assert auth.role is not None
    role = sandbox.vault.kubernetes_role(
        sandbox.sign_policy(pkis[1]),
        service_account=auth.service_account,
        namespace=auth.namespace,
        mount=auth.role.mount,
    )
    auths = [auth, replace(auth, spec=with_fields(auth, role=role.name), role=role)]
    check_two_issuers(sandbox, kind, [sandbox.proxy, sandbox.proxy], pkis, auths)


def check_two_issuers(
    sandbox: Sandbox, kind: str, proxies: list[Proxy], pkis: list[Pki], auths: list[Authentication]
) -> None:
    """Check that interleaved requests for two issuer objects each use the settings of their own."""
    settings = list(zip(proxies, pkis, auths, strict=True))
    issuers = [sandbox.issuer(kind, auth, proxy=proxy, pki=pki) for proxy, pki, auth in settings]
    for issuer in issuers:
        issuer.wait_ready()
    requests = [sandbox.request(issuers[turn % 2]) for turn in range(4)]
    for turn, request in enumerate(requests):
        request.wait_issued()
        assert_signed(sandbox, request, *settings[turn % 2])


@requirement("VI-SCOPE-006")
@each_feature(LOGINS)
@pytest.mark.holds_controller
def test_interleaved_request_uses_its_own_issuer(sandbox: Sandbox, kind: str, feature: str) -> None:
    pkis, proxies = [sandbox.pki, another_pki(sandbox)], [sandbox.proxy, sandbox.new_proxy()]
    auths = [sandbox.authenticate(feature, kind, pki=pki) for pki in pkis]
    settings = list(zip(proxies, pkis, auths, strict=True))
    issuers = [sandbox.ready_issuer(kind, auth, proxy=proxy, pki=pki) for proxy, pki, auth in settings]
    for issuer in issuers:
        sandbox.issued(issuer)  # the controller has now also processed its own status updates
    hold = Hold()
    # A controller that still has the token of an earlier login only sends a sign request.
    proxies[0].inject(None, hold, where=lambda exchange: exchange.route in (Route.LOGIN, Route.SIGN))
    held = sandbox.request(issuers[0])
    wait_held(sandbox, hold, "a login or a sign request for the request")
    between = sandbox.request(issuers[1])
    with contextlib.suppress(Unmet):  # another requirement covers a hanging Vault
        between.wait_issued(timeout=sandbox.timeouts.request / 4)
    hold.release()
    held.wait_issued(timeout=sandbox.timeouts.retry)
    between.wait_issued(timeout=sandbox.timeouts.retry)
    for request, setting in zip((held, between), settings, strict=True):
        assert_signed(sandbox, request, *setting)


@requirement("VI-SCOPE-006")
@alternating(("kind",), [("Issuer",)])
def test_request_uses_an_issuer_that_replaced_another_of_its_name(sandbox: Sandbox, kind: str) -> None:
    # Both have the generation 1: settings that a controller keeps by name and generation would be those of the first.
    pkis, proxies = [sandbox.pki, another_pki(sandbox)], [sandbox.proxy, sandbox.new_proxy()]
    auths = [sandbox.default_authentication(kind, pki=pki) for pki in pkis]
    settings = list(zip(proxies, pkis, auths, strict=True))
    first = sandbox.ready_issuer(kind, auths[0], proxy=proxies[0], pki=pkis[0])
    assert_signed(sandbox, sandbox.issued(first), *settings[0])
    first.delete()
    gone = sandbox.cluster.wait_gone(first.resource, first.name, first.namespace, timeout=sandbox.timeouts.deletion)
    assert gone, f"expected {first} to be gone after its deletion, saw it present"
    second = sandbox.ready_issuer(kind, auths[1], proxy=proxies[1], pki=pkis[1], name=first.name)
    assert_signed(sandbox, sandbox.issued(second), *settings[1])


@requirement("VI-SCOPE-007")
@pytest.mark.holds_controller
def test_broken_issuers_do_not_affect_others(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    absent = {"name": f"absent-{secrets.token_hex(4)}", "key": "token"}
    sealed = sandbox.new_proxy()
    sealed.inject(None, Respond(503, json={"errors": ["Vault is sealed"]}))
    wrong: list[dict[str, Any]] = [
        {"auth": {"tokenSecretRef": absent}},
        {"auth": {"appRole": {"path": "absent", "roleId": "absent", "secretRef": absent}}},
        {"auth": {"kubernetes": {"role": "absent", "serviceAccountRef": {"name": absent["name"]}}}},
        {"auth": {}},
        {"server": "://"},
        {"caBundle": bundle("not a certificate")},
        {"server": sealed.url},
    ]
    broken = []
    for vault in wrong:
        try:
            broken.append(sandbox.issuer(kind, **({"auth": auth} | vault)))
        except (RefusedError, InexpressibleError):
            continue  # an object that does not exist cannot affect others
    for issuer in broken:
        sandbox.request(issuer, namespace=sandbox.namespace)
    sealed.wait_for(None, timeout=sandbox.timeouts.wire, what="a request to the sealed Vault")

    right = [sandbox.ready_issuer(each) for each in dict.fromkeys([*sandbox.environment.kinds, kind])]
    for issuer in right:
        sandbox.issued(issuer, namespace=sandbox.namespace)
    for issuer in right:
        assert ready_status(issuer.get()) == "True", f"expected {issuer} to stay Ready, saw it not Ready"
    for issuer in broken:
        assert ready_status(issuer.get()) != "True", f"expected {issuer} not to become Ready, saw Ready=True"


@requirement("VI-SCOPE-008")
@pytest.mark.holds_controller
def test_hanging_vault_does_not_affect_others(sandbox: Sandbox, kind: str) -> None:
    if sandbox.environment.concurrency in (1, 2):
        raise UnsupportedError(
            "the controller cannot work on another object while two requests to Vault hang",
            hint="[run] concurrency states how many objects it works on at once",
        )
    # The hanging requests may also block tests that run in parallel: keep it short, so that these can go on.
    short = sandbox.timeouts.issuer / 4
    auth = sandbox.default_authentication(kind)
    signing, checking = Hold(), Hold()
    proxy = sandbox.new_proxy()
    issuer = sandbox.ready_issuer(kind, auth, proxy=proxy)
    proxy.inject(None, signing, times=1)
    sandbox.request(issuer)
    assert signing.arrived.wait(short), f"expected a request to Vault within {short:g} s, saw none"
    proxy.inject(None, checking)
    sandbox.issuer(kind, auth, proxy=proxy)
    assert checking.arrived.wait(short), (
        f"expected a check of the new issuer object within {short:g} s while a request to Vault hangs, saw none"
    )
    # Both calls hang until the test ends.
    other = sandbox.issuer(kind, auth)
    other.wait_ready("only requests of another issuer object hang", timeout=short)
    sandbox.request(other).wait_issued(timeout=short)


@requirement("VI-SCOPE-009")
def test_longest_names_work(sandbox: Sandbox, kind: str) -> None:
    def longest(prefix: str) -> str:
        return f"{prefix}-{secrets.token_hex(126)}"[:252] + "a"

    namespace = sandbox.new_namespace(length=63)
    auth = sandbox.default_authentication(kind, namespace=namespace if kind == "Issuer" else None)
    try:
        issuer = sandbox.ready_issuer(kind, auth, name=longest("issuer"), namespace=namespace)
    except (InexpressibleError, RefusedError) as error:
        sandbox.left_out.append(error)
        issuer = sandbox.ready_issuer(kind, auth, namespace=namespace)
    sandbox.issued(issuer, name=longest("request"), namespace=namespace)
