"""Many Issuers and requests, and the resources that they use."""

from __future__ import annotations

import contextlib

import pytest

from pytest_vault_issuer import (
    NAMESPACES,
    Controller,
    Hold,
    Issuer,
    Proxy,
    Respond,
    Route,
    Sandbox,
    Session,
    at_barrier,
    requirement,
    retry_later,
)

from .budget import FIRST, being_refused, window
from .helpers import wait_held
from .interrupted import one_kind

#: Number of Issuers of one Vault.
MANY = 300
#: Number of Issuers that must be left alone while another one fails.
SOME = 50
#: Number of Ready Issuers without work, and the shortest time in seconds between two checks of one of them.
IDLE, INTERVAL = 15, 5.0
#: Number of signings before the memory is read, and then again before it is compared.
SIGNINGS = 100
#: Number of requests that wait at a time.
AT_ONCE = 10
#: The most bytes by which the memory may grow per signing. A certificate with its chain has a few thousand; the heap
#: of Go and Python takes up to a few ten million more before it is reused.
PER_SIGNING = 512 * 1024


def broken_issuer(sandbox: Sandbox, kind: str) -> Issuer:
    """Create an issuer object whose Vault is overloaded."""
    proxy = sandbox.new_proxy()
    proxy.inject(None, retry_later(503))
    return sandbox.issuer(kind, proxy=proxy)


