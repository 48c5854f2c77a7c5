"""What becomes of a CertificateRequest: approval, its conditions, and when it is final."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from pytest_vault_issuer.cluster.api import SERVICE_ACCOUNTS, Object, condition
from pytest_vault_issuer.errors import NotRunnable
from pytest_vault_issuer.issuer import Authentication, CertificateRequest, Issuer, SigningRequest
from pytest_vault_issuer.issuer.csr import names_of
from pytest_vault_issuer.marks import requirement
from pytest_vault_issuer.proxy import Fault, Hold, ResetBefore, Respond, Route
from pytest_vault_issuer.sandbox import FEATURES, Sandbox
from pytest_vault_issuer.vault import Pki

from .helpers import (
    LOGINS,
    claimed,
    for_each_kind,
    in_turn,
    picky_pki,
    set_transition_time,
    settle,
    transition_time,
    with_secret,
)

#: The clocks of the API server, the implementation and the suite may differ by this.
CLOCKS = timedelta(minutes=1)


def for_host(name: str) -> SigningRequest:
    return SigningRequest.build(name, dns=[name])


def failed(sandbox: Sandbox, issuer: Issuer) -> CertificateRequest:
    """A request with a name that is not allowed, refused by Vault."""
    request = sandbox.request(issuer, for_host(f"{secrets.token_hex(4)}.refused.test"))
    request.wait_failed()
    return request


def denied(sandbox: Sandbox, issuer: Issuer, **fields: str) -> CertificateRequest:
    """A request denied before anything else happened to it."""
    request = sandbox.request(issuer, approve=False)
    request.deny(**fields)
    return request


def certificate_of(request: CertificateRequest) -> str:
    return str(request.get().get("status", {}).get("certificate") or "")


def assert_not_signed(sandbox: Sandbox, request: CertificateRequest, why: str) -> None:
    assert not sandbox.signings(request), f"Vault was not to be asked to sign a request {why}"
    assert not certificate_of(request), f"a request {why} was to have no certificate"


def assert_unfinished(sandbox: Sandbox, request: CertificateRequest, why: str) -> None:
    assert_not_signed(sandbox, request, why)
    reason = request.condition().get("reason")
    assert reason not in ("Failed", "Denied"), f"a request {why} was not to be given up, its reason is {reason}"


# -- signing and approval -------------------------------------------------------------------


@requirement("VI-REQUEST-001")
@pytest.mark.parametrize(
    ("kind", "feature"),
    in_turn(FEATURES),
)
def test_issued_comes_with_the_certificate(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, sandbox.authenticate(feature, kind))
    hold = Hold()
    sandbox.proxy.inject(Route.SIGN, hold)
    request = sandbox.request(issuer)

    def ready(item: Object) -> bool:
        hold.release()  # only now that every change of the request is watched
        return condition(item, "Ready").get("status") == "True"

    item = request.wait(ready, "to be Ready", timeout=sandbox.timeouts.request)
    assert condition(item, "Ready").get("reason") == "Issued", "the reason of Ready=True was to be Issued"
    assert item["status"].get("certificate"), "Ready=True was to come together with status.certificate"
    signings = [exchange for exchange in sandbox.signings(request) if exchange.status == 200]
    assert signings, "Vault was to sign"
    answer = x509.load_pem_x509_certificate(signings[-1].response_json["data"]["certificate"].encode())
    assert request.certificate() == answer, "the certificate was to be the one Vault signed"


@requirement("VI-REQUEST-002")
@pytest.mark.usefixtures("only_we_approve")
def test_approval_is_waited_for(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer, approve=False)
    request.touch()
    sandbox.barrier(issuer)
    assert_not_signed(sandbox, request, "that is not approved")
    request.approve()
    request.wait_issued()


@requirement("VI-REQUEST-002")
@pytest.mark.usefixtures("only_we_approve")
@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_condition_that_is_not_true_is_no_approval(sandbox: Sandbox, kind: str, status: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer, approve=False)
    request.approve(status=status)
    request.touch()
    sandbox.barrier(issuer)
    assert_not_signed(sandbox, request, f"whose condition Approved is {status}")


@requirement("VI-REQUEST-002")
@pytest.mark.usefixtures("only_we_approve")
@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_condition_that_is_not_true_is_no_denial(sandbox: Sandbox, kind: str, status: str) -> None:
    request = sandbox.request(sandbox.ready_issuer(kind), approve=False)
    request.deny(status=status)
    request.approve()
    request.wait_issued()


@requirement("VI-REQUEST-003")
@pytest.mark.usefixtures("only_we_approve")
def test_denied_request_is_not_signed(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    waiting = sandbox.request(issuer, approve=False)
    sandbox.barrier(issuer)
    waiting.deny()
    at_once = denied(sandbox, issuer)
    sandbox.barrier(issuer)
    assert_not_signed(sandbox, waiting, "that was denied after a while")
    assert_not_signed(sandbox, at_once, "that was denied at once")


@requirement("VI-REQUEST-004")
@pytest.mark.usefixtures("only_we_approve")
def test_denied_request_becomes_denied(sandbox: Sandbox, kind: str) -> None:
    item = denied(sandbox, sandbox.ready_issuer(kind)).wait_reason("Denied")
    assert condition(item, "Ready").get("status") == "False", "Ready was to be False on a denied request"


@requirement("VI-REQUEST-004")
@pytest.mark.usefixtures("only_we_approve")
def test_denied_request_becomes_denied_whatever_its_issuer_is_like(sandbox: Sandbox, kind: str) -> None:
    # Not initialised: what Vault's client library does not try again by itself.
    sandbox.proxy.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    issuer = sandbox.issuer(kind)
    issuer.wait_not_ready("Vault is not initialized")
    denied(sandbox, issuer).wait_reason("Denied")


@requirement("VI-REQUEST-005")
@pytest.mark.usefixtures("only_we_approve")
def test_approval_is_left_to_others(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer, approve=False)
    sandbox.barrier(issuer)
    decisions = {entry["type"] for entry in request.conditions()} & {"Approved", "Denied"}
    assert not decisions, f"the implementation was not to decide about a request, it set {decisions}"


@requirement("VI-REQUEST-006")
@pytest.mark.usefixtures("only_we_approve")
def test_decision_is_left_as_it_was(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)

    def decision() -> dict[str, str]:
        long_ago = datetime.now(UTC) - timedelta(hours=1 + secrets.randbelow(1000))
        return {
            "reason": f"reason-{secrets.token_hex(4)}",
            "message": f"decided by {secrets.token_hex(8)}",
            "lastTransitionTime": long_ago.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    cases = []
    for final, name in (("Issued", f"a.{domain}"), ("Failed", "b.refused.test"), ("Denied", f"c.{domain}")):
        fields = decision()
        request = sandbox.request(issuer, for_host(name), approve=False)
        kind_of_decision = "Denied" if final == "Denied" else "Approved"
        if kind_of_decision == "Denied":
            request.deny(**fields)
        else:
            request.approve(**fields)
        cases.append((request, final, {"type": kind_of_decision, "status": "True"} | fields))
    for request, final, expected in cases:
        if final == "Denied":  # an issuer that leaves it alone breaks another requirement, not this one
            sandbox.barrier(issuer, signing=for_host(f"d.{domain}"))
        else:
            request.wait_reason(final)
        decisions = [entry for entry in request.conditions() if entry["type"] in ("Approved", "Denied")]
        assert decisions == [expected], f"the decision was to be left as it was when the request became {final}"


@requirement("VI-REQUEST-014")
def test_request_of_another_group_is_left_alone(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    ref = issuer.ref | {"group": f"{secrets.token_hex(4)}.example.invalid"}
    request = sandbox.request(issuer, issuer_ref=ref)
    sandbox.barrier(issuer)
    assert_not_signed(sandbox, request, "of another group")
    set_by_others = [entry for entry in request.conditions() if entry["type"] != "Approved"]
    assert not set_by_others, f"a request of another group was to get no condition, it has {set_by_others}"


def ca_issuer(sandbox: Sandbox, vault: Issuer) -> dict[str, str]:
    """Create a CA issuer and return the reference to it.

    It is of the kind of the Vault issuer where that has other types, else of cert-manager's own kind and has the
    Vault issuer's name.
    """
    api = "cert-manager.io/v1"
    if (vault.resource.api_version, vault.type.vault_at) == (api, ("spec", "vault")):
        resource, kind, name = vault.resource, vault.kind, sandbox.issuer_name()
    else:
        kind = "ClusterIssuer" if vault.type.cluster_scoped else "Issuer"
        resource, name = sandbox.cluster.discover(api, kind), vault.name
    metadata = {"name": name, "labels": sandbox.labels} | ({"namespace": vault.namespace} if vault.namespace else {})
    # Its Secret does not exist: where there is a controller for CA issuers, its requests wait.
    spec = {"ca": {"secretName": f"absent-{name}"}}
    sandbox.cluster.create(resource, {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})
    sandbox.remove_later(sandbox.cluster.delete, resource, name, vault.namespace)
    return {"name": name, "kind": kind, "group": resource.group}


@requirement("VI-REQUEST-014")
def test_request_of_another_issuer_type_is_left_alone(sandbox: Sandbox, kind: str) -> None:
    vault = sandbox.ready_issuer(kind)
    request = sandbox.request(vault, issuer_ref=ca_issuer(sandbox, vault))
    sandbox.barrier(vault)
    assert_unfinished(sandbox, request, "of a CA issuer")


# -- failure and finality -----------------------------------------------------------------


@requirement("VI-REQUEST-007")
def test_refused_request_fails(sandbox: Sandbox, kind: str) -> None:
    pki, _ = picky_pki(sandbox)
    request = failed(sandbox, sandbox.ready_issuer(kind, pki=pki))
    assert request.condition().get("status") == "False", "Ready was to be False on a failed request"
    assert [exchange.status for exchange in sandbox.signings(request)][-1:] == [400], (
        "Vault was to be asked, and refuse"
    )
    assert not certificate_of(request), "a failed request was to have no certificate"


@requirement("VI-REQUEST-008")
def test_failure_time_of_a_failed_request(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    request = failed(sandbox, issuer)
    failure_time(request)
    assert_failure_time_stays(sandbox, request, issuer, signing=for_host(f"a.{domain}"))


@requirement("VI-REQUEST-008")
@pytest.mark.usefixtures("only_we_approve")
def test_failure_time_of_a_denied_request(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = denied(sandbox, issuer)
    request.wait_reason("Denied")
    failure_time(request)
    assert_failure_time_stays(sandbox, request, issuer)


def failure_time(request: CertificateRequest) -> datetime:
    """The request's failureTime, seen to be between its creation and now."""
    item = request.get()
    stated = item["status"].get("failureTime")
    assert stated, "status.failureTime was to be set"
    time, created = (datetime.fromisoformat(text) for text in (stated, item["metadata"]["creationTimestamp"]))
    now = datetime.now(UTC)
    assert created - CLOCKS <= time <= now + CLOCKS, f"status.failureTime was to be between {created} and {now}"
    return time


