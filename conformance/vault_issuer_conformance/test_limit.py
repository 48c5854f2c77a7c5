"""Limits of Vault, and the rate of retries while attempts fail."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from pytest_vault_issuer import (
    Authentication,
    Exchange,
    NotRunnable,
    Respond,
    Route,
    Sandbox,
    at_barrier,
    requirement,
    retry_later,
    user_name,
)

from .budget import being_refused, window
from .helpers import LOGINS, claimed, picky_pki, require_no_token_permission
from .interrupted import one_kind
from .refusals import refused

#: Seconds in the header Retry-After: longer than the first retries of usual clients.
AFTER = 3
#: Number of refusals before Vault works: Vault's own client tries three times.
REFUSALS = 2
#: Failed logins after which Vault locks a role. By default it takes five, in a quarter of an hour.
LOCKOUT_THRESHOLD = 25
#: Connections that a Vault with few of them allows at a time.
FEW_CONNECTIONS = 4
#: Number of requests that are approved at once.
REQUESTS = 8
#: Number of consecutive requests after which connections are counted.
SIGNINGS = 60


def login_authentication(sandbox: Sandbox, kind: str) -> Authentication:
    """Prepare an authentication method that logs in.

    :raises NotRunnable: if the implementation claims none.
    """
    features = claimed(sandbox, LOGINS)
    if not features:
        raise NotRunnable("the implementation claims no authentication method that logs in", hint="claim approle")
    return sandbox.authenticate(features[0], kind)


def with_status(exchanges: list[Exchange], status: int) -> list[Exchange]:
    """Return the exchanges that the proxy answered with a status."""
    return [exchange for exchange in exchanges if exchange.status == status]


def assert_paused(refused: Exchange, exchanges: list[Exchange], what: str) -> None:
    """Check that no request followed a refusal before the time in Retry-After had passed."""
    early = [e.started - refused.started for e in exchanges if refused.number < e.number]
    assert not early or min(early) >= AFTER, (
        f"expected no further {what} within {AFTER} s after a response with Retry-After: {AFTER}, "
        f"saw one after {min(early):.1f} s"
    )


# -- temporary refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status",
    [pytest.param(429, marks=requirement("VI-LIMIT-001")), pytest.param(412, marks=requirement("VI-LIMIT-003"))],
)
@pytest.mark.holds_controller
def test_refused_login_is_tried_again(sandbox: Sandbox, status: int) -> None:
    kind = one_kind(sandbox)
    auth = login_authentication(sandbox, kind)
    late, signing = sandbox.new_proxy(), sandbox.new_proxy()
    served = sandbox.ready_issuer(kind, auth, proxy=signing)
    late.inject(Route.LOGIN, retry_later(status), times=REFUSALS)
    signing.inject(Route.LOGIN, retry_later(status), times=REFUSALS)
    issuer = sandbox.issuer(kind, auth, proxy=late)
    request = sandbox.request(served)
    issuer.wait_ready(timeout=sandbox.timeouts.retry)
    request.wait_issued(timeout=sandbox.timeouts.retry)
    seen = len(with_status(late.seen(Route.LOGIN), status))
    assert seen == REFUSALS, f"expected further logins until Vault accepts one, saw {seen} refused"


@pytest.mark.parametrize(
    "status",
    [pytest.param(429, marks=requirement("VI-LIMIT-002")), pytest.param(412, marks=requirement("VI-LIMIT-004"))],
)
@pytest.mark.holds_controller
def test_refused_signing_is_tried_again(sandbox: Sandbox, status: int) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    sandbox.proxy.inject(Route.SIGN, retry_later(status), times=REFUSALS)
    request = sandbox.request(issuer)
    request.wait_issued(timeout=sandbox.timeouts.retry)
    seen = len(with_status(sandbox.signings(request), status))
    assert seen == REFUSALS, f"expected further sign requests until Vault accepts one, saw {seen} refused"


@requirement("VI-LIMIT-005")
@pytest.mark.holds_controller
def test_retry_after_of_a_login_is_respected(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = login_authentication(sandbox, kind)
    sandbox.proxy.inject(Route.LOGIN, retry_later(429, after=AFTER), times=1)
    sandbox.issuer(kind, auth).wait_ready(timeout=sandbox.timeouts.retry)
    logins = sandbox.proxy.seen(Route.LOGIN)
    assert_paused(with_status(logins, 429)[0], logins, "login")


@requirement("VI-LIMIT-006")
@pytest.mark.holds_controller
def test_retry_after_of_a_signing_is_respected(sandbox: Sandbox) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    # A controller may try again at once if it learns of a change of the issuer object, so let it learn of the last one.
    sandbox.issued(issuer)
    sandbox.proxy.inject(Route.SIGN, retry_later(429, after=AFTER), times=1)
    request = sandbox.request(issuer)
    request.wait_issued(timeout=sandbox.timeouts.retry)
    signings = sandbox.signings(request)
    assert_paused(with_status(signings, 429)[0], signings, "sign request")


@requirement("VI-LIMIT-014")
@pytest.mark.holds_controller
def test_date_in_retry_after_is_understood(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = login_authentication(sandbox, kind)
    headers = [("Retry-After", format_datetime(datetime.now(UTC), usegmt=True))]
    limited = Respond(429, json={"errors": ["rate limit quota exceeded"]}, headers=headers)
    for route in (Route.LOGIN, Route.SIGN):
        sandbox.proxy.inject(route, limited, times=1)
    issuer = sandbox.issuer(kind, auth)
    issuer.wait_ready(timeout=sandbox.timeouts.retry)
    sandbox.request(issuer).wait_issued(timeout=sandbox.timeouts.retry)


# -- budgets ------------------------------------------------------------------------------------------------------


@requirement("VI-LIMIT-007")
@pytest.mark.holds_controller
def test_rate_limited_logins_are_paced(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = login_authentication(sandbox, kind)
    other = sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    sandbox.proxy.inject(Route.LOGIN, retry_later(429))
    sandbox.issuer(kind, auth)
    sandbox.proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire, what="a login")
    since = sandbox.proxy.mark()
    passed = window(other, sandbox)
    passed.check(len(sandbox.proxy.seen(Route.LOGIN, since=since)), "logins that Vault limits")


@requirement("VI-LIMIT-008")
@pytest.mark.holds_controller
def test_sign_requests_that_fail_are_paced(sandbox: Sandbox) -> None:
    request, other = being_refused(sandbox, one_kind(sandbox))
    before = len(sandbox.signings(request))
    passed = window(other, sandbox)
    passed.check(len(sandbox.signings(request)) - before, "sign requests that Vault refuses for the moment")


@requirement("VI-LIMIT-009")
def test_refused_token_requests_are_paced(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = sandbox.kubernetes_secretless(kind, grant=False)
    require_no_token_permission(sandbox, auth)
    other = sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    audit = sandbox.audit

    def is_refused(record: Mapping[str, Any]) -> bool:
        target = record.get("objectRef", {})
        return (target.get("subresource"), target.get("namespace"), target.get("name")) == (
            "token",
            auth.namespace,
            auth.service_account,
        )

    sandbox.issuer(kind, auth).wait_not_ready("the controller may not create tokens of its service account")
    before = len(audit.wait(is_refused))
    passed = window(other, sandbox)
    passed.check(len(audit.wait(is_refused, count=before)) - before, "refused TokenRequests")


@requirement("VI-LIMIT-010")
def test_wrong_secret_id_does_not_lock_the_role(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    other = sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    auth = sandbox.approle(kind)
    assert auth.approle is not None
    sandbox.vault.enable_lockout(auth.approle.mount, LOCKOUT_THRESHOLD)
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: secrets.token_hex(16)})
    issuer = sandbox.issuer(kind, auth)
    sandbox.proxy.wait_for(Route.LOGIN, timeout=sandbox.timeouts.wire, what="a login with the wrong SecretID")
    passed = window(other, sandbox)
    attempts = len(sandbox.proxy.seen(Route.LOGIN))
    assert sandbox.vault.accepts_login(auth.approle), (
        f"expected fewer than {LOCKOUT_THRESHOLD} logins with a wrong SecretID in {passed.seconds:.1f} s, "
        f"saw {attempts}: Vault has locked the role"
    )
    sandbox.set_secret(auth.secret_name, auth.namespace, {auth.secret_key: auth.credential})
    issuer.wait_ready("its SecretID was corrected", timeout=sandbox.timeouts.retry)


def writes(sandbox: Sandbox) -> list[str]:
    """Return the writes of the controller in the test's namespace, such as `patch events`."""
    user = user_name(*sandbox.environment.service_account.split("/"))
    return [
        f"{record['verb']} {record['objectRef']['resource']}"
        for record in sandbox.audit.records()
        if record["user"]["username"] == user and record.get("objectRef", {}).get("namespace") == sandbox.namespace
    ]


