"""Helpers that tests of several areas share."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from pytest_vault_issuer import (
    FEATURES,
    Authentication,
    CertificateRequest,
    EmptyResponse,
    Exchange,
    Fault,
    Handle,
    Hold,
    InexpressibleError,
    Injection,
    Issuer,
    NotRunnable,
    Object,
    Pki,
    Proxy,
    RefusedError,
    Respond,
    Route,
    Sandbox,
    Unmet,
    UnsupportedError,
    at_barrier,
    condition,
    may_request_tokens,
)

#: The authentication methods of the core profile that log in.
LOGINS = tuple(feature for feature in FEATURES if feature != "token")
#: Number of requests from which a controller may learn that its Vault token has ended.
ATTEMPTS = 3
#: Codes with which the API server or an admission webhook refuses an object.
REFUSED = (400, 403, 422)

#: What the columns of cert-manager's CRDs show of the Ready condition.
_COLUMNS = {"READY": "status", "STATUS": "message"}

RequestT = TypeVar("RequestT", bound=CertificateRequest)


def never_ready(sandbox: Sandbox, kind: str, variants: Mapping[str, Mapping[str, Any]]) -> dict[str, Issuer]:
    """Create invalid issuer objects at once and check that each is rejected by the API server or not Ready.

    The barrier is a valid issuer object that is created after them and becomes Ready. Afterwards, each has until the
    bound to get an answer.

    :param variants: arguments of :meth:`Sandbox.issuer` by a description of the error.
    :return: the issuer objects that the API server accepted, by the description of the error.
    :raises InexpressibleError: if the shape of the implementation can express none of them. If it cannot express some,
        the test continues with the others and is then unsupported.
    :raises Unmet: if one becomes Ready.
    :raises BarrierUnmet: if the valid one does not.
    """
    issuers: dict[str, Issuer] = {}
    inexpressible: list[InexpressibleError] = []
    for wrong, options in variants.items():
        try:
            issuers[wrong] = sandbox.issuer(kind, **options)
        except RefusedError:
            continue  # a rejection by the API server is enough
        except InexpressibleError as error:
            inexpressible.append(error)
    if inexpressible and len(inexpressible) == len(variants):
        raise inexpressible[0]
    sandbox.left_out += inexpressible
    with at_barrier():
        sandbox.ready_issuer(kind)
    wait_answers(issuers.values())
    assert_not_ready(issuers)
    return issuers


def wait_answers(issuers: Collection[Issuer]) -> None:
    """Wait until each issuer object is Ready or not, at most until the bound.

    They are waited for in parallel, because a controller need not answer while it knows of no result.
    """
    if issuers:
        with ThreadPoolExecutor(len(issuers)) as pool:
            list(pool.map(Issuer.wait_answer, issuers))


def logins_without_a_token(sandbox: Sandbox, auth: Authentication) -> dict[str, dict[str, Any]]:
    """Return variants for :func:`never_ready` whose login succeeds without returning a client token."""
    answers: dict[str, Fault] = {
        "204 without a body": EmptyResponse(204),
        "an empty object": Respond(200, json={}),
        "no auth": Respond(200, json={"auth": None}),
        "an empty client token": Respond(200, json={"auth": {"client_token": "", "policies": ["default"]}}),
        "a page of HTML": Respond(200, body="<html><body>welcome</body></html>", content_type="text/html"),
    }
    variants: dict[str, dict[str, Any]] = {}
    for what, answer in answers.items():
        proxy = sandbox.new_proxy()
        proxy.inject(Route.LOGIN, answer)
        variants[f"the login is answered with {what}"] = {"auth": auth, "proxy": proxy}
    return variants


def wait_held(sandbox: Sandbox, hold: Hold, what: str) -> None:
    """Wait until the proxy holds a request.

    :param what: the request, for the failure message, such as "a health query".
    :raises Unmet: if no such request arrives.
    """
    bound = sandbox.timeouts.bound(sandbox.timeouts.wire)
    if not bound.wait(hold.arrived):
        raise Unmet(f"expected {what} within {bound}, saw none")


def assert_not_ready(issuers: Mapping[str, Issuer]) -> None:
    """Check that issuer objects are not Ready now; the keys describe their errors."""
    for wrong, issuer in issuers.items():
        assert issuer.condition().get("status") != "True", (
            f"expected {issuer} not to be Ready ({wrong}), saw Ready=True"
        )


def assert_untrusted(sandbox: Sandbox, kind: str, variants: dict[str, dict[str, Any]]) -> None:
    """Check that issuer objects, each with its own listener, are not Ready and that no listener got a request.

    :param variants: arguments of :meth:`Sandbox.issuer` by a description of the error.
    """
    never_ready(sandbox, kind, variants)
    for options in variants.values():
        assert_silent(options["proxy"])


def assert_silent(proxy: Proxy, *, since: int = 0) -> None:
    """Check that a listener received no HTTP request."""
    sent = [exchange.summary for exchange in proxy.seen(since=since)]
    assert not sent, f"expected no HTTP request to an untrusted server, saw {sent}"


def settle(request: CertificateRequest) -> None:
    """Give the controller time to set Ready to True or False; whether it does is another requirement."""
    with contextlib.suppress(Unmet):
        request.wait(
            lambda item: condition(item, "Ready").get("status") in ("True", "False"),
            "to get a Ready condition",
            timeout=request.timeouts.request / 4,
        )


def is_final(item: Object) -> bool:
    """Whether a request is issued or has failed."""
    reason = condition(item, "Ready").get("reason")
    failed = condition(item, "Failed").get("status") == "True"
    return reason in ("Issued", "Failed") or failed or bool(item.get("status", {}).get("certificate"))


def wait_final(request: CertificateRequest, *, timeout: float | None = None) -> Object:
    """Give the controller time to issue or fail a request; return the request as it is then.

    It may also stay pending: a controller may repeat an attempt for minutes.
    """
    with contextlib.suppress(Unmet):
        request.wait(is_final, "to be issued or to fail", timeout=timeout or request.timeouts.request)
    return request.get()


def end_logins(sandbox: Sandbox, proxy: Proxy, auth: Authentication) -> None:
    """Revoke the Vault tokens of the logins at a proxy, so that the controller has to log in again.

    A controller may keep such a token for its ttl: what it does at a login shows only at the next one.
    """
    answers = [
        login.response_json.get("auth") or {} for login in proxy.seen(Route.LOGIN) if login.path == auth.login_path
    ]
    for token in {answer["client_token"] for answer in answers if answer.get("client_token")}:
        sandbox.vault.revoke(token)


def used_an_ended_token(sandbox: Sandbox, request: CertificateRequest) -> bool:
    """Whether Vault rejected the token of a sign request: after :func:`end_logins`, a controller may learn it so."""
    return any(signing.status == 403 for signing in sandbox.signings(request))


def login_in_outage(sandbox: Sandbox, new_request: Callable[[], RequestT], outage: Injection) -> RequestT:
    """Create requests until the login for one of them meets an outage; return that request when it is final.

    The outage ends as soon as a login has met it: a controller with slow retries meets only the first failures.

    :param outage: at the logins of the issuer object, after :func:`end_logins`.
    :raises NotRunnable: if the controller does not log in again.
    """
    for _ in range(ATTEMPTS):
        request = new_request()
        with contextlib.suppress(Unmet):
            outage.wait(sandbox.timeouts.wire)
        if outage.hits:
            outage.remove()
        wait_final(request, timeout=sandbox.timeouts.retry)
        if used_an_ended_token(sandbox, request) and not request.certificates():
            continue  # it learned from this request that it has to log in again
        if outage.hits:
            return request
    raise NotRunnable(f"the controller did not log in again for {ATTEMPTS} requests, although its tokens were revoked")


def issuer_without_secret(sandbox: Sandbox, kind: str) -> tuple[Issuer, Issuer, Callable[[], object]]:
    """Create a Ready issuer object, and one that is not Ready because its Secret does not exist.

    :return: both, and a function that creates the Secret.
    :raises NotRunnable: if no claimed authentication method uses a Secret.
    """
    auth = sandbox.default_authentication(kind)
    if not auth.secret_name:
        raise NotRunnable("the implementation claims no authentication method that uses a Secret")
    ready = sandbox.ready_issuer(kind, auth)
    absent = f"absent-{secrets.token_hex(4)}"
    issuer = sandbox.issuer(kind, with_secret(auth, absent))
    issuer.wait_not_ready("its Secret is missing")
    return (
        ready,
        issuer,
        lambda: sandbox.secret({auth.secret_key: auth.credential}, namespace=auth.namespace, name=absent),
    )


def require_no_token_permission(sandbox: Sandbox, auth: Authentication) -> None:
    """Check that the controller's own RBAC does not grant what a test withholds.

    :raises NotRunnable: if the controller may create tokens of a service account without the documented Role.
    """
    subject = sandbox.environment.service_account
    if may_request_tokens(sandbox.cluster, subject, auth.namespace, auth.service_account):
        raise NotRunnable(
            f"the RBAC of the controller already lets {subject} create tokens of every service account",
            hint="remove `create` of `serviceaccounts/token` from the manifests in [run] rbac",
        )


def another_role(sandbox: Sandbox, kind: str, pki: Pki, feature: str = "") -> tuple[Authentication, Pki]:
    """Return an authentication that may sign with both roles of a PKI mount, and the second, permissive role.

    :param feature: of the authentication method, '' for the default one.
    """
    other = Pki(pki.mount, f"role-{secrets.token_hex(4)}", pki.issuing)
    sandbox.vault.set_pki_role(other)
    policy = sandbox.vault.policy(pki.sign_path, other.sign_path)
    if feature:
        return sandbox.authenticate(feature, kind, policy=policy), other
    return sandbox.default_authentication(kind, policy=policy), other


def issue_endpoint(sandbox: Sandbox, kind: str) -> tuple[Authentication, str]:
    """Return an authentication that may use an `issue` endpoint, which makes the key itself, and its path."""
    pki = sandbox.vault.pki(role={"key_type": "ec", "key_bits": 256})
    path = f"{pki.mount}/issue/{pki.role}"
    return sandbox.default_authentication(kind, policy=sandbox.vault.policy(path)), path


def assert_refused_or_first(
    sandbox: Sandbox, kind: str, first: Authentication, other: Authentication, *, what: str
) -> None:
    """Check an issuer object with two authentication methods: refused, not Ready, or only the first is used.

    The API reference defines the order of precedence.
    """
    proxy = sandbox.new_proxy()
    try:
        issuer = sandbox.issuer(kind, first.spec | other.spec, proxy=proxy)
    except RefusedError:
        return
    with at_barrier():
        sandbox.ready_issuer(kind)
    if issuer.wait_answer() != "True":
        return
    signing = sandbox.signings(sandbox.issued(issuer))[-1]
    paths = {login.path for login in proxy.seen(Route.LOGIN)}
    expected = {first.login_path} - {""}
    assert paths == expected, f"expected only the first of the methods {what}, saw logins at {sorted(paths)}"
    if not first.login_path:
        assert signing.token == first.credential, f"expected only the first of the methods {what}, saw another token"


def issued_eventually(sandbox: Sandbox, issuer: Issuer) -> CertificateRequest:
    """Request certificates until one is issued.

    The first may fail: a controller can learn of a change through one watch after it
    learns of the request through another.
    """
    attempts = 5
    for _ in range(attempts):
        request = sandbox.request(issuer)
        item = wait_final(request, timeout=sandbox.timeouts.retry)
        if item.get("status", {}).get("certificate"):
            return request
        if condition(item, "Ready").get("reason") != "Failed":
            raise Unmet(f"expected {request} to be issued or to fail, saw it wait; {request.explain()}")
    raise Unmet(f"expected {issuer} to issue one of {attempts} consecutive CertificateRequests, saw none issued")


def picky_pki(sandbox: Sandbox) -> tuple[Pki, str]:
    """Mount a PKI whose role allows only names below one domain; return the PKI and the domain."""
    domain = f"{secrets.token_hex(4)}.test"
    role = {"allow_any_name": False, "allowed_domains": [domain], "allow_subdomains": True}
    return sandbox.vault.pki(role=role), domain


def tokens_of(exchanges: Iterable[Exchange]) -> set[str]:
    """Return the Vault tokens that requests carried."""
    return {exchange.token for exchange in exchanges if exchange.token}


def claimed(sandbox: Sandbox, features: Iterable[str] = FEATURES) -> list[str]:
    """Return the authentication methods that the implementation supports."""
    return [feature for feature in features if feature in sandbox.environment.features]


def with_secret(auth: Authentication, name: str) -> dict[str, Any]:
    """Return the specification of an authentication with another Secret."""
    spec: dict[str, Any] = json.loads(json.dumps(auth.spec).replace(auth.secret_name, name))
    return spec


def with_absent_reference(auth: Authentication) -> dict[str, Any]:
    """Return the specification of an authentication whose Secret or service account does not exist."""
    name = f"absent-{secrets.token_hex(4)}"
    return with_secret(auth, name) if auth.secret_name else with_fields(auth, serviceAccountRef={"name": name})


def with_fields(auth: Authentication | dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the specification of an authentication with changed fields of its method, such as ``role``."""
    spec = auth.spec if isinstance(auth, Authentication) else auth
    return {method: parameters | fields for method, parameters in spec.items()}


