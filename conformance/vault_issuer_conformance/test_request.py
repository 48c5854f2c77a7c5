"""The life of a CertificateRequest: approval, conditions and final states."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from pytest_vault_issuer import (
    FEATURES,
    SERVICE_ACCOUNTS,
    ApiError,
    CertificateRequest,
    Fault,
    Hold,
    Injection,
    Issuer,
    NotRunnable,
    Object,
    Pki,
    ResetBefore,
    Respond,
    Route,
    Sandbox,
    SigningRequest,
    at_barrier,
    condition,
    names_of,
    requirement,
    set_data,
)

from .helpers import (
    ATTEMPTS,
    LOGINS,
    REFUSED,
    alternating,
    another_role,
    claimed,
    condition_of_another,
    each_feature,
    end_logins,
    for_each_kind,
    is_final,
    issuer_without_secret,
    login_in_outage,
    picky_pki,
    set_transition_time,
    settle,
    transition_time,
    used_an_ended_token,
    wait_held,
)
from .issued import signed_certificate

#: Tolerance for different clocks of the API server, the controller and the suite.
CLOCKS = timedelta(minutes=1)
#: The number of refused sign requests for one CSR that do not count as a loop.
REFUSALS = 5


def for_host(name: str) -> SigningRequest:
    return SigningRequest.build(name, dns=[name])


def failed(sandbox: Sandbox, issuer: Issuer) -> CertificateRequest:
    """Return a failed request: Vault refused to sign its name."""
    request = sandbox.request(issuer, for_host(f"{secrets.token_hex(4)}.refused.test"))
    request.wait_failed(timeout=request.timeouts.retry)
    return request


def denied(sandbox: Sandbox, issuer: Issuer, **fields: str) -> CertificateRequest:
    """Return a request that is denied immediately after its creation."""
    request = sandbox.request(issuer, approve=False)
    request.deny(**fields)
    return request


def certificate_of(request: CertificateRequest) -> str:
    return str(request.get().get("status", {}).get("certificate") or "")


def assert_not_signed(sandbox: Sandbox, request: CertificateRequest, why: str) -> None:
    asked = len(sandbox.signings(request))
    assert not asked, f"expected no sign request for a CertificateRequest {why}, saw {asked}"
    assert not certificate_of(request), f"expected no certificate in a CertificateRequest {why}, saw one"


def assert_unfinished(sandbox: Sandbox, request: CertificateRequest, why: str) -> None:
    assert_not_signed(sandbox, request, why)
    reason = request.condition().get("reason")
    assert reason not in ("Failed", "Denied"), (
        f"expected an unfinished CertificateRequest {why}, saw the reason {reason}"
    )


# -- signing and approval -------------------------------------------------------------------


@requirement("VI-REQUEST-001")
@each_feature(FEATURES)
@pytest.mark.holds_controller
def test_issued_condition_comes_with_the_certificate(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, sandbox.authenticate(feature, kind))
    hold = Hold()
    sandbox.proxy.inject(Route.SIGN, hold)
    request = sandbox.request(issuer)

    def ready(item: Object) -> bool:
        hold.release()  # only now that the test watches every change
        return condition(item, "Ready").get("status") == "True"

    item = request.wait(ready, "to be Ready", timeout=sandbox.timeouts.request)
    assert condition(item, "Ready").get("reason") == "Issued", "expected the reason Issued with Ready=True"
    assert item["status"].get("certificate"), "expected status.certificate together with Ready=True, saw none"
    assert request.certificate() == signed_certificate(sandbox, request), "expected a certificate that Vault signed"


@requirement("VI-REQUEST-002")
@pytest.mark.usefixtures("suite_approves")
def test_request_waits_for_approval(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer, approve=False)
    request.touch()
    sandbox.barrier(issuer)
    assert_not_signed(sandbox, request, "that is not approved")
    request.approve()
    request.wait_issued()


@requirement("VI-REQUEST-003")
@pytest.mark.usefixtures("suite_approves")
def test_denied_request_is_not_signed(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    waiting = sandbox.request(issuer, approve=False)
    sandbox.barrier(issuer)
    waiting.deny()
    at_once = denied(sandbox, issuer)
    sandbox.barrier(issuer)
    assert_not_signed(sandbox, waiting, "that is denied after a while")
    assert_not_signed(sandbox, at_once, "that is denied at once")


def wait_denied(sandbox: Sandbox, request: CertificateRequest, ready: Issuer) -> Object:
    """Wait until a request is Denied; a controller that has issued a later one is no longer busy with other work."""
    sandbox.barrier(ready)
    return request.wait_reason("Denied", timeout=sandbox.timeouts.strict(sandbox.timeouts.request))


@requirement("VI-REQUEST-004")
@pytest.mark.usefixtures("suite_approves")
def test_denied_request_becomes_denied(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    item = wait_denied(sandbox, denied(sandbox, issuer), issuer)
    assert condition(item, "Ready").get("status") == "False", "expected Ready=False on a denied CertificateRequest"


@requirement("VI-REQUEST-004")
@pytest.mark.usefixtures("suite_approves")
def test_denied_request_becomes_denied_although_its_issuer_is_not_ready(sandbox: Sandbox, kind: str) -> None:
    ready = sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    # Not initialized: Vault's client library does not retry a 501.
    sandbox.proxy.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    issuer = sandbox.issuer(kind)
    with at_barrier():
        issuer.wait_not_ready("Vault is not initialized")
    wait_denied(sandbox, denied(sandbox, issuer), ready)


@requirement("VI-REQUEST-005")
@pytest.mark.usefixtures("suite_approves")
def test_controller_does_not_approve_or_deny(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer, approve=False)
    sandbox.barrier(issuer)
    decisions = {entry["type"] for entry in request.conditions()} & {"Approved", "Denied"}
    assert not decisions, f"expected no Approved or Denied condition, saw {decisions}"


@requirement("VI-REQUEST-006")
@pytest.mark.usefixtures("suite_approves")
def test_decision_stays_unchanged(sandbox: Sandbox, kind: str) -> None:
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
        if final == "Denied":  # a controller that ignores it violates another requirement
            sandbox.barrier(issuer, signing=for_host(f"d.{domain}"))
        else:
            request.wait_reason(final, timeout=sandbox.timeouts.retry)
        decisions = [entry for entry in request.conditions() if entry["type"] in ("Approved", "Denied")]
        assert decisions == [expected], f"expected an unchanged decision when the CertificateRequest became {final}"


@requirement("VI-REQUEST-014")
def test_request_of_another_group_is_ignored(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    ref = issuer.ref | {"group": f"{secrets.token_hex(4)}.example.invalid"}
    request = sandbox.request(issuer, issuer_ref=ref, approve=False)
    try:
        request.approve()
    except ApiError as error:
        if error.code not in REFUSED:
            raise
        # cert-manager's webhook allows the approval of a request only if the kind in its reference exists.
        if sandbox.environment.stack.foreign:
            raise NotRunnable(
                f"the API server approves no request of an unknown signer: {error.message}",
                hint="to judge this part, use a cluster that the session starts, in which it can define the kind",
            ) from error
        define_kind(sandbox, ref["group"], ref["kind"], namespaced=issuer.namespace is not None)
        request.approve()
    without_group = request_without_group(sandbox, issuer)
    sandbox.barrier(issuer)
    assert_not_signed(sandbox, request, "of another API group")
    if without_group is not None:
        assert_not_signed(sandbox, without_group, "without a group, which means cert-manager.io")
    set_by_others = [entry for entry in request.conditions() if entry["type"] != "Approved"]
    assert not set_by_others, f"expected no condition on a request of another API group, saw {set_by_others}"


def request_without_group(sandbox: Sandbox, issuer: Issuer) -> CertificateRequest | None:
    """Create a request to the kind and the name of an issuer object of another group than cert-manager.io.

    :return: None if it would be for this issuer object, or if cert-manager's webhook allows no approval of it.
    """
    if issuer.resource.group == "cert-manager.io":
        return None
    reference = {"kind": issuer.ref["kind"], "name": issuer.name}
    request = sandbox.request(issuer, issuer_ref=reference, approve=False)
    try:
        request.approve()
    except ApiError as error:
        if error.code not in REFUSED:
            raise
        return None
    return request


def define_kind(sandbox: Sandbox, group: str, kind: str, *, namespaced: bool) -> None:
    """Define a kind in a group of its own, until the test ends."""
    api, plural = "apiextensions.k8s.io/v1", f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = {
        "apiVersion": api,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "labels": sandbox.labels},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    resource = sandbox.cluster.discover(api, "CustomResourceDefinition")
    sandbox.remove_later(sandbox.cluster.delete, resource, f"{plural}.{group}", None)
    sandbox.cluster.install_crds([definition])


def ca_issuer(sandbox: Sandbox, vault: Issuer) -> dict[str, str]:
    """Create a CA issuer and return the reference to it.

    It has the kind of the Vault issuer object if this kind has other types. Otherwise it has cert-manager's own kind
    and the name of the Vault issuer object.
    """
    api = "cert-manager.io/v1"
    if (vault.resource.api_version, vault.type.vault_at) == (api, ("spec", "vault")):
        resource, kind, name = vault.resource, vault.kind, sandbox.issuer_name()
    else:
        kind = "ClusterIssuer" if vault.type.cluster_scoped else "Issuer"
        resource, name = sandbox.cluster.discover(api, kind), vault.name
    metadata = {"name": name, "labels": sandbox.labels} | ({"namespace": vault.namespace} if vault.namespace else {})
    # Its Secret does not exist: if a controller for CA issuers runs, its requests wait.
    spec = {"ca": {"secretName": f"absent-{name}"}}
    sandbox.cluster.create(resource, {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})
    sandbox.remove_later(sandbox.cluster.delete, resource, name, vault.namespace)
    return {"name": name, "kind": kind, "group": resource.group}


@requirement("VI-REQUEST-014")
def test_request_of_another_issuer_type_is_ignored(sandbox: Sandbox, kind: str) -> None:
    vault = sandbox.ready_issuer(kind)
    request = sandbox.request(vault, issuer_ref=ca_issuer(sandbox, vault))
    sandbox.barrier(vault)
    assert_unfinished(sandbox, request, "of a CA issuer")


# -- final states -------------------------------------------------------------------------


@requirement("VI-REQUEST-007")
def test_refused_request_fails(sandbox: Sandbox, kind: str) -> None:
    pki, _ = picky_pki(sandbox)
    request = failed(sandbox, sandbox.ready_issuer(kind, pki=pki))
    assert request.condition().get("status") == "False", "expected Ready=False on a failed CertificateRequest"
    refusals = [exchange.status for exchange in sandbox.signings(request)]
    assert refusals[-1:] == [400], "expected a sign request that Vault refuses with 400"
    assert len(refusals) <= REFUSALS, f"expected at most {REFUSALS} refused sign requests, saw {len(refusals)}"
    assert not certificate_of(request), "expected no certificate in a failed CertificateRequest, saw one"


@requirement("VI-REQUEST-008")
def test_failed_request_has_a_failure_time(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    request = failed(sandbox, issuer)
    failure_time(request)
    assert_failure_time_stays(sandbox, request, issuer, signing=for_host(f"a.{domain}"))


@requirement("VI-REQUEST-008")
@pytest.mark.usefixtures("suite_approves")
def test_denied_request_has_a_failure_time(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = denied(sandbox, issuer)
    wait_denied(sandbox, request, issuer)
    failure_time(request)
    assert_failure_time_stays(sandbox, request, issuer)


def failure_time(request: CertificateRequest) -> datetime:
    """Return the request's failureTime, checked to be between its creation and now."""
    item = request.get()
    stated = item["status"].get("failureTime")
    assert stated, "expected status.failureTime, saw none"
    time, created = (datetime.fromisoformat(text) for text in (stated, item["metadata"]["creationTimestamp"]))
    now = datetime.now(UTC)
    assert created - CLOCKS <= time <= now + CLOCKS, (
        f"expected status.failureTime between {created} and {now}, saw {time}"
    )
    return time


