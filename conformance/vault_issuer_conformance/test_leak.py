"""Data that must not leak: credentials, private keys, and responses that do not come from Vault."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import urllib.parse
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pytest_vault_issuer import (
    SECRETS,
    Authentication,
    Authority,
    Certificate,
    CertificateRequest,
    Exchange,
    Fault,
    Issuer,
    NotRunnable,
    RefusedError,
    Respond,
    Route,
    Sandbox,
    SigningRequest,
    Tamper,
    Unmet,
    at_barrier,
    key_to_pem,
    new_key,
    poll,
    requirement,
)

from .helpers import (
    alternating,
    claimed,
    end_logins,
    is_final,
    issue_endpoint,
    settle,
    wait_answers,
    wait_final,
    with_fields,
    with_secret,
)
from .issued import barrier, separate_issuer
from .refusals import refused

#: In bytes. A message of this size or more counts as unbounded.
BOUND = 4096
#: The parts of a client certificate, as in field names and in Secret keys.
PARTS = (("Cert", "crt"), ("Key", "key"))


# -- status, events and log -----------------------------------------------------------------


def messages(sandbox: Sandbox) -> list[str]:
    """Return the messages of conditions and events of the test's issuer objects and requests."""
    found = []
    for handle in sandbox.handles:
        found += [str(entry.get("message", "")) for entry in handle.conditions()]
        found += [str(event.get("message") or event.get("note") or "") for event in handle.events()]
    return found


def shown(sandbox: Sandbox) -> str:
    """Return status, metadata and events of the test's issuer objects and requests as text."""
    parts = []
    for handle in sandbox.handles:
        item = handle.get()
        parts += [item.get("status"), item["metadata"], handle.events()]
    return json.dumps(parts, ensure_ascii=False)


def wait_events(sandbox: Sandbox, *failed: Issuer | CertificateRequest) -> None:
    """Give the controller time to record events about failures; it need not record any."""
    for handle in failed:
        with contextlib.suppress(Unmet):
            handle.wait_event(bool, "of any kind", timeout=sandbox.timeouts.issuer / 10)
            continue
        return


def forms(secret: str) -> set[str]:
    """Return the forms in which a text may contain a secret."""
    raw = secret.encode()
    found = {secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret, safe="")}
    # As programs print bytes.
    found |= {raw.hex(), " ".join(map(str, raw)), ", ".join(map(str, raw)), ", ".join(map(hex, raw))}
    for offset in range(3):
        # Inside a longer base64 text: the characters that depend only on the secret.
        first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        encoded = base64.b64encode(bytes(offset) + raw).decode()[first:last]
        found |= {encoded, encoded.replace("+", "-").replace("/", "_")}
    return found


def leaked(text: str, canaries: Mapping[str, str]) -> list[str]:
    """Return the descriptions of the secrets that a text contains."""
    return sorted({what for what, secret in canaries.items() if any(form in text for form in forms(secret))})


# -- credentials -----------------------------------------------------------------------------


def refused_credential(sandbox: Sandbox, auth: Authentication) -> str:
    """Return a well-formed credential that Vault rejects."""
    if auth.approle is not None:
        return str(uuid.uuid4())
    if auth.role is not None:
        return sandbox.cluster.create_token(sandbox.service_account(auth.namespace, grant=False), auth.namespace)
    token = sandbox.vault.token(sandbox.sign_policy())
    sandbox.vault.revoke(token)
    return token