def shown(issuer: Issuer, column: str) -> str:
    """Return what ``kubectl get`` shows in the column READY or STATUS.

    The columns belong to the CRD. If it has none of this name, what the column would show is in the Ready condition.
    """
    row = issuer.table()
    return row[column] if column in row else str(issuer.condition().get(_COLUMNS[column], ""))


def trusting(sandbox: Sandbox) -> dict[str, Any]:
    """Return the field of an issuer object that trusts the CA of the test's proxies."""
    # Without a place for a CA bundle, the CA is in the controller's system trust store.
    return {"caBundle": bundle(sandbox.authority.pem) if sandbox.environment.has_bundle else None}


def bundle(*parts: str) -> str:
    """Return the value of `caBundle` for PEM texts."""
    return base64.b64encode("".join(parts).encode()).decode()


def set_transition_time(handle: Handle) -> str:
    """Set `lastTransitionTime` of a Ready condition to a time long ago; return it ('' without a condition).

    Times have whole seconds, so a time that is written again shows only if the previous one is old.
    """
    long_ago = (datetime.now(UTC) - timedelta(hours=1 + secrets.randbelow(1000))).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = handle.conditions()
    ready = [entry for entry in conditions if entry.get("type") == "Ready"]
    for entry in ready:
        entry["lastTransitionTime"] = long_ago
    handle.write_conditions(conditions)
    return long_ago if ready else ""