def assert_failure_time_stays(
    sandbox: Sandbox, request: CertificateRequest, issuer: Issuer, **barrier: SigningRequest
) -> None:
    # Times have whole seconds: one that is written anew a moment later can be told from an old one only.
    long_ago = (datetime.now(UTC) - timedelta(hours=1 + secrets.randbelow(1000))).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"status": {"failureTime": long_ago}}
    sandbox.cluster.patch(request.resource, request.name, request.namespace, body, subresource="status")
    request.touch()
    sandbox.barrier(issuer, **barrier)
    time = request.get()["status"].get("failureTime")
    assert time == long_ago, f"status.failureTime was to stay {long_ago} when the request's metadata changed"


def with_other_role(sandbox: Sandbox, kind: str, pki: Pki) -> tuple[Authentication, Pki]:
    """A permissive second role of a PKI's mount, and an authentication that may sign with both."""
    other = Pki(pki.mount, f"role-{secrets.token_hex(4)}", pki.issuing)
    sandbox.vault.set_pki_role(other)
    return sandbox.default_authentication(kind, policy=sandbox.vault.policy(pki.sign_path, other.sign_path)), other


def change_path(issuer: Issuer, pki: Pki) -> None:
    """Give an issuer a new generation: it signs with another role from now on."""
    issuer.change(lambda vault: vault.update(path=pki.sign_path))
    issuer.wait_ready()