def exercise(sandbox: Sandbox, kind: str) -> dict[str, str]:
    """Create working, rejected and misconfigured issuer objects; return all credentials by their description.

    Each kind of issuer object covers half of the claimed authentication methods.
    """
    canaries: dict[str, str] = {}
    good, refused = [], []
    for feature in claimed(sandbox)[list(sandbox.environment.kinds).index(kind) :: len(sandbox.environment.kinds)]:
        auth = sandbox.authenticate(feature, kind)
        good.append(sandbox.issuer(kind, auth))
        if not auth.secret_name:
            continue
        canaries[f"the credential of {feature}"] = auth.credential
        wrong = refused_credential(sandbox, auth)
        canaries[f"a refused credential of {feature}"] = wrong
        first, second = secrets.token_hex(16), secrets.token_hex(16)
        canaries[f"a part of a credential of two lines of {feature}"] = first
        canaries[f"the end of a credential of two lines of {feature}"] = second
        for credential in (wrong, f"{first}\n{second}"):
            name = sandbox.secret({auth.secret_key: credential}, namespace=auth.namespace)
            refused.append(sandbox.issuer(kind, with_secret(auth, name)))
        mistaken = secrets.token_hex(16)
        canaries[f"a credential under another key of {feature}"] = mistaken
        name = sandbox.secret({f"{auth.secret_key}-old": mistaken}, namespace=auth.namespace)
        refused.append(sandbox.issuer(kind, with_secret(auth, name)))
    powerless = sandbox.default_authentication(kind, policy=sandbox.vault.policy(f"nothing/{secrets.token_hex(4)}"))
    unable = sandbox.issuer(kind, powerless)
    canaries["the credential of an issuer object without permissions"] = powerless.credential

    for issuer in good:
        issuer.wait_ready()
    wait_answers([unable])  # a controller may ask for its capabilities first, and not set it Ready
    for request in [sandbox.request(issuer) for issuer in good]:
        request.wait_issued()
    without_permission = sandbox.request(unable)
    settle(without_permission)
    wait_answers(refused)
    waiting = [sandbox.request(issuer) for issuer in refused]
    for request in waiting:
        settle(request)
    wait_events(sandbox, without_permission, *waiting, *(issuer for issuer in refused if not is_ready(issuer)))

    for exchange in sandbox.proxy.seen():
        token = (exchange.response_json.get("auth") or {}).get("client_token")
        for what, value in (("a Vault token", token), ("a JWT", exchange.json.get("jwt")), ("a token", exchange.token)):
            if isinstance(value, str) and "\n" not in value:
                canaries[f"{what} of request {exchange.number}"] = value
    return {what: secret for what, secret in canaries.items() if secret}


def is_ready(issuer: Issuer) -> bool:
    return issuer.condition().get("status") == "True"


@requirement("VI-LEAK-001")
def test_credentials_are_not_shown(sandbox: Sandbox, kind: str) -> None:
    canaries = exercise(sandbox, kind)
    found = leaked(shown(sandbox), canaries)
    assert not found, f"expected no credential in status and events, saw {', '.join(found)}"


@requirement("VI-LEAK-002")
def test_credentials_are_not_logged(sandbox: Sandbox, kind: str) -> None:
    if sandbox.environment.implementation_log is None:
        raise NotRunnable("the controller's log cannot be read", hint="let the suite start it: set [run] command")
    canaries = exercise(sandbox, kind)
    found = leaked(sandbox.implementation_log(), canaries)
    assert not found, f"expected no credential in the log, saw {', '.join(found)}"


def unfit_clients(sandbox: Sandbox, kind: str, feature: str) -> dict[str, str]:
    """Create issuer objects with invalid client certificate keys; return parts of these by their description."""
    home, canaries, issuers = sandbox.home(kind), dict[str, str](), list[Issuer]()
    for what in ("the key of another certificate", "a key with something missing"):
        client, key = Authority("clients").issue_client("issuer.example.test"), key_to_pem(new_key())
        lines = key.splitlines()
        canaries |= {f"the first line of {what}": lines[1], f"a further line of {what}": lines[2]}
        text = key if what.endswith("certificate") else "\n".join([*lines[:3], lines[-1]])
        name = sandbox.secret({"tls.crt": client.certificate_pem, "tls.key": text}, namespace=home)
        if feature == "mtls":
            reference: dict[str, Any] = {
                f"client{part}SecretRef": {"name": name, "key": f"tls.{end}"} for part, end in PARTS
            }
            issuers.append(sandbox.issuer(kind, **reference))
        else:
            issuers.append(sandbox.issuer(kind, {"clientCertificate": {"secretName": name}}))
    with at_barrier():
        sandbox.ready_issuer(kind)
    wait_answers(issuers)
    wait_events(sandbox, *issuers)
    return canaries


@requirement("VI-LEAK-001")
@pytest.mark.parametrize("feature", ["mtls", "client-certificate"])
def test_keys_of_client_certificates_are_not_shown(sandbox: Sandbox, kind: str, feature: str) -> None:
    canaries = unfit_clients(sandbox, kind, feature)
    found = leaked(shown(sandbox), canaries)
    assert not found, f"expected no part of a key in status and events, saw {', '.join(found)}"


@requirement("VI-LEAK-002")
@pytest.mark.parametrize("feature", ["mtls", "client-certificate"])
def test_keys_of_client_certificates_are_not_logged(sandbox: Sandbox, kind: str, feature: str) -> None:
    if sandbox.environment.implementation_log is None:
        raise NotRunnable("the controller's log cannot be read", hint="let the suite start it: set [run] command")
    canaries = unfit_clients(sandbox, kind, feature)
    found = leaked(sandbox.implementation_log(), canaries)
    assert not found, f"expected no part of a key in the log, saw {', '.join(found)}"


