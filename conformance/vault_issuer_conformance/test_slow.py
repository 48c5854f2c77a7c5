"""Slow, failing and interrupted responses of Vault: a request ends, and is tried again."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

import pytest

from pytest_vault_issuer import (
    Authentication,
    CertificateRequest,
    Exchange,
    Hang,
    Hold,
    Issuer,
    Latency,
    NotRunnable,
    Proxy,
    Redirect,
    ResetAfter,
    Respond,
    Route,
    Sandbox,
    Trickle,
    Unmet,
    UnsupportedError,
    poll,
    requirement,
)

from .helpers import LOGINS, claimed, wait_held
from .interrupted import assert_issued_once, one_kind

#: What a load balancer answers whose servers do not.
BAD_GATEWAY = "<html><body><h1>502 Bad Gateway</h1></body></html>"
#: Failures in a row: more than the three tries of Vault's client library.
FAILURES = 4
#: Seconds that the token of a login lives: longer than a right controller takes from a login to a sign request.
TTL = 3
#: Requests that wait for one Vault.
WAITING = 4


def slow() -> Latency:
    """Return a latency that is longer than the timeouts of impatient clients."""
    return Latency.between(6, 8)


def with_login(sandbox: Sandbox, kind: str) -> Authentication | None:
    """Return an authentication that logs in; None if the implementation has none."""
    methods = claimed(sandbox, LOGINS)
    return sandbox.authenticate(methods[0], kind) if methods else None


def each_of(sandbox: Sandbox, kind: str, route: Route) -> dict[Route, Authentication]:
    """Return a kind of request to Vault, and the login if the implementation has one, each with an authentication."""
    login = with_login(sandbox, kind)
    return {route: sandbox.default_authentication(kind)} | ({Route.LOGIN: login} if login else {})


@contextlib.contextmanager
def issued_once(sandbox: Sandbox, issuer: Issuer) -> Iterator[CertificateRequest]:
    """Create a request, and check after the block that it is issued, once, and does not fail before."""
    request = sandbox.request(issuer)
    with request.recorded() as states:
        yield request
        request.wait_issued(timeout=sandbox.timeouts.retry)
        sandbox.barrier(issuer)
    assert_issued_once(states, request)


# -- responses that come late, or never --------------------------------------------------------------


@requirement("VI-SLOW-001")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_issuer_of_a_slow_vault_is_ready(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    issuers = {}
    for route, auth in each_of(sandbox, kind, Route.HEALTH).items():
        proxy = sandbox.new_proxy()
        proxy.inject(route, slow())
        issuers[route] = sandbox.issuer(kind, auth, proxy=proxy)
    for route, issuer in issuers.items():
        issuer.wait_ready(f"a {route.value} request takes 6 to 8 s", timeout=sandbox.timeouts.retry)


@requirement("VI-SLOW-002")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_request_to_a_slow_vault_is_issued(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    requests = []
    for route, auth in each_of(sandbox, kind, Route.SIGN).items():
        proxy = sandbox.new_proxy()
        issuer = sandbox.ready_issuer(kind, auth, proxy=proxy)
        proxy.inject(route, slow())
        requests.append(sandbox.request(issuer))
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)


def wait_given_up(sandbox: Sandbox, proxy: Proxy, route: Route) -> None:
    """Wait until the controller ends a request that hangs.

    Vault cancels a request after 90 s, unless it is configured otherwise: one and a half times the bound of a retry.
    """
    proxy.wait_for(
        route,
        where=lambda exchange: exchange.fault == Hang().name,
        timeout=1.5 * sandbox.timeouts.retry,
        what=f"the end of a {route.value} request without a response",
    )


@requirement("VI-SLOW-003")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_issuer_is_ready_after_a_check_that_hung(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    hung = []
    for route, auth in each_of(sandbox, kind, Route.HEALTH).items():
        proxy = sandbox.new_proxy()
        proxy.inject(route, Hang(), times=1)
        hung.append((sandbox.issuer(kind, auth, proxy=proxy), proxy, route))
    for issuer, proxy, route in hung:
        wait_given_up(sandbox, proxy, route)
        issuer.wait_ready(f"its Vault answers {route.value} requests again", timeout=sandbox.timeouts.retry)


@requirement("VI-SLOW-004")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_request_is_issued_after_a_sign_request_that_hung(sandbox: Sandbox) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    sandbox.proxy.inject(Route.SIGN, Hang(), times=1)
    with issued_once(sandbox, issuer):
        wait_given_up(sandbox, sandbox.proxy, Route.SIGN)


@requirement("VI-SLOW-007")
@pytest.mark.holds_controller
def test_trickled_responses_are_read_to_their_end(sandbox: Sandbox) -> None:
    # A response with a certificate and its chain takes about three seconds.
    sandbox.proxy.inject(None, Trickle(64, 0.05, 60))
    issuer = sandbox.issuer(one_kind(sandbox))
    issuer.wait_ready("its Vault answers in small pieces", timeout=sandbox.timeouts.retry)
    sandbox.request(issuer).wait_issued(timeout=sandbox.timeouts.retry)


# -- responses that fail now and then ----------------------------------------------------------------


def one_of_each_two() -> Callable[[Exchange], bool]:
    """Return a condition that is true for one of each two requests, in an order that never repeats (Thue-Morse).

    A strict alternation can keep in step with a controller, whose logins for requests would then all fail.
    """
    numbers = itertools.count()
    return lambda _: next(numbers).bit_count() % 2 == 0


@requirement("VI-SLOW-005")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_vault_that_fails_every_second_time_is_used(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    proxy = sandbox.new_proxy()
    sealed = Respond(503, json={"initialized": True, "sealed": True, "standby": True, "errors": ["Vault is sealed"]})
    # Each kind of request fails every second time: a controller that begins with health at each try gets ahead.
    for route in (Route.HEALTH, Route.LOGIN, Route.SIGN):
        proxy.inject(route, sealed, where=one_of_each_two())
    issuer = sandbox.issuer(kind, with_login(sandbox, kind), proxy=proxy)
    issuer.wait_ready("its Vault answers every second request", timeout=sandbox.timeouts.retry)
    sandbox.request(issuer).wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-SLOW-006")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_request_is_issued_after_server_errors_while_signing(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = sandbox.default_authentication(kind)
    answers = (
        Respond(500, json={"errors": ["internal error"]}),
        Respond(502, body=BAD_GATEWAY, content_type="text/html"),
        Respond(503, json={"errors": ["Vault is sealed"]}),
        Respond(504, body=""),
    )
    outages = []
    for answer in answers:
        proxy = sandbox.new_proxy()
        issuer = sandbox.ready_issuer(kind, auth, proxy=proxy)
        outages.append((proxy.inject(Route.SIGN, answer, times=FAILURES), sandbox.request(issuer)))
    # A controller with slow retries meets only the first failures.
    bound = sandbox.timeouts.bound(sandbox.timeouts.wire / 2)
    for outage, _ in outages:
        with contextlib.suppress(Unmet):
            outage.wait(bound.left())
    for outage, request in outages:
        outage.remove()
        assert outage.hits, f"expected a sign request for {request}, saw none"
        request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-SLOW-011")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_request_is_issued_after_redirects_in_a_circle(sandbox: Sandbox) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    # During an election, a standby redirects to the former active node, which is a standby now.
    circle = sandbox.proxy.inject(
        Route.SIGN, Redirect(f"{sandbox.proxy.url}/v1/{sandbox.pki.sign_path}"), times=FAILURES
    )
    request = sandbox.request(issuer)
    with contextlib.suppress(Unmet):
        circle.wait(sandbox.timeouts.wire / 2)
    circle.remove()
    assert circle.hits, f"expected a sign request for {request}, saw none"
    request.wait_issued(timeout=sandbox.timeouts.retry)


@requirement("VI-SLOW-008")
@pytest.mark.holds_controller
def test_request_is_issued_after_its_response_was_lost(sandbox: Sandbox) -> None:
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    lost = sandbox.proxy.inject(Route.SIGN, ResetAfter(), times=1)
    with issued_once(sandbox, issuer):
        lost.wait(sandbox.timeouts.wire)


# -- tokens that expire, and other Vaults -------------------------------------------------------------


@requirement("VI-SLOW-009")
def test_login_is_repeated_after_its_token_expired(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = with_login(sandbox, kind)
    if auth is None:
        raise NotRunnable("the implementation claims no authentication method that logs in")
    role = auth.approle or auth.role
    assert role is not None
    sandbox.vault.set_auth_role(role, token_ttl=TTL, token_max_ttl=TTL)
    issuer = sandbox.ready_issuer(kind, auth)
    used = sandbox.signings(sandbox.issued(issuer))[-1].token
    ended = poll(lambda: None if sandbox.vault.is_valid(used) else True, timeout=TTL + sandbox.timeouts.api)
    assert ended, f"expected the token of a login to expire after {TTL} s, saw it live"
    sandbox.issued(issuer)


@requirement("VI-SLOW-010")
@pytest.mark.holds_controller
def test_slow_vault_does_not_delay_others(sandbox: Sandbox) -> None:
    concurrency = sandbox.environment.concurrency
    if concurrency is not None and concurrency <= WAITING:
        raise UnsupportedError(
            f"the controller cannot work on another object while {WAITING} requests wait for Vault",
            hint="[run] concurrency states how many objects it works on at once",
        )
    kind = one_kind(sandbox)
    auth = sandbox.default_authentication(kind)
    proxy = sandbox.new_proxy()
    issuer = sandbox.ready_issuer(kind, auth, proxy=proxy)
    other = sandbox.ready_issuer(kind, auth)
    hold = Hold()
    proxy.inject(Route.SIGN, hold)
    waiting = [sandbox.request(issuer) for _ in range(WAITING)]
    # Not all of them: a controller may limit its requests to one Vault.
    wait_held(sandbox, hold, "a sign request to the slow Vault")
    for _ in range(2):
        sandbox.request(other).wait_issued()
    hold.release()
    for request in waiting:
        request.wait_issued(timeout=sandbox.timeouts.retry)