@requirement("VI-LIMIT-011")
@pytest.mark.holds_controller
def test_finished_and_waiting_requests_are_left_alone(sandbox: Sandbox, suite_approves: None) -> None:
    kind = one_kind(sandbox)
    elsewhere: dict[str, Any] = {"namespace": sandbox.other_namespace}
    at_home = elsewhere if not sandbox.kind(kind).cluster_scoped else {}
    other = sandbox.ready_issuer(kind, sandbox.default_authentication(kind, **at_home), **at_home)
    pki, _ = picky_pki(sandbox)
    picky = sandbox.ready_issuer(kind, sandbox.default_authentication(kind, pki=pki), pki=pki)
    broken = sandbox.new_proxy()
    broken.inject(None, retry_later(503))
    waiting = sandbox.issuer(kind, proxy=broken)
    waiting.wait_not_ready("its Vault is overloaded")
    refused = sandbox.request(picky)
    denied = sandbox.request(picky, approve=False)
    denied.deny()
    sandbox.request(waiting)
    sandbox.barrier(other, **elsewhere)
    sandbox.proxy.wait_for(Route.SIGN, timeout=sandbox.timeouts.wire, what="a sign request that Vault refuses")
    assert not refused.certificates(), f"expected no certificate in {refused}, whose name the role refuses, saw one"
    before = len(writes(sandbox))
    passed = window(other, sandbox, namespace=sandbox.other_namespace)
    again = writes(sandbox)[before:]
    what = f"writes for a request that failed, one that is denied and one that waits {set(again)}"
    passed.check(len(again), what, each=2)  # of the status, and of an event