@requirement("VI-LEAK-002")
@alternating(("kind", "feature"), [("Issuer", "token"), ("ClusterIssuer", "approle"), ("Issuer", "kubernetes-static")])
def test_credentials_are_not_logged_when_tls_fails(sandbox: Sandbox, kind: str, feature: str) -> None:
    require_place(sandbox, "log")
    auth, proxy = sandbox.authenticate(feature, kind), sandbox.new_proxy()
    issuer = sandbox.ready_issuer(kind, auth, proxy=proxy)
    sandbox.issued(issuer)
    if feature != "token":
        end_logins(sandbox, proxy, auth)
    failures = len(proxy.handshake_failures)
    proxy.replace_certificate(Authority("another CA").issue(sandbox.environment.stack.bind))
    request = sandbox.request(issuer)
    proxy.wait_for_handshake_failure(sandbox.timeouts.wire, since=failures)
    settle(request)
    found = leaked(sandbox.implementation_log(), {f"the credential of {feature}": auth.credential})
    assert not found, f"expected no credential in the log after a failed TLS handshake, saw {', '.join(found)}"


# -- responses that do not come from Vault ---------------------------------------------------------

#: By feature: a field of the specification, and the field of the login body that carries its value.
LOGIN_FIELDS = {
    "approle": ("roleId", "role_id"),
    "kubernetes-static": ("role", "role"),
    "kubernetes-secretless": ("role", "role"),
}


def html(canary: str) -> dict[str, Any]:
    return {"body": f"<!DOCTYPE html><html><body><p>{canary}</p></body></html>", "content_type": "text/html"}


def text(canary: str) -> dict[str, Any]:
    return {"body": f"{canary}: no route to the backend"}


def other_json(canary: str) -> dict[str, Any]:
    return {"json": {"message": canary}}


Foreign = tuple[int, Callable[[str], dict[str, Any]]]
FOREIGN: tuple[Foreign, ...] = (
    (302, html),
    (403, html),
    (404, other_json),
    (404, text),
    (500, html),
    (502, text),
)
#: Where the body of the response matters.
FOREIGN_SUCCESS: tuple[Foreign, ...] = ((200, html), (200, text))


def foreign(number: Foreign, canary: str, elsewhere: str) -> Respond:
    """Return a response that does not come from Vault and contains a canary."""
    status, form = number
    headers = [("Location", elsewhere)] if status == 302 else []
    return Respond(status, headers=headers, **form(canary))


def has_value(field: str, value: str) -> Callable[[Exchange], bool]:
    return lambda exchange: exchange.json.get(field) == value


def is_for(signing: SigningRequest) -> Callable[[Exchange], bool]:
    return lambda exchange: signing.is_for_same_key(exchange.json.get("csr"))


@requirement("VI-LEAK-003")
@pytest.mark.slow
@pytest.mark.holds_controller
def test_responses_of_other_servers_are_not_shown(sandbox: Sandbox, kind: str) -> None:
    canaries: dict[str, str] = {}
    # The target of redirects.
    elsewhere = f"{sandbox.proxy.url}/elsewhere"
    canaries["the response of a redirect target"] = secrets.token_hex(16)
    strange = Respond(403, **html(canaries["the response of a redirect target"]))
    sandbox.proxy.inject(Route.OTHER, strange, where=lambda exchange: exchange.path == "/elsewhere")

    def canary(route: str, answer: Foreign) -> str:
        status, form = answer
        return canaries.setdefault(f"{form.__name__} as {status} to {route}", secrets.token_hex(16))

    auth = sandbox.default_authentication(kind)
    broken = []
    for answer in FOREIGN:
        proxy = sandbox.new_proxy()
        proxy.inject(Route.HEALTH, foreign(answer, canary("health", answer), elsewhere))
        broken.append(sandbox.issuer(kind, auth, proxy=proxy))
    for feature in claimed(sandbox, LOGIN_FIELDS)[:1]:
        field, sent = LOGIN_FIELDS[feature]
        login = sandbox.authenticate(feature, kind)
        for answer in FOREIGN + FOREIGN_SUCCESS:
            role = str(uuid.uuid4())
            fault = foreign(answer, canary("login", answer), elsewhere)
            sandbox.proxy.inject(Route.LOGIN, fault, where=has_value(sent, role))
            broken.append(sandbox.issuer(kind, with_fields(login, **{field: role})))
    signer = sandbox.ready_issuer(kind, auth)
    requests = []
    for answer in FOREIGN + FOREIGN_SUCCESS:
        name = f"{secrets.token_hex(4)}.example.test"
        signing = SigningRequest.build(name, dns=[name])
        # Vault's client library tries three times if a retry may help; some controllers retry forever.
        times = 3 if answer[0] >= 500 else 1
        fault = foreign(answer, canary("sign", answer), elsewhere)
        injection = sandbox.proxy.inject(Route.SIGN, fault, where=is_for(signing), times=times)
        requests.append((injection, sandbox.request(signer, signing)))

    for injection, request in requests:
        with contextlib.suppress(Unmet):
            injection.wait(sandbox.timeouts.retry)
        wait_final(request)
        assert injection.hits, f"expected a sign request to Vault for {request}, saw none"
    for issuer in broken:
        issuer.wait_not_ready("its health query or login gets a response that does not come from Vault")
    failed = [request for _, request in requests if request.condition().get("reason") == "Failed"]
    wait_events(sandbox, *broken, *failed)
    found = leaked(shown(sandbox), canaries)
    assert not found, f"expected no response of another server in status and events, saw {', '.join(found)}"