@requirement("VI-REQUEST-009")
def test_failed_request_is_final(sandbox: Sandbox, kind: str) -> None:
    pki, _ = picky_pki(sandbox)
    auth, other = with_other_role(sandbox, kind, pki)
    issuer = sandbox.ready_issuer(kind, auth, pki=pki)
    request = failed(sandbox, issuer)
    sandbox.vault.set_pki_role(pki)
    sandbox.barrier(issuer)  # what an implementation writes may be in its own cache later than a test sees it
    attempts = len(sandbox.signings(request))
    assert attempts, "Vault was to be asked to sign"
    request.touch()
    change_path(issuer, other)
    sandbox.barrier(issuer)
    assert request.condition().get("reason") == "Failed", "a failed request was to stay Failed"
    assert len(sandbox.signings(request)) == attempts, "a failed request was not to be sent to Vault again"
    assert not certificate_of(request), "a failed request was to have no certificate"


@requirement("VI-REQUEST-010")
def test_issued_request_is_final(sandbox: Sandbox, kind: str) -> None:
    auth, other = with_other_role(sandbox, kind, sandbox.pki)
    issuer = sandbox.ready_issuer(kind, auth)
    request = sandbox.issued(issuer)
    sandbox.barrier(issuer)  # as above
    certificate, signings = certificate_of(request), len(sandbox.signings(request))
    request.touch()
    if auth.secret_name:
        policy = sandbox.vault.policy(other.sign_path)
        credential = sandbox.vault.token(policy) if auth.feature == "token" else auth.credential
        sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: credential, "changed": "yes"})
    change_path(issuer, other)
    sandbox.barrier(issuer)
    assert len(sandbox.signings(request)) == signings, "an issued request was not to be sent to Vault again"
    assert certificate_of(request) == certificate, "the certificate was to stay"
    assert request.condition().get("reason") == "Issued", "an issued request was to stay Issued"


