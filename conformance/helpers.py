"""What tests of several areas need beyond the sandbox."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_vault_issuer.cluster.api import Object, condition
from pytest_vault_issuer.errors import Unmet
from pytest_vault_issuer.issuer import Authentication, CertificateRequest, Issuer
from pytest_vault_issuer.issuer.handle import Handle, RefusedError, is_current
from pytest_vault_issuer.proxy import EmptyAnswer, Exchange, Fault, Hold, Proxy, Respond, Route
from pytest_vault_issuer.sandbox import FEATURES, Sandbox
from pytest_vault_issuer.vault import Pki

#: The core's ways of authenticating that log in.
LOGINS = tuple(feature for feature in FEATURES if feature != "token")


def never_ready(sandbox: Sandbox, kind: str, variants: Mapping[str, Mapping[str, Any]]) -> dict[str, Issuer]:
    """Create wrong issuers, all at once, and see each refused: by the API server, or by a Ready condition not True.

    The barrier is a right issuer, created after them, that becomes Ready.

    :param variants: by what is wrong with them, in words, the arguments of :meth:`Sandbox.issuer`.
    :return: the issuers that the API server did not refuse, by what is wrong with them.
    :raises Unmet: when one becomes Ready or gets no condition.
    """
    issuers: dict[str, Issuer] = {}
    for wrong, options in variants.items():
        try:
            issuers[wrong] = sandbox.issuer(kind, **options)
        except RefusedError:
            continue  # that is one way
    sandbox.ready_issuer(kind)
    for wrong, issuer in issuers.items():
        issuer.wait(is_judged, f"to get a Ready condition ({wrong})", timeout=sandbox.timeouts.issuer)
    assert_not_ready(issuers)
    return issuers


def logins_without_a_token(sandbox: Sandbox, auth: Authentication) -> dict[str, dict[str, Any]]:
    """Arguments of issuers whose login is answered with success but without a client token, for :func:`never_ready`."""
    answers: dict[str, Fault] = {
        "204 without a body": EmptyAnswer(204),
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
    """Wait until the proxy holds a request back.

    :param what: for the failure's message: "a query of health".
    :raises Unmet: when none arrives.
    """
    if not hold.arrived.wait(sandbox.timeouts.wire):
        raise Unmet(f"waited {sandbox.timeouts.wire:g} s for {what}")


def is_judged(item: Object) -> bool:
    """Whether an issuer's Ready condition speaks of its present generation, whatever it says."""
    entry = condition(item, "Ready")
    return bool(entry.get("status")) and is_current(item, entry)


def assert_not_ready(issuers: Mapping[str, Issuer]) -> None:
    """Check that issuers are not Ready now; the keys say what is wrong with them."""
    for wrong, issuer in issuers.items():
        assert issuer.condition().get("status") != "True", f"{issuer} is Ready although this is wrong: {wrong}"


def assert_untrusted(sandbox: Sandbox, kind: str, variants: dict[str, dict[str, Any]]) -> None:
    """Check that issuers for listeners of their own are not Ready, and that nothing was sent to any.

    :param variants: by what is wrong with them, the arguments of :meth:`Sandbox.issuer`.
    """
    never_ready(sandbox, kind, variants)
    for options in variants.values():
        assert_silent(options["proxy"])


def assert_silent(proxy: Proxy, *, since: int = 0) -> None:
    """Check that a listener got no HTTP request."""
    sent = [exchange.summary for exchange in proxy.seen(since=since)]
    assert not sent, f"no HTTP request may be sent to this listener, but it got: {sent}"


def settle(request: CertificateRequest) -> None:
    """Give an implementation the time to say anything about a request; that it does is another requirement."""
    with contextlib.suppress(Unmet):
        request.wait(
            lambda item: bool(condition(item, "Ready")),
            "to get a Ready condition",
            timeout=request.timeouts.request / 4,
        )


def issued_in_the_end(sandbox: Sandbox, issuer: Issuer, *, attempts: int = 5) -> CertificateRequest:
    """Request certificates until one is issued.

    For what an implementation learns by a watch of its own, which may be a
    moment behind the request that follows in another: the first may fail.
    """
    for _ in range(attempts):
        request = sandbox.request(issuer)
        if request.wait_reason("Issued", "Failed")["status"].get("certificate"):
            return request
    raise Unmet(f"{issuer} issued none of {attempts} requests made one after the other")


def picky_pki(sandbox: Sandbox) -> tuple[Pki, str]:
    """Mount a PKI whose role allows the names below one domain only; return that too."""
    domain = f"{secrets.token_hex(4)}.test"
    role = {"allow_any_name": False, "allowed_domains": [domain], "allow_subdomains": True}
    return sandbox.vault.pki(role=role), domain


def tokens_of(exchanges: Iterable[Exchange]) -> set[str]:
    """Return the Vault tokens with which requests were made."""
    return {exchange.token for exchange in exchanges if exchange.token}


def claimed(sandbox: Sandbox, features: Iterable[str] = FEATURES) -> list[str]:
    """Return those ways of authenticating that the implementation supports."""
    return [feature for feature in features if feature in sandbox.world.features]


def with_secret(auth: Authentication, name: str) -> dict[str, Any]:
    """Return the authentication's specification with another Secret in the place of its own."""
    spec: dict[str, Any] = json.loads(json.dumps(auth.spec).replace(auth.secret_name, name))
    return spec


def with_fields(auth: Authentication | dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the specification of an authentication with fields of its method changed, such as ``role``."""
    spec = auth.spec if isinstance(auth, Authentication) else auth
    return {method: parameters | fields for method, parameters in spec.items()}


def bundle(*parts: str) -> str:
    """What `caBundle` has to be for PEM texts."""
    return base64.b64encode("".join(parts).encode()).decode()


def set_transition_time(handle: Handle) -> str:
    """Have a Ready condition say that its last change was long ago; return the time ('' where there is none).

    Times have whole seconds: one that is written anew a moment later can be told from an old one only.
    """
    long_ago = (datetime.now(UTC) - timedelta(hours=1 + secrets.randbelow(1000))).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = handle.conditions()
    ready = [entry for entry in conditions if entry.get("type") == "Ready"]
    for entry in ready:
        entry["lastTransitionTime"] = long_ago
    body = {"status": {"conditions": conditions}}
    handle.cluster.patch(handle.resource, handle.name, handle.namespace, body, subresource="status")
    return long_ago if ready else ""


def transition_time(handle: Handle) -> str:
    """Return `lastTransitionTime` of the Ready condition, seen to be no time in the future."""
    stated = handle.condition().get("lastTransitionTime")
    assert stated, "lastTransitionTime was to be set"
    now = datetime.now(UTC) + timedelta(minutes=1)  # clocks of two machines may differ
    assert datetime.fromisoformat(stated) <= now, f"lastTransitionTime was not to be later than {now}, it is {stated}"
    return str(stated)


def in_turn(features: Iterable[str], kinds: tuple[str, str] = ("Issuer", "ClusterIssuer")) -> list[tuple[str, str]]:
    """Return each feature once with a kind of issuer, the kinds in turn: parameters of a test."""
    return list(zip(itertools.cycle(kinds), features, strict=False))


def for_each_kind(sandbox: Sandbox, check: Callable[[str], None]) -> None:
    """Run a check for every kind of issuer the implementation has, at the same time: it waits for retries.

    :param check: gets the kind.
    """
    kinds = list(sandbox.world.kinds)
    _ = sandbox.pki  # made once, by one
    with ThreadPoolExecutor(len(kinds)) as pool:
        for done in [pool.submit(check, kind) for kind in kinds]:
            done.result()