@requirement("VI-LEAK-004")
def test_messages_have_a_limited_length(sandbox: Sandbox, kind: str) -> None:
    long: Fault = Respond(403, json={"errors": [secrets.token_hex(128 * 1024)]})
    many: Fault = Respond(400, json={"errors": [secrets.token_hex(512) for _ in range(256)]})
    auth = sandbox.default_authentication(kind)
    broken = []
    for fault in (long, many):
        proxy = sandbox.new_proxy()
        proxy.inject(Route.HEALTH, fault)
        broken.append(sandbox.issuer(kind, auth, proxy=proxy))
    for feature in claimed(sandbox, LOGIN_FIELDS)[:1]:
        login = sandbox.authenticate(feature, kind)
        for fault in (long, many):
            proxy = sandbox.new_proxy()
            proxy.inject(Route.LOGIN, fault)
            broken.append(sandbox.issuer(kind, login, proxy=proxy))
    signer = sandbox.ready_issuer(kind, auth)
    requests = []
    for fault in (long, many):
        signing = sandbox.new_signing()
        injection = sandbox.proxy.inject(Route.SIGN, fault, where=is_for(signing))
        requests.append((sandbox.request(signer, signing), injection))
    for issuer in broken:
        issuer.wait_not_ready("its health query or login gets a long error")
    for request, injection in requests:
        injection.wait(sandbox.timeouts.wire)
        settle(request)
    sandbox.proxy.clear_faults()
    sandbox.barrier(signer)
    wait_events(sandbox, *(request for request, _ in requests), *broken)
    longest = max(len(message.encode()) for message in messages(sandbox))
    assert longest < BOUND, f"expected messages shorter than {BOUND} bytes, saw one of {longest}"


# -- private keys -------------------------------------------------------------------------------------


#: Where a private key must not be shown. Not every stack can show the log.
PLACES = pytest.mark.parametrize("place", ["objects", "log"])


def require_place(sandbox: Sandbox, place: str) -> None:
    """Check that this stack can show a place.

    :raises NotRunnable: if the log cannot be read.
    """
    if place == "log" and sandbox.environment.implementation_log is None:
        raise NotRunnable("the controller's log cannot be read", hint="let the suite start it: set [run] command")


def wait_handled(sandbox: Sandbox, request: CertificateRequest) -> None:
    """Wait until the controller has used the response to a sign request: the request is final, or it has asked again.

    A controller that takes the response for a passing error may keep the request pending for minutes.
    """

    def handled() -> bool | None:
        return is_final(request.get()) or len(sandbox.signings(request)) > 1 or None

    poll(handled, timeout=request.timeouts.bound(request.timeouts.request), interval=0.05)


def assert_key_is_not_shown(sandbox: Sandbox, kind: str, request: CertificateRequest, key_pem: str, place: str) -> None:
    wait_handled(sandbox, request)
    wait_events(sandbox, request)
    lines = [line for line in key_pem.splitlines() if line and not line.startswith("-----")]
    canaries = {"the first line of the key": lines[0], "a further line of the key": lines[1]}
    if place == "log":
        found = leaked(sandbox.implementation_log(), canaries)
        assert not found, f"expected no private key from Vault's response in the log, saw {', '.join(found)}"
        return
    held = [
        secret.get("data") or {}
        for namespace in {sandbox.namespace, sandbox.home(kind)}
        for secret in sandbox.cluster.list(SECRETS, namespace)
    ]
    places = {
        "status and events": shown(sandbox),
        "a Secret": json.dumps(held),
    }
    found = [place for place, content in places.items() if leaked(content, canaries)]
    assert not found, f"expected no private key from Vault's response in the cluster, saw one in {', '.join(found)}"
    status = request.get().get("status", {})
    for field in ("certificate", "ca"):
        content = base64.b64decode(status.get(field) or "").decode(errors="replace")
        blocks = set(re.findall(r"-----BEGIN ([^-]*)-----", content))
        assert blocks <= {"CERTIFICATE"}, f"expected only certificates in status.{field}, saw {blocks}"