def transition_time(handle: Handle) -> str:
    """Return `lastTransitionTime` of the Ready condition, checked not to be in the future."""
    stated = handle.condition().get("lastTransitionTime")
    assert stated, "expected lastTransitionTime in the Ready condition, saw none"
    now = datetime.now(UTC) + timedelta(minutes=1)  # clocks of two machines may differ
    assert datetime.fromisoformat(stated) <= now, f"expected lastTransitionTime not later than {now}, saw {stated}"
    return str(stated)


def condition_of_another() -> Object:
    """Return a condition that another controller may have set on an object."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "Audited", "status": "True", "reason": "Audit", "message": "noted", "lastTransitionTime": now}


def alternating(names: tuple[str, ...], values: Iterable[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Parametrize a test whose cases do not depend on the kind of issuer object, so that each has one of the kinds.

    An implementation with only one kind gets all cases with this kind.

    :param names: of the parameters; the first is ``kind``.
    """
    return pytest.mark.vault_issuer_alternating(names, list(values))


#: Two issuer objects of the same kind, and of different kinds: ``kind`` and ``other_kind``.
PAIRS = alternating(
    ("kind", "other_kind"), [("Issuer", "Issuer"), ("Issuer", "ClusterIssuer"), ("ClusterIssuer", "Issuer")]
)


def each_feature(features: Iterable[str], kinds: tuple[str, str] = ("Issuer", "ClusterIssuer")) -> pytest.MarkDecorator:
    """Parametrize a test by ``kind`` and ``feature``: each feature once, with alternating kinds of issuer objects."""
    return alternating(("kind", "feature"), zip(itertools.cycle(kinds), features, strict=False))


def for_each_kind(sandbox: Sandbox, check: Callable[[str], None]) -> None:
    """Run a check for all kinds of issuer objects of the implementation in parallel, because it waits for retries.

    :param check: called with the kind.
    :raises UnsupportedError: if the implementation supports what the check needs for no kind.
    :raises NotRunnable: if the stack or the implementation's API does not allow it for a kind, and none fails.
    """
    kinds = list(sandbox.environment.kinds)
    _ = sandbox.pki  # created before the threads start, so that they share it
    with ThreadPoolExecutor(len(kinds)) as pool:
        started = [pool.submit(check, kind) for kind in kinds]
    supported = [done for done in started if not isinstance(done.exception(), UnsupportedError)]
    # A failure counts, even if the check could not run for another kind.
    for done in sorted(supported or started, key=lambda done: isinstance(done.exception(), NotRunnable)):
        done.result()