def assert_failure_time_stays(
    sandbox: Sandbox, request: CertificateRequest, issuer: Issuer, **barrier: SigningRequest
) -> None:
    # Times have whole seconds, so a time that is written again shows only if the previous one is old.
    long_ago = (datetime.now(UTC) - timedelta(hours=1 + secrets.randbelow(1000))).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"status": {"failureTime": long_ago}}
    sandbox.cluster.patch(request.resource, request.name, request.namespace, body, subresource="status")
    request.touch()
    sandbox.barrier(issuer, **barrier)
    time = request.get()["status"].get("failureTime")
    assert time == long_ago, f"expected status.failureTime {long_ago} after a change of the metadata, saw {time}"


def change_path(issuer: Issuer, pki: Pki) -> None:
    """Give an issuer object a new generation, which signs with another role."""
    issuer.change(lambda vault: vault.update(path=pki.sign_path))
    issuer.wait_ready()


@requirement("VI-REQUEST-009")
def test_failed_request_is_final(sandbox: Sandbox, kind: str) -> None:
    pki, _ = picky_pki(sandbox)
    auth, other = another_role(sandbox, kind, pki)
    issuer = sandbox.ready_issuer(kind, auth, pki=pki)
    request = failed(sandbox, issuer)
    sandbox.vault.set_pki_role(pki)
    sandbox.barrier(issuer)  # the controller's cache may receive its own update later than the test does
    attempts = len(sandbox.signings(request))
    assert attempts, "expected a sign request to Vault, saw none"
    request.touch()
    change_path(issuer, other)
    sandbox.barrier(issuer)
    assert request.condition().get("reason") == "Failed", "expected the reason to stay Failed"
    assert len(sandbox.signings(request)) == attempts, "expected no further sign request after the failure"
    assert not certificate_of(request), "expected no certificate in a failed CertificateRequest, saw one"


