"""When an issuer object is Ready, depending on the state of its Vault and on the login."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import pytest

from pytest_vault_issuer import (
    FEATURES,
    SERVICE_ACCOUNTS,
    Compress,
    Exchange,
    Fault,
    Hold,
    Issuer,
    NotRunnable,
    Object,
    Proxy,
    Redirect,
    ResetBefore,
    Respond,
    ResponseHeader,
    Route,
    Sandbox,
    Tamper,
    at_barrier,
    condition,
    requirement,
    user_name,
)

from .helpers import (
    LOGINS,
    alternating,
    another_role,
    claimed,
    condition_of_another,
    each_feature,
    for_each_kind,
    never_ready,
    set_transition_time,
    settle,
    shown,
    transition_time,
    wait_held,
    with_absent_reference,
    with_fields,
    with_secret,
)

HTML = "<!DOCTYPE html><html><body><h1>It is not Vault that answers here</h1></body></html>"
#: By health status: fields of Vault's response, and the query parameters that request another status instead.
STATES: dict[int, tuple[dict[str, Any], tuple[str, ...]]] = {
    473: ({"standby": True, "performance_standby": True}, ("perfstandbyok", "performancestandbycode")),
    474: ({"standby": True, "ha_connection_healthy": False}, ("haunhealthycode",)),
    501: ({"initialized": False, "sealed": True, "standby": True}, ("uninitcode",)),
    503: ({"sealed": True, "standby": True}, ("sealedcode",)),
    530: ({"sealed": True, "standby": True, "removed_from_cluster": True}, ("removedcode",)),
}
#: The number of consecutive requests issued while the attempts for issuer objects that do not work are counted.
MEANWHILE = 20
#: Each authentication method once, with alternating kinds of issuer objects.
EACH_FEATURE = each_feature(FEATURES)


def report_health(proxy: Proxy, status: int) -> None:
    """Make Vault's health endpoint report another state."""
    changes, parameters = STATES[status]
    body = {
        "initialized": True,
        "sealed": False,
        "standby": False,
        "performance_standby": False,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": 1780000000,
        "version": "1.21.2",
    } | changes

    def asks_for_another_status(exchange: Exchange) -> bool:
        return bool(set(parameters).intersection(parse_qs(exchange.query, keep_blank_values=True)))

    proxy.inject(Route.HEALTH, Respond(200, json=body), where=asks_for_another_status)
    proxy.inject(Route.HEALTH, Respond(status, json=body))


def in_state(sandbox: Sandbox, status: int) -> Proxy:
    """Return a proxy to a Vault that reports a state."""
    proxy = sandbox.new_proxy()
    report_health(proxy, status)
    return proxy


def with_fault(sandbox: Sandbox, route: Route | None, fault: Fault) -> Proxy:
    """Return a proxy with one permanent fault, on all routes if `route` is None."""
    proxy = sandbox.new_proxy()
    proxy.inject(route, fault)
    return proxy


def unreachable(sandbox: Sandbox) -> str:
    """Return an address where no server listens."""
    return sandbox.proxy.url.rpartition(":")[0] + f":{sandbox.closed_port()}"


def is_false(item: Object) -> bool:
    return condition(item, "Ready").get("status") == "False"


# -- Ready ---------------------------------------------------------------------------------