@requirement("VI-LOAD-001")
@pytest.mark.exclusive
@pytest.mark.slow
def test_many_issuers_are_served_beside_a_broken_one(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = sandbox.default_authentication(kind)
    broken_issuer(sandbox, kind)
    issuers = [sandbox.issuer(kind, auth) for _ in range(MANY)]
    for issuer in issuers:
        issuer.wait_ready()
    for issuer in (issuers[0], issuers[MANY // 2], issuers[-1]):
        sandbox.issued(issuer)


def check_again(sandbox: Sandbox, broken: Issuer, proxy: Proxy) -> None:
    """Change an issuer object whose Vault does not work, and wait until the controller has asked this Vault again."""
    mark = proxy.mark()
    broken.change(lambda vault: vault.update(path=f"{sandbox.pki.sign_path}-{mark}"))
    proxy.wait_for(None, since=mark, timeout=sandbox.timeouts.wire, what="a request after the change")


@requirement("VI-LOAD-002")
@pytest.mark.exclusive
def test_working_issuers_are_left_alone_beside_a_broken_one(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth = sandbox.default_authentication(kind)
    other_proxy, broken_proxy = sandbox.new_proxy(), sandbox.new_proxy()
    broken_proxy.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    other = sandbox.ready_issuer(kind, auth, proxy=other_proxy)
    one_check = len(other_proxy.seen())
    for issuer in [sandbox.issuer(kind, auth) for _ in range(SOME)]:
        issuer.wait_ready()
    since = sandbox.proxy.mark()
    before = window(other, sandbox)
    rate = len(sandbox.proxy.seen(since=since)) / before.seconds
    broken = sandbox.issuer(kind, proxy=broken_proxy)
    with at_barrier():
        broken.wait_not_ready("its Vault is not initialized")
    since = sandbox.proxy.mark()
    beside = window(other, sandbox, before_each=lambda: check_again(sandbox, broken, broken_proxy))
    seen = len(sandbox.proxy.seen(since=since))
    # A controller may check Ready Issuers again from time to time, all at once.
    most = FIRST + round(2 * (rate * beside.seconds + one_check * SOME))
    assert seen <= most, (
        f"expected at most {most} requests to the Vault of {SOME} Issuers that are Ready in {beside.seconds:.1f} s, "
        f"while another one fails ({len(broken_proxy.seen())} requests), saw {seen}; before, saw {rate:.1f} per second"
    )


@requirement("VI-LOAD-003")
@pytest.mark.holds_controller
@pytest.mark.exclusive
def test_namespace_deleted_while_vault_signs_harms_no_others(sandbox: Sandbox, vault_issuer_session: Session) -> None:
    kind = one_kind(sandbox)
    other = sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    namespace = sandbox.new_namespace()
    within = {} if sandbox.kind(kind).cluster_scoped else {"namespace": namespace}
    issuer = sandbox.ready_issuer(kind, sandbox.default_authentication(kind, **within), **within)
    sandbox.issued(issuer, namespace=namespace)
    held = Hold()
    sandbox.proxy.inject(Route.SIGN, held, times=1)
    sandbox.request(issuer, namespace=namespace)
    wait_held(sandbox, held, "a sign request to Vault")
    sandbox.cluster.delete(NAMESPACES, namespace)
    held.release()
    sandbox.barrier(other)
    limit = sandbox.timeouts.deletion
    gone = sandbox.cluster.wait_gone(NAMESPACES, namespace, None, timeout=limit)
    assert gone, f"expected the deleted namespace {namespace} to be gone within {limit:g} s, saw it present"
    sandbox.barrier(other)
    assert not (end := vault_issuer_session.implementation_end()), (
        f"expected the controller to keep running, saw that {end}"
    )


@requirement("VI-LOAD-004")
@pytest.mark.holds_controller
def test_deleted_request_is_not_signed_again_and_again(sandbox: Sandbox) -> None:
    request, other = being_refused(sandbox, one_kind(sandbox))
    request.delete()
    for _ in range(2):
        window(other, sandbox)  # for an attempt that has begun: Vault's client repeats a request twice
    before = len(sandbox.signings(request))
    for _ in range(2):
        window(other, sandbox)
    again = len(sandbox.signings(request)) - before
    assert not again, f"expected no sign request for {request}, which was deleted, saw {again}"


def sign_many(sandbox: Sandbox, issuer: Issuer) -> None:
    """Have requests issued, some at a time."""
    signing = sandbox.new_signing()  # the same for all: only the controller is to work
    for _ in range(SIGNINGS // AT_ONCE):
        for request in [sandbox.request(issuer, signing) for _ in range(AT_ONCE)]:
            request.wait_issued()


@requirement("VI-LOAD-005")
@pytest.mark.exclusive
@pytest.mark.slow
def test_memory_does_not_grow_with_each_signing(sandbox: Sandbox, controller: Controller) -> None:
    controller.memory()  # not run if it cannot be read
    issuer = sandbox.ready_issuer(one_kind(sandbox))
    sign_many(sandbox, issuer)
    before = controller.memory()
    sign_many(sandbox, issuer)
    grown = (controller.memory() - before) / SIGNINGS
    assert grown <= PER_SIGNING, (
        f"expected the memory of the controller to grow by at most {PER_SIGNING // 1024} KiB per signing, "
        f"saw {grown / 1024:.0f} KiB over {SIGNINGS} signings, after as many before"
    )


@requirement("VI-LOAD-006")
def test_vault_of_a_deleted_issuer_is_left_alone(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    other = sandbox.ready_issuer(kind, proxy=sandbox.new_proxy())
    sandbox.proxy.inject(None, Respond(501, json={"errors": ["Vault is not initialized"]}))
    issuer = sandbox.issuer(kind)
    with at_barrier():
        issuer.wait_not_ready("its Vault is not initialized")
    issuer.delete()
    window(other, sandbox)  # for a check that has begun
    mark = sandbox.proxy.mark()
    for _ in range(2):
        window(other, sandbox)
    asked = [exchange.summary for exchange in sandbox.proxy.seen(since=mark)]
    assert not asked, f"expected no request to the Vault of a deleted {issuer.kind}, saw {asked}"


def reported(issuer: Issuer) -> int:
    """Return how often a controller has reported about an issuer object in events."""
    return sum((event.get("series") or {}).get("count") or event.get("count") or 1 for event in issuer.events())


@requirement("VI-LOAD-007")
@pytest.mark.exclusive
def test_ready_issuers_without_work_are_left_alone(sandbox: Sandbox) -> None:
    kind = one_kind(sandbox)
    auth, proxy = sandbox.default_authentication(kind), sandbox.new_proxy()
    other = sandbox.ready_issuer(kind, auth, proxy=proxy)
    one_check = len(proxy.seen())
    issuers = [sandbox.issuer(kind, auth) for _ in range(IDLE)]
    for issuer in issuers:
        issuer.wait_ready()
    sandbox.barrier(other)  # the controller has now also processed its own status updates
    with contextlib.ExitStack() as stack:
        recordings = [stack.enter_context(issuer.recorded()) for issuer in issuers]
        events, since = sum(map(reported, issuers)), sandbox.proxy.mark()
        windows = [window(other, sandbox) for _ in range(2)]
        asked, events = len(sandbox.proxy.seen(since=since)), sum(map(reported, issuers)) - events
    updates = sum(len(states) - 1 for states in recordings)
    seconds = sum(passed.seconds for passed in windows)
    for what, seen, each in (
        ("requests to their Vault", asked, one_check),
        ("updates", updates, 1),
        ("events", events, 1),
    ):
        # A controller may check Ready Issuers again from time to time, all at once.
        most = FIRST + round(each * IDLE * (1 + seconds / INTERVAL))
        assert seen <= most, (
            f"expected at most {most} {what} of {IDLE} Ready Issuers that do not change in {seconds:.1f} s, saw {seen}"
        )