@requirement("VI-REQUEST-010")
def test_issued_request_is_final(sandbox: Sandbox, kind: str) -> None:
    auth, other = another_role(sandbox, kind, sandbox.pki)
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
    assert len(sandbox.signings(request)) == signings, "expected no further sign request after the issuance"
    assert certificate_of(request) == certificate, "expected an unchanged certificate"
    assert request.condition().get("reason") == "Issued", "expected the reason to stay Issued"


# -- issuer objects that are missing, not Ready or cannot reach Vault ---------------------------


@requirement("VI-REQUEST-011")
def test_request_waits_for_its_issuer_to_be_created(sandbox: Sandbox, kind: str) -> None:
    present = sandbox.ready_issuer(kind)
    name = sandbox.issuer_name()
    references = [present.ref | {"name": name}]
    if kind == "Issuer" and present.resource.group == "cert-manager.io":
        references.append({"name": name})  # the defaults refer to the same object
    requests = [sandbox.request(present, issuer_ref=reference) for reference in references]
    sandbox.barrier(present)
    for request in requests:
        assert_unfinished(sandbox, request, "whose issuer object is missing")
    sandbox.issuer(kind, name=name)
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-REQUEST-011")
def test_request_waits_for_its_issuer_to_be_ready(sandbox: Sandbox, kind: str) -> None:
    ready, issuer, create_secret = issuer_without_secret(sandbox, kind)
    request = sandbox.request(issuer)
    sandbox.barrier(ready)
    assert_unfinished(sandbox, request, "whose issuer object is not Ready")
    create_secret()
    request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-REQUEST-011")