@requirement("VI-HEALTH-001")
@EACH_FEATURE
@pytest.mark.holds_controller
def test_health_is_queried_before_an_issuer_is_ready(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = sandbox.authenticate(feature, kind)
    # The health of one Vault says nothing about another.
    sandbox.ready_issuer(kind, auth, proxy=sandbox.new_proxy())
    hold = Hold()
    sandbox.proxy.inject(Route.HEALTH, hold)
    issuer = sandbox.issuer(kind, auth)
    wait_held(sandbox, hold, "a query of v1/sys/health at the issuer object's own Vault")
    status = issuer.condition().get("status")
    hold.release()
    assert status != "True", f"expected {issuer} not to be Ready before Vault's health response, saw Ready=True"
    issuer.wait_ready()
    query = sandbox.proxy.seen(Route.HEALTH)[0]
    assert query.method in ("GET", "HEAD"), f"expected a GET or HEAD health query, saw {query.method}"
    assert query.path == "/v1/sys/health", "expected a query of /v1/sys/health"


@requirement("VI-HEALTH-002")
@EACH_FEATURE
def test_issuer_is_shown_as_ready(sandbox: Sandbox, kind: str, feature: str) -> None:
    issuer = sandbox.ready_issuer(kind, sandbox.authenticate(feature, kind))
    assert shown(issuer, "READY") == "True", "expected True as READY"


@requirement("VI-HEALTH-002")
def test_issuer_created_again_under_its_name_is_ready(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    issuer = sandbox.ready_issuer(kind, auth)
    issuer.delete()
    gone = sandbox.cluster.wait_gone(issuer.resource, issuer.name, issuer.namespace, timeout=sandbox.timeouts.deletion)
    assert gone, f"expected {issuer} to be gone after its deletion, saw it present"
    sandbox.ready_issuer(kind, auth, name=issuer.name)


@requirement("VI-HEALTH-003")
def test_issuer_is_shown_as_verified(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    assert shown(issuer, "STATUS") == "Vault verified", "expected `Vault verified` as STATUS"


@requirement("VI-HEALTH-003")
def test_issuer_that_was_not_ready_is_shown_as_verified(sandbox: Sandbox, kind: str) -> None:
    report_health(sandbox.proxy, 501)
    issuer = sandbox.issuer(kind)
    with at_barrier():
        issuer.wait_not_ready("Vault is not initialized")
    sandbox.proxy.clear_faults()
    issuer.touch()
    issuer.wait_ready("Vault is healthy now", timeout=sandbox.timeouts.retry)
    assert shown(issuer, "STATUS") == "Vault verified", "expected `Vault verified` as STATUS"


# -- states of Vault -------------------------------------------------------------------------


@requirement("VI-HEALTH-004")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_sealed_vault_keeps_issuer_not_ready(sandbox: Sandbox) -> None:
    vault = sandbox.new_vault()
    vault.seal()

    def check(kind: str) -> None:
        proxies = {feature: sandbox.new_proxy(upstream=vault) for feature in claimed(sandbox)}
        never_ready(
            sandbox,
            kind,
            {
                f"Vault is sealed ({feature})": {"auth": sandbox.authenticate(feature, kind), "proxy": proxy}
                for feature, proxy in proxies.items()
            },
        )
        for feature, proxy in proxies.items():
            what = f"a request to the sealed Vault ({feature})"
            proxy.wait_for(None, timeout=sandbox.timeouts.wire, what=what)

    for_each_kind(sandbox, check)


@requirement("VI-HEALTH-005")
def test_uninitialized_vault_keeps_issuer_not_ready(sandbox: Sandbox, kind: str) -> None:
    proxy = sandbox.new_proxy(upstream=sandbox.uninitialized_vault())
    never_ready(sandbox, kind, {"Vault is not initialized": {"proxy": proxy}})
    proxy.wait_for(None, timeout=sandbox.timeouts.wire, what="a request to the uninitialized Vault")


@requirement("VI-HEALTH-005")
def test_health_seen_for_an_earlier_issuer_is_not_reused(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    sandbox.ready_issuer(kind, auth)
    report_health(sandbox.proxy, 501)
    sandbox.issuer(kind, auth).wait_not_ready("Vault is not initialized")


@requirement("VI-HEALTH-009")
def test_issuer_of_a_performance_standby_is_ready(sandbox: Sandbox, kind: str) -> None:
    report_health(sandbox.proxy, 473)
    sandbox.ready_issuer(kind)


@requirement("VI-HEALTH-010")
@pytest.mark.slow
def test_removed_node_or_disconnected_standby_keeps_issuer_not_ready(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        auth = sandbox.default_authentication(kind)
        never_ready(
            sandbox,
            kind,
            {f"health is {status}": {"auth": auth, "proxy": in_state(sandbox, status)} for status in (474, 530)},
        )

    for_each_kind(sandbox, check)


@requirement("VI-HEALTH-008")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_vault_without_a_health_state_keeps_issuer_not_ready(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        # A successful login does not prove health; without a login, only the health query can show the fault.
        auths = [sandbox.authenticate(feature, kind) for feature in claimed(sandbox, ("token", "approle"))]
        auths = auths or [sandbox.default_authentication(kind)]
        faults: dict[str, Fault] = {
            "500": Respond(500, json={"errors": ["internal error"]}),
            "500 with HTML": Respond(500, body=HTML, content_type="text/html"),
            "502": Respond(502, body=HTML, content_type="text/html"),
            "404 with HTML": Respond(404, body=HTML, content_type="text/html"),
            "an empty 400": Respond(400),
            "a reset of the connection": ResetBefore(),
        }
        variants: dict[str, dict[str, Any]] = {
            "no server listens": {"server": unreachable(sandbox)},
            "the host does not exist": {"server": f"https://{secrets.token_hex(6)}.invalid:8200"},
        }
        for answer, fault in faults.items():
            variants[f"health is answered by {answer}"] = {"proxy": with_fault(sandbox, Route.HEALTH, fault)}
        for number, options in enumerate(variants.values()):
            options["auth"] = auths[number % len(auths)]
        never_ready(sandbox, kind, variants)

    for_each_kind(sandbox, check)


@requirement("VI-HEALTH-021")
def test_server_other_than_vault_keeps_issuer_not_ready(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    answers: dict[str, Fault] = {
        "a page of HTML": Respond(200, body=HTML, content_type="text/html"),
        "JSON of another application": Respond(200, json={"status": "ok"}),
        "an empty object": Respond(200, json={}),
    }
    never_ready(
        sandbox,
        kind,
        {
            f"all requests are answered with {what}": {"auth": auth, "proxy": with_fault(sandbox, None, answer)}
            for what, answer in answers.items()
        },
    )


# -- the login ----------------------------------------------------------------------------------


def refused_logins(sandbox: Sandbox, kind: str, feature: str) -> dict[str, dict[str, Any]]:
    """Return specifications of one working method that Vault rejects, by a description of the error."""
    auth = sandbox.authenticate(feature, kind)
    policy = sandbox.sign_policy()
    if auth.approle is not None:
        other = sandbox.vault.approle(policy, mount=auth.approle.mount)
        foreign = sandbox.secret({auth.secret_key: other.secret_id}, namespace=auth.namespace)
        return {
            "the SecretID of another role": with_secret(auth, foreign),
            "the RoleID of another role": with_fields(auth, roleId=other.role_id),
            "a RoleID of no role": with_fields(auth, roleId=str(uuid.uuid4())),
            "a mount without the role": with_fields(auth, path=sandbox.vault.mount_auth("approle")),
        }
    assert auth.role is not None
    account = sandbox.service_account(auth.namespace)
    role = sandbox.vault.kubernetes_role(
        policy, service_account=account, namespace=auth.namespace, mount=auth.role.mount
    )
    wrong = {
        "a role for another service account": with_fields(auth, role=role.name),
        "a role that does not exist": with_fields(auth, role=f"role-{secrets.token_hex(4)}"),
        "a mount that does not exist": with_fields(auth, mountPath=f"/v1/auth/kubernetes-{secrets.token_hex(4)}"),
    }
    if auth.secret_name:
        token = sandbox.cluster.create_token(account, auth.namespace)
        name = sandbox.secret({auth.secret_key: token}, namespace=auth.namespace)
        sandbox.cluster.delete(SERVICE_ACCOUNTS, account, auth.namespace)
        wrong["the JWT of a deleted service account"] = with_fields(with_secret(auth, name), role=role.name)
    return wrong


@requirement("VI-HEALTH-011")
@each_feature((*LOGINS, "approle"), ("ClusterIssuer", "Issuer"))
def test_rejected_login_keeps_issuer_not_ready(sandbox: Sandbox, kind: str, feature: str) -> None:
    refused = refused_logins(sandbox, kind, feature)
    never_ready(sandbox, kind, {wrong: {"auth": spec} for wrong, spec in refused.items()})


# -- recovery -------------------------------------------------------------------------------------


@requirement("VI-HEALTH-007")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_issuer_becomes_ready_after_its_vault_recovers(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        auth = sandbox.default_authentication(kind)
        failures: list[tuple[str, Issuer, Callable[[], object]]] = []

        # Switching the proxy to an initialized Vault looks to the controller like an initialization.
        fresh = sandbox.new_proxy(upstream=sandbox.uninitialized_vault())
        ours = sandbox.environment.admin.server
        issuer = sandbox.issuer(kind, auth, proxy=fresh)
        failures.append(("not initialized", issuer, lambda: fresh.set_upstream(ours.url, ours.ca_pem)))

        sealed = sandbox.new_vault()
        vault = sandbox.workspace_in(sealed)
        pki = vault.pki()
        sealed_auth = sandbox.default_authentication(kind, pki=pki, vault=vault)
        sealed.seal()
        proxy = sandbox.new_proxy(upstream=sealed)
        failures.append(("sealed", sandbox.issuer(kind, sealed_auth, pki=pki, proxy=proxy), sealed.unseal))

        port = sandbox.closed_port()
        server = sandbox.proxy.url.rpartition(":")[0] + f":{port}"
        issuer = sandbox.issuer(kind, auth, server=server)
        failures.append(("unreachable", issuer, lambda: sandbox.new_proxy(port=port)))

        failing = with_fault(sandbox, Route.HEALTH, Respond(500, json={"errors": ["internal error"]}))
        issuer = sandbox.issuer(kind, auth, proxy=failing)
        failures.append(("answering its health query with 500", issuer, failing.clear_faults))

        for login in claimed(sandbox, LOGINS):
            refusing = with_fault(sandbox, Route.LOGIN, Respond(503, json={"errors": ["Vault is sealed"]}))
            issuer = sandbox.issuer(kind, sandbox.authenticate(login, kind), proxy=refusing)
            failures.append((f"rejecting the {login} login with 503", issuer, refusing.clear_faults))

        # The controller's own status update may trigger one attempt, before or after the recovery. This Vault fails
        # three times, so that a controller that gives up after two attempts does not pass.
        often = sandbox.new_proxy()
        often.inject(Route.HEALTH, Respond(501, json={"initialized": False, "sealed": True, "standby": True}), times=3)
        again = sandbox.issuer(kind, auth, proxy=often)

        for problem, issuer, recover in failures:
            issuer.wait_not_ready(f"its Vault is {problem}")
            recover()
        failures.append(("not initialized for three health queries", again, often.clear_faults))
        for problem, issuer, _ in failures:
            issuer.wait_ready(f"its Vault is no longer {problem}", timeout=sandbox.timeouts.retry)
        for request in [sandbox.request(issuer) for _, issuer, _ in failures]:
            request.wait_issued()

    for_each_kind(sandbox, check)


@requirement("VI-HEALTH-013")
def test_request_is_not_signed_before_the_issuer_is_ready(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    other = sandbox.issuer(kind, auth, proxy=sandbox.new_proxy())
    # Vault would accept login and sign request: only its health is bad. Vault's client does not retry a 501.
    report_health(sandbox.proxy, 501)
    issuer = sandbox.issuer(kind, auth)
    issuer.wait_not_ready("Vault is not initialized")
    request = sandbox.request(issuer)
    with at_barrier():
        other.wait_ready()
    sandbox.barrier(other)
    asked = len(sandbox.signings(request))
    assert not asked, f"expected no sign request before the issuer object is Ready, saw {asked}"
    assert not request.get().get("status", {}).get("certificate"), (
        "expected no certificate in the CertificateRequest, saw one"
    )
    sandbox.proxy.clear_faults()
    issuer.touch()
    request.wait_issued(timeout=sandbox.timeouts.retry)
    good = [exchange.number for exchange in sandbox.proxy.seen(Route.HEALTH) if exchange.upstream]
    assert good, "expected another health query after the recovery, saw none"
    assert all(signing.number > good[0] for signing in sandbox.signings(request)), (
        "expected sign requests only after a successful health query, saw an earlier one"
    )


@requirement("VI-HEALTH-013")
@pytest.mark.holds_controller
def test_request_is_not_signed_before_the_first_health_response(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    other = sandbox.ready_issuer(kind, auth, proxy=sandbox.new_proxy())
    hold = Hold()
    sandbox.proxy.inject(Route.HEALTH, hold)
    issuer = sandbox.issuer(kind, auth)
    wait_held(sandbox, hold, "a query of v1/sys/health")
    request = sandbox.request(issuer)
    if sandbox.environment.works_at_once:
        sandbox.barrier(other)
    else:
        settle(request)  # the held query may keep it from anything else
    asked = len(sandbox.signings(request))
    assert not asked, f"expected no sign request before Vault's health response, saw {asked}"
    hold.release()
    request.wait_issued(timeout=sandbox.timeouts.retry)


# -- status --------------------------------------------------------------------------------------------


def shown_as_false(issuer: Issuer, problem: str) -> str:
    """Return the STATUS of an issuer object after READY becomes False."""
    issuer.wait(is_false, f"to be not Ready ({problem})", timeout=issuer.timeouts.issuer)
    assert shown(issuer, "READY") == "False", f"expected False as READY ({problem})"
    return shown(issuer, "STATUS")


@requirement("VI-HEALTH-012")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_status_states_the_problem(sandbox: Sandbox) -> None:
    def check(kind: str) -> None:
        auth = sandbox.default_authentication(kind)
        sealed = sandbox.issuer(kind, auth, proxy=in_state(sandbox, 503))
        fresh = sandbox.issuer(kind, auth, proxy=in_state(sandbox, 501))
        failing = with_fault(sandbox, Route.HEALTH, Respond(500, json={"errors": ["internal error"]}))
        others = {
            "health is answered by 500": sandbox.issuer(kind, auth, proxy=failing),
            "no server listens": sandbox.issuer(kind, auth, server=unreachable(sandbox)),
        }
        for login in claimed(sandbox, LOGINS)[:1]:
            for wrong, spec in list(refused_logins(sandbox, kind, login).items())[:1]:
                others[wrong] = sandbox.issuer(kind, spec)

        text = shown_as_false(fresh, "Vault is not initialized")
        assert re.search(r"(not |un)initiali[sz]ed", text, re.IGNORECASE), (
            f"expected STATUS to state that Vault is not initialized, saw {text!r}"
        )
        text = shown_as_false(sealed, "Vault is sealed")
        # "initialized and unsealed" describes the expected state, not the observed one.
        assert re.search(r"\bsealed", text, re.IGNORECASE), (
            f"expected STATUS to state that Vault is sealed, saw {text!r}"
        )
        for problem, issuer in others.items():
            text = shown_as_false(issuer, problem)
            assert text.strip(), f"expected STATUS to state the problem ({problem}), saw an empty STATUS"
            assert not re.search(r"\b(is|was) sealed", text, re.IGNORECASE), (
                f"expected STATUS not to state that Vault is sealed, saw {text!r} ({problem})"
            )

    for_each_kind(sandbox, check)


def shown_as_sealed(issuer: Issuer, _: Object) -> bool:
    """Whether the STATUS of an issuer object states that Vault is sealed."""
    return bool(re.search(r"\bsealed", shown(issuer, "STATUS"), re.IGNORECASE))


@requirement("VI-HEALTH-012")
@pytest.mark.slow
def test_status_follows_a_changed_problem(sandbox: Sandbox) -> None:
    vault = sandbox.new_vault(initialize=False)
    issuers: list[Issuer] = []

    def fail(kind: str) -> None:
        issuer = sandbox.issuer(kind, proxy=sandbox.new_proxy(upstream=vault))
        shown_as_false(issuer, "Vault is not initialized")
        issuers.append(issuer)

    for_each_kind(sandbox, fail)
    vault.initialize()
    for issuer in issuers:
        what = "to state in STATUS that Vault is sealed now"
        issuer.wait(partial(shown_as_sealed, issuer), what, timeout=sandbox.timeouts.retry)


def assert_judged(item: Object) -> None:
    seen, generation = condition(item, "Ready").get("observedGeneration"), item["metadata"]["generation"]
    assert seen == generation, f"expected observedGeneration {generation}, saw {seen}"


@requirement("VI-HEALTH-014")
def test_condition_names_the_evaluated_generation(sandbox: Sandbox, kind: str) -> None:
    auth, other = another_role(sandbox, kind, sandbox.pki)
    issuer = sandbox.ready_issuer(kind, auth)
    assert_judged(issuer.get())
    issuer.change(lambda vault: vault.update(path=other.sign_path))
    assert_judged(issuer.wait_ready())
    issuer.change(lambda vault: vault.update(auth=with_absent_reference(auth)))
    assert_judged(issuer.wait_not_ready("its configuration was changed to one that cannot work"))
    created_wrong = sandbox.issuer(kind, with_absent_reference(auth))
    assert_judged(created_wrong.wait_not_ready("its configuration cannot work"))
    created_wrong.change(lambda vault: vault.update(auth=with_absent_reference(auth)))
    assert_judged(created_wrong.wait_not_ready("its configuration cannot work"))


@requirement("VI-HEALTH-014")
@pytest.mark.holds_controller
def test_condition_does_not_name_an_unevaluated_generation(sandbox: Sandbox, kind: str) -> None:
    auth, other = another_role(sandbox, kind, sandbox.pki)
    hold = Hold()
    sandbox.proxy.inject(Route.HEALTH, hold)
    issuer = sandbox.issuer(kind, auth)
    wait_held(sandbox, hold, "a query of v1/sys/health")
    before = issuer.get()["metadata"]["generation"]
    # The path too: a shape may write the authentication into another object, which has a generation of its own.
    issuer.change(lambda vault: vault.update(path=other.sign_path, auth=with_absent_reference(auth)))
    if issuer.get()["metadata"]["generation"] == before:
        raise NotRunnable("the configuration is in other objects: its changes give the issuer object no new generation")
    states = []

    def judged(item: Object) -> bool:
        hold.release()  # only now that the test watches every change
        entry = condition(item, "Ready")
        states.append((entry.get("status"), entry.get("observedGeneration") == item["metadata"]["generation"]))
        return states[-1] == ("False", True)

    issuer.wait(judged, "to be not Ready with its changed specification", timeout=sandbox.timeouts.retry)
    assert ("True", True) not in states, "expected Ready never True for the changed specification, saw Ready=True"


@requirement("VI-HEALTH-022")
def test_transition_time_changes_only_with_the_status(sandbox: Sandbox, kind: str) -> None:
    auth, other = another_role(sandbox, kind, sandbox.pki)
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.barrier(issuer)  # a controller may check an issuer object again after its own update
    long_ago = set_transition_time(issuer)
    mark = sandbox.proxy.mark()
    issuer.change(lambda vault: vault.update(path=other.sign_path))
    with at_barrier():
        sandbox.proxy.wait_for(
            Route.HEALTH, since=mark, timeout=sandbox.timeouts.wire, what="a health query after the change"
        )
    issuer.wait_ready()
    assert transition_time(issuer) == long_ago, "expected an unchanged lastTransitionTime"
    issuer.change(lambda vault: vault.update(auth=with_absent_reference(auth)))
    issuer.wait_not_ready("its configuration was changed to one that cannot work")
    assert transition_time(issuer) != long_ago, (
        "expected a new lastTransitionTime after a status change, saw the old one"
    )


@requirement("VI-HEALTH-023")
def test_condition_has_a_machine_readable_reason(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    broken = sandbox.issuer(kind, auth, proxy=in_state(sandbox, 501))
    reasons = {
        "True": condition(sandbox.ready_issuer(kind, auth).get(), "Ready").get("reason"),
        "False": condition(broken.wait_not_ready("Vault is not initialized"), "Ready").get("reason"),
    }
    for status, reason in reasons.items():
        assert re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", reason or ""), (
            f"expected a machine-readable reason of Ready={status}, saw {reason!r}"
        )
    assert reasons["True"] != reasons["False"], (
        f"expected different reasons of Ready=True and Ready=False, saw {reasons['True']!r} for both"
    )


@requirement("VI-HEALTH-026")
def test_conditions_of_others_stay(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    issuer = sandbox.ready_issuer(kind, auth)
    sandbox.barrier(issuer)  # a controller may check an issuer object again after its own update
    foreign = condition_of_another()
    issuer.write_conditions([*issuer.conditions(), foreign])
    issuer.change(lambda vault: vault.update(auth=with_absent_reference(auth)))
    issuer.wait_not_ready("its configuration was changed to one that cannot work")
    assert foreign in issuer.conditions(), (
        "expected the condition of another controller to stay when the issuer object became not Ready, saw it changed"
    )
    issuer.change(lambda vault: vault.update(auth=auth.spec))
    issuer.wait_ready(timeout=sandbox.timeouts.retry)
    assert foreign in issuer.conditions(), (
        "expected the condition of another controller to stay when the issuer object became Ready, saw it changed"
    )


def calls_for(sandbox: Sandbox, issuer: Issuer, service_account: str) -> int:
    """Return the number of API calls in the audit log that change an issuer object or request a token for it.

    It is 0 if the audit log cannot be read: then only the requests to Vault count.
    """
    if sandbox.audit_start is None:
        return 0
    user = user_name(*sandbox.environment.service_account.split("/"))
    names = {issuer.name, service_account} - {""}
    return sum(
        record["user"]["username"] == user and record.get("objectRef", {}).get("name") in names
        for record in sandbox.audit_start.records()
    )


@requirement("VI-HEALTH-024")
@pytest.mark.holds_controller
def test_controller_pauses_between_its_attempts(sandbox: Sandbox, kind: str) -> None:
    auth = sandbox.default_authentication(kind)
    other = sandbox.ready_issuer(kind, auth, proxy=sandbox.new_proxy())
    # Not initialized: Vault's client library does not retry a 501.
    proxy = in_state(sandbox, 501)
    broken = [("with a Vault that is not initialized", sandbox.issuer(kind, auth, proxy=proxy), proxy, "")]
    # The error may contain the port of the connection: a status that changes each time must not cause an attempt.
    proxy = with_fault(sandbox, None, ResetBefore())
    broken.append(("whose Vault resets each connection", sandbox.issuer(kind, auth, proxy=proxy), proxy, ""))
    # Of the methods that log in, the last one also costs a TokenRequest.
    for feature in claimed(sandbox, LOGINS)[-1:]:
        login = sandbox.authenticate(feature, kind)
        proxy = with_fault(sandbox, Route.LOGIN, Respond(403, json={"errors": ["permission denied"]}))
        issuer = sandbox.issuer(kind, login, proxy=proxy)
        broken.append((f"whose {feature} login is rejected", issuer, proxy, login.service_account))
    for what, issuer, _, _ in broken:
        issuer.wait_not_ready(f"it is one {what}")
    # Whether a redirect is an answer is up to the controller. It must not follow it forever.
    circle = sandbox.new_proxy()
    circle.inject(None, Redirect(f"{circle.url}/v1/sys/health"))
    broken.append(("whose Vault redirects to itself", sandbox.issuer(kind, auth, proxy=circle), circle, ""))
    circle.wait_for(None, timeout=sandbox.timeouts.wire, what="a request to a Vault that redirects to itself")

    def attempts() -> list[tuple[int, int]]:
        return [(len(proxy.seen()), calls_for(sandbox, issuer, account)) for _, issuer, proxy, account in broken]

    before = attempts()
    for _ in range(MEANWHILE):
        sandbox.barrier(other)
    for (what, *_), earlier, later in zip(broken, before, attempts(), strict=True):
        asked, called = (now - then for then, now in zip(earlier, later, strict=True))
        assert max(asked, called) <= 2 * MEANWHILE, (
            f"expected at most {2 * MEANWHILE} requests to Vault and as many API calls for an issuer object {what} "
            f"while {MEANWHILE} requests are issued, saw {asked} and {called}"
        )


@requirement("VI-HEALTH-025")
@EACH_FEATURE
def test_requests_satisfy_a_vault_proxy_that_requires_a_header(sandbox: Sandbox, kind: str, feature: str) -> None:
    proxy = sandbox.new_proxy(request_header_required=True)
    sandbox.issued(sandbox.ready_issuer(kind, sandbox.authenticate(feature, kind), proxy=proxy))


@requirement("VI-HEALTH-027")
@pytest.mark.parametrize("known", ["more", "fewer"])
def test_other_fields_of_a_response_do_not_matter(sandbox: Sandbox, kind: str, known: str) -> None:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"new_field": {"enabled": True}}

    def reduce(answer: dict[str, Any]) -> dict[str, Any]:
        return {field: value for field, value in answer.items() if field in ("initialized", "sealed", "standby")}

    if known == "fewer":
        sandbox.proxy.inject(Route.HEALTH, Tamper(reduce, "leave out fields"))
    else:
        for route in (Route.HEALTH, Route.LOGIN, Route.SIGN):
            sandbox.proxy.inject(route, Tamper(change, "add a field"))
    auth = sandbox.authenticate((claimed(sandbox, LOGINS) or claimed(sandbox))[0], kind)
    sandbox.issued(sandbox.ready_issuer(kind, auth))


@requirement("VI-HEALTH-028")
@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_form_of_the_media_type_does_not_matter(sandbox: Sandbox, kind: str, media_type: str) -> None:
    sandbox.proxy.inject(None, ResponseHeader("Content-Type", media_type))
    auth = sandbox.authenticate((claimed(sandbox, LOGINS) or claimed(sandbox))[0], kind)
    sandbox.issued(sandbox.ready_issuer(kind, auth))


@requirement("VI-HEALTH-029")
@alternating(("kind",), [("Issuer",)])
def test_compressed_responses_are_read(sandbox: Sandbox, kind: str) -> None:
    sandbox.proxy.inject(None, Compress())
    auth = sandbox.authenticate((claimed(sandbox, LOGINS) or claimed(sandbox))[0], kind)
    sandbox.issued(sandbox.ready_issuer(kind, auth))