# -- issuers that are not there, not Ready, or cannot reach Vault -------------------------------


@requirement("VI-REQUEST-011")
def test_request_waits_for_its_issuer_to_be_created(sandbox: Sandbox, kind: str) -> None:
    present = sandbox.ready_issuer(kind)
    name = sandbox.issuer_name()
    references = [present.ref | {"name": name}]
    if kind == "Issuer" and present.resource.group == "cert-manager.io":
        references.append({"name": name})  # which means the same
    requests = [sandbox.request(present, issuer_ref=reference) for reference in references]
    sandbox.barrier(present)
    for request in requests:
        assert_unfinished(sandbox, request, "whose issuer is absent")
    sandbox.issuer(kind, name=name)
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-REQUEST-011")
def test_request_waits_for_its_issuer_to_be_ready(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    if not auth.secret_name:
        raise NotRunnable("the implementation supports no way of authenticating with a Secret")
    present = sandbox.ready_issuer(kind, auth)
    absent = f"absent-{secrets.token_hex(4)}"
    issuer = sandbox.issuer(kind, with_secret(auth, absent))
    issuer.wait_not_ready("its Secret is missing")
    request = sandbox.request(issuer)
    sandbox.barrier(present)
    assert_unfinished(sandbox, request, "whose issuer is not Ready")
    sandbox.secret({auth.secret_key: auth.credential}, namespace=auth.namespace, name=absent)
    request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-REQUEST-012")
def test_deleted_issuer_signs_no_more(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    proxy = sandbox.new_proxy()
    issuer = sandbox.ready_issuer(kind, auth, proxy=proxy)
    sandbox.issued(issuer)
    issuer.delete()
    gone = sandbox.cluster.wait_gone(issuer.resource, issuer.name, issuer.namespace, timeout=sandbox.timeouts.deletion)
    assert gone, f"{issuer} was to be gone after its deletion"
    # Created after the deletion and seen Ready: by now the implementation knows of the deletion.
    other = sandbox.ready_issuer(kind, auth)
    mark = proxy.mark()
    request = sandbox.request(issuer)
    sandbox.barrier(other)
    assert_not_signed(sandbox, request, "whose issuer was deleted")
    calls = [exchange.summary for exchange in proxy.seen(since=mark) if exchange.route in (Route.LOGIN, Route.SIGN)]
    assert not calls, f"the deleted issuer's configuration was not to be used: {calls}"


@requirement("VI-REQUEST-013")
@pytest.mark.slow
def test_outage_at_login_is_survived(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        logins = claimed(sandbox, LOGINS)
        if not logins:
            raise NotRunnable("the implementation supports no way of authenticating with a login")
        # Vault's client library tries three times where a second attempt may help: the outage outlasts that.
        # Some outlast the attempt, too, that the change of the request's own status leads to.
        faults: list[tuple[str, Fault, int]] = [
            (logins[0], Respond(500, json={"errors": ["internal error"]}), 3),
            (logins[0], Respond(503, json={"errors": ["Vault is sealed"]}), 3),
            (logins[0], ResetBefore(), 6),
            *((login, Respond(403, json={"errors": ["permission denied"]}), 2) for login in logins),
        ]
        auths = {login: sandbox.authenticate(login, kind) for login in logins}
        proxies = [sandbox.new_proxy() for _ in faults]
        issuers = [
            sandbox.issuer(kind, auths[login], proxy=proxy) for (login, *_), proxy in zip(faults, proxies, strict=True)
        ]
        requests = []
        for issuer, proxy, (_, fault, times) in zip(issuers, proxies, faults, strict=True):
            issuer.wait_ready()
            proxy.inject(Route.LOGIN, fault, times=times)
            requests.append(sandbox.request(issuer))
        for request in requests:
            request.wait_issued(timeout=sandbox.timeouts.retry)

    for_each_kind(sandbox, check)


@requirement("VI-REQUEST-013")
@pytest.mark.slow
@pytest.mark.parametrize("feature", ["kubernetes-secretless"])
def test_missing_service_account_is_survived(sandbox: Sandbox, feature: str) -> None:
    def check(kind: str) -> None:
        auth = sandbox.authenticate(feature, kind)
        issuer = sandbox.ready_issuer(kind, auth)
        sandbox.issued(issuer)
        sandbox.cluster.delete(SERVICE_ACCOUNTS, auth.service_account, auth.namespace)
        request = sandbox.request(issuer)
        settle(request)
        assert_unfinished(sandbox, request, "whose issuer has no service account at the moment")
        sandbox.service_account(auth.namespace, name=auth.service_account, grant=False)
        request.wait_issued(timeout=sandbox.timeouts.retry)

    for_each_kind(sandbox, check)


@requirement("VI-REQUEST-017")
def test_request_that_waits_is_pending(sandbox: Sandbox, kind: str) -> None:
    present = sandbox.ready_issuer(kind)
    # Not initialised: what Vault's client library does not try again by itself.
    proxy = sandbox.new_proxy()
    proxy.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    broken = sandbox.issuer(kind, proxy=proxy)
    broken.wait_not_ready("Vault is not initialized")
    waiting = [
        sandbox.request(present, issuer_ref=present.ref | {"name": sandbox.issuer_name()}),
        sandbox.request(broken),
    ]
    for request in waiting:
        ready = condition(request.wait_pending(), "Ready")
        assert ready.get("status") == "False", "Ready was to be False on a request that waits"


@requirement("VI-REQUEST-018")
def test_transition_time_is_that_of_the_last_change(sandbox: Sandbox, kind: str) -> None:
    present = sandbox.ready_issuer(kind)
    name = sandbox.issuer_name()
    request = sandbox.request(present, issuer_ref=present.ref | {"name": name})
    sandbox.barrier(present)
    long_ago = set_transition_time(request)
    issuer = sandbox.issuer(kind, name=name)
    request.wait_issued(timeout=sandbox.timeouts.retry)
    time = transition_time(request)
    assert time != long_ago, "lastTransitionTime was to change with the status"
    sandbox.barrier(issuer)  # what an implementation writes may be in its own cache later than a test sees it
    long_ago = set_transition_time(request)
    request.touch()
    sandbox.barrier(issuer)
    assert transition_time(request) == long_ago, "lastTransitionTime was to stay while the status does"


# -- many at once, and what people are told -------------------------------------------------------


@requirement("VI-REQUEST-015")
def test_concurrent_requests_get_their_own_certificates(sandbox: Sandbox) -> None:
    namespaces = (sandbox.namespace, sandbox.other_namespace)
    issuers = {
        namespace: sandbox.issuer(
            "Issuer", sandbox.default_authentication("Issuer", namespace=namespace), namespace=namespace
        )
        for namespace in namespaces
    }
    shared = [sandbox.issuer("ClusterIssuer")] if "cluster-issuer" in sandbox.world.features else []
    for issuer in (*issuers.values(), *shared):
        issuer.wait_ready()
    requests = []
    for number in range(10):
        # Two that differ in nothing but their key and their namespace, with an issuer each or with the same.
        name, host = f"request-{secrets.token_hex(4)}", f"{number}.{secrets.token_hex(4)}.example.test"
        for namespace in namespaces:
            issuer = shared[0] if shared and number % 2 else issuers[namespace]
            request = sandbox.request(issuer, for_host(host), name=name, namespace=namespace, approve=False)
            requests.append((host, request))
    with ThreadPoolExecutor(len(requests)) as executor:
        list(executor.map(lambda entry: entry[1].approve(), requests))
    serials = set()
    for host, request in requests:
        request.wait_issued()
        leaf = request.certificate()
        assert request.signing.matches(leaf), "each certificate was to be for its own request's key"
        assert names_of(leaf)["dns"] == [host], "each certificate was to have its own request's names"
        serials.add(leaf.serial_number)
    assert len(serials) == len(requests), "each request was to get a certificate of its own"


@requirement("VI-REQUEST-016")
def test_events_tell_of_issued_and_failed_requests(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    undecided = sandbox.request(issuer, for_host(f"a.{domain}"), approve=False)
    refused = failed(sandbox, issuer)
    issued = sandbox.issued(issuer, for_host(f"b.{domain}"))

    def is_news(event: Object) -> bool:
        # Events about a request that merely waits say nothing of an outcome.
        return event.get("reason") not in {other.get("reason") for other in undecided.events()}

    refused.wait_event(
        lambda event: is_news(event) and event.get("type") == "Warning", "of type Warning, that it failed"
    )
    issued.wait_event(is_news, "that it was issued")


@requirement("VI-REQUEST-016")
def test_warning_tells_why_an_issuer_is_not_ready(sandbox: Sandbox, kind: str) -> None:
    # Not initialised: what Vault's client library does not try again by itself.
    sandbox.proxy.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    issuer = sandbox.issuer(kind)
    issuer.wait_not_ready("Vault is not initialized")
    issuer.wait_event(
        lambda event: event.get("type") == "Warning", "of type Warning, on what keeps it from being Ready"
    )