@alternating(("kind",), [("ClusterIssuer",)])
@pytest.mark.holds_controller
def test_request_waits_while_its_changed_issuer_is_checked(sandbox: Sandbox, kind: str) -> None:
    # The Ready condition is True before the change and after the check: only its generation differs.
    changed, hold = sandbox.new_proxy(), Hold()
    issuer = sandbox.ready_issuer(kind)
    sandbox.barrier(issuer)  # the controller has now also processed its own status updates
    changed.inject(Route.HEALTH, hold, times=1)
    issuer.change(lambda vault: vault.update(server=changed.url))
    with at_barrier():
        wait_held(sandbox, hold, "a health query at the changed server")
    request = sandbox.request(issuer)
    settle(request)
    hold.release()
    request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-REQUEST-012")
def test_request_of_a_deleted_issuer_is_not_signed(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    proxy = sandbox.new_proxy()
    issuer = sandbox.ready_issuer(kind, auth, proxy=proxy)
    sandbox.issued(issuer)
    issuer.delete()
    gone = sandbox.cluster.wait_gone(issuer.resource, issuer.name, issuer.namespace, timeout=sandbox.timeouts.deletion)
    assert gone, f"expected {issuer} to be gone after its deletion, saw it present"
    # It was created after the deletion and is Ready: the controller now knows of the deletion.
    other = sandbox.ready_issuer(kind, auth)
    mark = proxy.mark()
    request = sandbox.request(issuer)
    sandbox.barrier(other)
    assert_not_signed(sandbox, request, "whose issuer object is deleted")
    calls = [exchange.summary for exchange in proxy.seen(since=mark) if exchange.route in (Route.LOGIN, Route.SIGN)]
    assert not calls, f"expected no use of the deleted configuration, saw {calls}"


@requirement("VI-REQUEST-013")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_outage_at_login_is_survived(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        logins = claimed(sandbox, LOGINS)
        if not logins:
            raise NotRunnable("the implementation claims no authentication method that logs in")
        # Vault's client library tries three times if a retry may help: the outage lasts longer.
        # Some outages also last longer than the attempt that the controller's own status update triggers.
        faults: list[tuple[str, Fault, int]] = [
            (logins[0], Respond(500, json={"errors": ["internal error"]}), 3),
            (logins[0], Respond(503, json={"errors": ["Vault is sealed"]}), 3),
            (logins[0], ResetBefore(), 6),
            *((login, Respond(403, json={"errors": ["permission denied"]}), 2) for login in logins),
        ]
        auths = {login: sandbox.authenticate(login, kind) for login in logins}
        cases = []
        for login, fault, times in faults:
            proxy = sandbox.new_proxy()
            cases.append((sandbox.issuer(kind, auths[login], proxy=proxy), proxy, auths[login], fault, times))
        outages = []
        for issuer, proxy, auth, fault, times in cases:
            issuer.wait_ready()
            end_logins(sandbox, proxy, auth)
            outages.append((issuer, proxy.inject(Route.LOGIN, fault, times=times)))
        with ThreadPoolExecutor(len(outages)) as pool:
            for survived in [pool.submit(assert_survived, sandbox, *outage) for outage in outages]:
                survived.result()

    for_each_kind(sandbox, check)


def assert_survived(sandbox: Sandbox, issuer: Issuer, outage: Injection) -> None:
    """Check that a request whose login meets an outage is issued after the outage."""
    login_in_outage(sandbox, lambda: sandbox.request(issuer), outage).wait_issued()


@requirement("VI-REQUEST-013")
@pytest.mark.slow
@pytest.mark.parametrize("feature", ["kubernetes-secretless"])
def test_missing_service_account_is_survived(sandbox: Sandbox, feature: str) -> None:
    def check(kind: str) -> None:
        auth = sandbox.authenticate(feature, kind)
        issuer = sandbox.ready_issuer(kind, auth)
        sandbox.issued(issuer)
        sandbox.cluster.delete(SERVICE_ACCOUNTS, auth.service_account, auth.namespace)
        end_logins(sandbox, sandbox.proxy, auth)
        for _ in range(ATTEMPTS):
            request = sandbox.request(issuer)
            settle(request)
            if not used_an_ended_token(sandbox, request):
                break
        assert_unfinished(sandbox, request, "whose service account is missing")
        sandbox.service_account(auth.namespace, name=auth.service_account, grant=False)
        request.wait_issued(timeout=sandbox.timeouts.retry)

    for_each_kind(sandbox, check)


@requirement("VI-REQUEST-017")
def test_waiting_request_is_pending(sandbox: Sandbox, kind: str) -> None:
    present = sandbox.ready_issuer(kind)
    # Not initialized: Vault's client library does not retry a 501.
    proxy = sandbox.new_proxy()
    proxy.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    broken = sandbox.issuer(kind, proxy=proxy)
    with at_barrier():
        broken.wait_not_ready("Vault is not initialized")
    waiting = [
        sandbox.request(present, issuer_ref=present.ref | {"name": sandbox.issuer_name()}),
        sandbox.request(broken),
    ]
    for request in waiting:
        ready = condition(request.wait_pending(), "Ready")
        assert ready.get("status") == "False", "expected Ready=False on a waiting CertificateRequest"


@requirement("VI-REQUEST-018")
def test_transition_time_changes_only_with_the_status(sandbox: Sandbox, kind: str) -> None:
    present = sandbox.ready_issuer(kind)
    name = sandbox.issuer_name()
    request = sandbox.request(present, issuer_ref=present.ref | {"name": name})
    sandbox.barrier(present)
    long_ago = set_transition_time(request)
    issuer = sandbox.issuer(kind, name=name)
    request.wait_issued(timeout=sandbox.timeouts.retry)
    time = transition_time(request)
    assert time != long_ago, "expected a new lastTransitionTime after a status change, saw the old one"
    sandbox.barrier(issuer)  # the controller's cache may receive its own update later than the test does
    long_ago = set_transition_time(request)
    request.touch()
    sandbox.barrier(issuer)
    assert transition_time(request) == long_ago, "expected an unchanged lastTransitionTime"


# -- concurrency and events -----------------------------------------------------------------------


@requirement("VI-REQUEST-015")
def test_concurrent_requests_get_their_own_certificates(sandbox: Sandbox) -> None:
    namespaces = (sandbox.namespace, sandbox.other_namespace)
    issuers = {
        namespace: sandbox.issuer(
            "Issuer", sandbox.default_authentication("Issuer", namespace=namespace), namespace=namespace
        )
        for namespace in namespaces
        if "Issuer" in sandbox.environment.kinds
    }
    shared = [sandbox.issuer("ClusterIssuer")] if "ClusterIssuer" in sandbox.environment.kinds else []
    for issuer in (*issuers.values(), *shared):
        issuer.wait_ready()
    requests = []
    for number in range(10):
        # Two requests that differ only in key and namespace, with one issuer object each or a shared one.
        name, host = f"request-{secrets.token_hex(4)}", f"{number}.{secrets.token_hex(4)}.example.test"
        for namespace in namespaces:
            issuer = shared[0] if shared and (number % 2 or not issuers) else issuers[namespace]
            request = sandbox.request(issuer, for_host(host), name=name, namespace=namespace, approve=False)
            requests.append((host, request))
    with ThreadPoolExecutor(len(requests)) as executor:
        list(executor.map(lambda entry: entry[1].approve(), requests))
    serials = set()
    for host, request in requests:
        request.wait_issued()
        leaf = request.certificate()
        assert request.signing.matches(leaf), (
            "expected each certificate to match its own request, saw one for another key"
        )
        assert names_of(leaf)["dns"] == [host], "expected the names of its own request"
        serials.add(leaf.serial_number)
    assert len(serials) == len(requests), f"expected {len(requests)} different certificates"


@requirement("VI-REQUEST-016")
def test_events_report_issued_and_failed_requests(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    undecided = sandbox.request(issuer, for_host(f"a.{domain}"), approve=False)
    refused = failed(sandbox, issuer)
    issued = sandbox.issued(issuer, for_host(f"b.{domain}"))

    def is_outcome(event: Object) -> bool:
        # Events with a reason that also occurs for a waiting request do not report an outcome.
        return event.get("reason") not in {other.get("reason") for other in undecided.events()}

    refused.wait_event(
        lambda event: is_outcome(event) and event.get("type") == "Warning", "of type Warning that reports its failure"
    )
    issued.wait_event(is_outcome, "that reports its issuance")


@requirement("VI-REQUEST-016")
def test_warning_event_reports_why_an_issuer_is_not_ready(sandbox: Sandbox, kind: str) -> None:
    # Not initialized: Vault's client library does not retry a 501.
    sandbox.proxy.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    issuer = sandbox.issuer(kind)
    with at_barrier():
        issuer.wait_not_ready("Vault is not initialized")
    issuer.wait_event(lambda event: event.get("type") == "Warning", "of type Warning that reports why it is not Ready")


# -- requests that must wait or are over ------------------------------------------------------------


@requirement("VI-REQUEST-026")
@alternating(("kind",), [("ClusterIssuer",)])
def test_unusable_response_leads_to_a_result(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    sandbox.proxy.inject(Route.SIGN, set_data("certificate", "not a certificate"), times=1)
    request = sandbox.request(issuer)
    request.wait(is_final, "to be issued or to fail after an unusable response", timeout=sandbox.timeouts.retry)


@requirement("VI-REQUEST-019")
@pytest.mark.usefixtures("suite_approves")
def test_unapproved_request_is_not_processed(sandbox: Sandbox, kind: str) -> None:
    logins = claimed(sandbox, LOGINS)
    proxy = sandbox.new_proxy()
    auth = sandbox.authenticate(logins[0], kind) if logins else None
    issuer, other = sandbox.ready_issuer(kind, auth, proxy=proxy), sandbox.ready_issuer(kind)
    sandbox.barrier(other)  # the controller has now also processed its own status updates
    mark = proxy.mark()
    request = sandbox.request(issuer, approve=False)
    sandbox.barrier(other)
    request.touch()
    sandbox.barrier(other)
    sent = [exchange.summary for exchange in proxy.seen(since=mark) if exchange.route in (Route.LOGIN, Route.SIGN)]
    assert not sent, f"expected no login or sign request for a CertificateRequest that is not approved, saw {sent}"
    reason = request.condition().get("reason")
    assert reason in (None, "Pending"), f"expected no result of a CertificateRequest that is not approved, saw {reason}"


@requirement("VI-REQUEST-020")
@pytest.mark.usefixtures("suite_approves")
def test_request_that_is_being_deleted_is_not_signed(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer, approve=False)
    finalizer = {"metadata": {"finalizers": ["example.test/hold"]}}
    sandbox.cluster.patch(request.resource, request.name, request.namespace, finalizer)
    try:
        sandbox.cluster.delete(request.resource, request.name, request.namespace)
        sandbox.barrier(issuer)
        request.approve()
        sandbox.barrier(issuer)
        assert_not_signed(sandbox, request, "that is being deleted")
    finally:
        released = {"metadata": {"finalizers": None}}
        sandbox.cluster.patch(request.resource, request.name, request.namespace, released)


@requirement("VI-REQUEST-021")
def test_failure_time_comes_with_the_failure(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    request = sandbox.request(issuer, for_host(f"{secrets.token_hex(4)}.refused.test"), approve=False)
    with request.recorded() as states:
        request.approve()
        request.wait_failed(timeout=request.timeouts.retry)
        sandbox.barrier(issuer, signing=for_host(f"a.{domain}"))
    for item in states:
        failed_now = condition(item, "Ready").get("reason") == "Failed"
        assert failed_now == bool(item.get("status", {}).get("failureTime")), (
            "expected status.failureTime and the reason Failed in the same update, saw one without the other"
        )


@requirement("VI-REQUEST-022")
@pytest.mark.usefixtures("suite_approves")
def test_invalid_request_is_not_signed(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    request = sandbox.request(issuer, approve=False)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    invalid = {"type": "InvalidRequest", "status": "True", "reason": "Policy", "message": "", "lastTransitionTime": now}
    request.write_conditions([*request.conditions(), invalid])
    sandbox.barrier(issuer)
    request.approve()
    sandbox.barrier(issuer)
    assert_not_signed(sandbox, request, "with the condition InvalidRequest")


# -- names, CSRs and conditions that occur again --------------------------------------------------


@requirement("VI-REQUEST-023")
def test_name_of_a_deleted_request_is_used_again(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    earlier = [sandbox.issued(issuer, for_host(f"a.{domain}")), failed(sandbox, issuer)]
    for request in earlier:
        request.delete()
        where = request.resource, request.name, request.namespace
        gone = sandbox.cluster.wait_gone(*where, timeout=sandbox.timeouts.deletion)
        assert gone, f"expected {request} to be gone after its deletion, saw it present"
    again = [sandbox.request(issuer, for_host(f"b.{domain}"), name=request.name) for request in earlier]
    for request in again:
        request.wait_issued()
        assert request.signing.matches(request.certificate()), (
            "expected a certificate for the key of the new CertificateRequest, saw one for another key"
        )


@requirement("VI-REQUEST-024")
def test_same_csr_is_signed_again(sandbox: Sandbox, kind: str) -> None:
    issuer, signing = sandbox.ready_issuer(kind), sandbox.new_signing()
    first, second = sandbox.issued(issuer, signing), sandbox.issued(issuer, signing)
    assert first.certificate().serial_number != second.certificate().serial_number, (
        "expected another certificate for another CertificateRequest with the same CSR, saw the same one"
    )


@requirement("VI-REQUEST-025")
@pytest.mark.usefixtures("suite_approves")
def test_conditions_of_others_stay(sandbox: Sandbox, kind: str) -> None:
    pki, domain = picky_pki(sandbox)
    issuer = sandbox.ready_issuer(kind, pki=pki)
    audited = condition_of_another()
    for name, final in ((f"a.{domain}", "Issued"), ("b.refused.test", "Failed")):
        request = sandbox.request(issuer, for_host(name), approve=False)
        request.write_conditions([*request.conditions(), audited])
        request.approve()
        request.wait_reason(final, timeout=sandbox.timeouts.retry)
        assert audited in request.conditions(), (
            f"expected the condition Audited to stay when the CertificateRequest became {final}, saw it changed"
        )