@requirement("VI-LEAK-005")
@PLACES
def test_private_key_in_a_sign_response_is_not_shown(sandbox: Sandbox, kind: str, place: str) -> None:
    require_place(sandbox, place)
    key_pem = key_to_pem(new_key())
    sandbox.environment.redactor.add(key_pem)

    def add_key(answer: dict[str, Any]) -> dict[str, Any]:
        if "certificate" in (answer.get("data") or {}):
            answer["data"] |= {"private_key": key_pem, "private_key_type": "ec"}
        return answer

    injection = sandbox.proxy.inject(Route.SIGN, Tamper(add_key, "add private key"))
    request = sandbox.request(sandbox.ready_issuer(kind))
    injection.wait(sandbox.timeouts.wire)
    assert_key_is_not_shown(sandbox, kind, request, key_pem, place)


@requirement("VI-LEAK-005")
@PLACES
def test_private_key_of_an_issue_endpoint_is_not_shown(sandbox: Sandbox, kind: str, place: str) -> None:
    require_place(sandbox, place)
    auth, path = issue_endpoint(sandbox, kind)
    try:
        issuer = sandbox.issuer(kind, auth, path=path)
    except RefusedError:
        return  # a controller may refuse a path that is not a sign endpoint
    if issuer.wait_answer() != "True":
        return
    request = sandbox.request(issuer)
    wait_handled(sandbox, request)
    for answer in sandbox.proxy.seen(Route.SIGN):
        key_pem = (answer.response_json.get("data") or {}).get("private_key")
        if key_pem:
            assert_key_is_not_shown(sandbox, kind, request, key_pem, place)


def assert_key_of_certificate_is_not_shown(sandbox: Sandbox, certificate: Certificate, place: str) -> None:
    """Check that a place shows no line of the key that the Secret of a Certificate contains."""
    secret = sandbox.cluster.find(SECRETS, certificate.secret_name, certificate.namespace)
    assert secret is not None, "expected the Secret of a Ready Certificate, saw none"
    lines = base64.b64decode(secret["data"]["tls.key"]).decode().splitlines()
    canaries = {"the first line of the key": lines[1], "a further line of the key": lines[2]}
    found = leaked(sandbox.implementation_log() if place == "log" else shown(sandbox), canaries)
    where = "the log" if place == "log" else "status and events"
    assert not found, f"expected no private key of a Certificate in {where}, saw {', '.join(found)}"


@requirement("VI-LEAK-006")
@PLACES
def test_key_of_a_certificate_is_not_shown(sandbox: Sandbox, kind: str, place: str) -> None:
    require_place(sandbox, place)
    certificate, before = sandbox.issued_certificate(sandbox.ready_issuer(kind))
    assert_key_of_certificate_is_not_shown(sandbox, certificate, place)
    certificate.renew()
    certificate.wait_new_certificate(before)
    certificate.wait_ready()
    assert_key_of_certificate_is_not_shown(sandbox, certificate, place)


@requirement("VI-LEAK-006")
@PLACES
def test_key_of_a_certificate_that_cannot_be_stored_is_not_shown(sandbox: Sandbox, kind: str, place: str) -> None:
    require_place(sandbox, place)
    issuer, other = sandbox.ready_issuer(kind), separate_issuer(sandbox, kind)
    namespace, name = issuer.namespace or sandbox.namespace, sandbox.new_name("unwritable")
    allowed = f"!object.metadata.name.startsWith('{name}')"

    def write() -> None:
        sandbox.delete_secret(sandbox.secret({"note": "probe"}, namespace=namespace, name=f"{name}-probe"), namespace)

    with refused(sandbox, "", "secrets", allowed, write, namespace=namespace):
        certificate = sandbox.certificate(issuer, secretName=name)
        sandbox.proxy.wait_for(Route.SIGN, timeout=sandbox.timeouts.wire, what="a sign request")
        barrier(sandbox, other)
    certificate.touch()  # faster: a controller may retry to store it only after minutes
    certificate.wait_ready()
    assert_key_of_certificate_is_not_shown(sandbox, certificate, place)