@contextlib.contextmanager
def certificates_refused(sandbox: Sandbox) -> Iterator[None]:
    """Let the API server refuse certificates in CertificateRequests in the test's namespace during the block."""
    issuer = sandbox.ready_issuer(one_kind(sandbox), proxy=sandbox.new_proxy())
    other = sandbox.request(issuer, approve=False, namespace=sandbox.namespace)

    def write() -> None:
        body = {"status": {"certificate": "bm9uZQ=="}}
        sandbox.cluster.patch(other.resource, other.name, other.namespace, body, subresource="status")

    group, allowed = "cert-manager.io", "!has(object.status.certificate)"
    with refused(sandbox, group, "certificaterequests/status", allowed, write, namespace=sandbox.namespace):
        yield


@requirement("VI-LIMIT-015")
def test_signing_is_paced_while_the_api_server_refuses_the_certificate(sandbox: Sandbox, suite_approves: None) -> None:
    kind = one_kind(sandbox)
    elsewhere: dict[str, Any] = {"namespace": sandbox.other_namespace}
    at_home = elsewhere if not sandbox.kind(kind).cluster_scoped else {}
    other = sandbox.ready_issuer(
        kind, sandbox.default_authentication(kind, **at_home), proxy=sandbox.new_proxy(), **at_home
    )
    issuer = sandbox.ready_issuer(kind)
    with certificates_refused(sandbox):
        request = sandbox.request(issuer, namespace=sandbox.namespace)
        sandbox.proxy.wait_for(Route.SIGN, timeout=sandbox.timeouts.wire, what="a sign request")
        before = len(sandbox.signings(request))
        passed = window(other, sandbox, namespace=sandbox.other_namespace)
        signed = len(sandbox.signings(request)) - before
    passed.check(signed, "sign requests for a CertificateRequest whose certificate the API server refuses")
    request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-LIMIT-016")
def test_status_of_an_issuer_is_written_after_a_refusal(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    name, resource = sandbox.issuer_name(), sandbox.kind(kind).resource
    another = sandbox.issuer(kind, name=f"{name}-another", proxy=sandbox.new_proxy())
    allowed = f"!object.metadata.name.startsWith('{name}')"

    def write() -> None:
        another.write_conditions(another.conditions())

    with refused(sandbox, resource.group, f"{resource.plural}/status", allowed, write):
        issuer = sandbox.issuer(kind, name=name)
        sandbox.proxy.wait_for(Route.HEALTH, timeout=sandbox.timeouts.wire, what="a health query")
        with at_barrier():
            sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    issuer.wait_ready("the API server accepts its status again", timeout=sandbox.timeouts.retry)


# -- connections --------------------------------------------------------------------------------------------------


@requirement("VI-LIMIT-012")
def test_vault_with_few_connections_serves_many_requests(sandbox: Sandbox) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    sandbox.proxy.limit_connections(FEW_CONNECTIONS)
    requests = [sandbox.request(issuer) for _ in range(REQUESTS)]
    for request in requests:
        request.wait_issued(timeout=2 * sandbox.timeouts.retry)


@requirement("VI-LIMIT-013")
def test_connections_do_not_pile_up(sandbox: Sandbox) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    signing = sandbox.new_signing()
    for _ in range(SIGNINGS):
        sandbox.issued(issuer, signing)
    assert_few_connections(sandbox)


@requirement("VI-LIMIT-013")
def test_connections_do_not_pile_up_while_vault_refuses_to_sign(sandbox: Sandbox) -> None:
    pki, _ = picky_pki(sandbox)
    kind = one_kind(sandbox)
    issuer = sandbox.ready_issuer(kind, sandbox.default_authentication(kind, pki=pki), pki=pki)
    signing = sandbox.new_signing()
    for _ in range(SIGNINGS):
        sandbox.request(issuer, signing).wait_failed()
    assert_few_connections(sandbox)


def assert_few_connections(sandbox: Sandbox) -> None:
    """Check that the controller did not leave a connection open for each of the consecutive requests."""
    bound = SIGNINGS // 2
    seen = sandbox.proxy.peak_connections
    assert seen <= bound, f"expected at most {bound} open connections after {SIGNINGS} consecutive requests, saw {seen}"
