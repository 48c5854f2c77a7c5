"""Records what each way of authenticating looks like on the wire: the facts behind the pictures.

A test module that pytest is given by name; it writes one recording for each flow into the directory ``WIRE``::

    WIRE=docs/wire pytest docs/wire/record.py --vault-issuer=cert-manager -k "not aws"
    WIRE=docs/wire pytest docs/wire/record.py --vault-issuer=sample-controller --vault-issuer-profile=extended -k aws

An Issuer becomes Ready, and a request is issued. A recording contains the exchanges of the proxy, the calls of the
controller and of Vault in the API server's audit log, and the requests to STS. Words replace random values (names,
credentials, addresses), so that a recording is the same every time.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from pytest_vault_issuer import (
    JWT,
    Authentication,
    CertificateRequest,
    Exchange,
    Issuer,
    Route,
    Sandbox,
    Session,
    user_name,
)

Step = dict[str, Any]
Timed = tuple[float, Step]
FLOWS: dict[str, Callable[[Sandbox], Authentication]] = {
    "token": lambda sandbox: sandbox.token("Issuer"),
    "approle": lambda sandbox: sandbox.approle("Issuer"),
    "kubernetes-static": lambda sandbox: sandbox.kubernetes_static("Issuer"),
    "kubernetes-secretless": lambda sandbox: sandbox.kubernetes_secretless("Issuer"),
    "jwt": lambda sandbox: sandbox.jwt("Issuer", audiences=["vault.example.com"], stored=True),
    "client-certificate": lambda sandbox: sandbox.client_certificate("Issuer"),
    "aws": lambda sandbox: sandbox.aws("Issuer"),
}
#: Flows in which the controller requests a token of a ServiceAccount.
REQUESTED = ("kubernetes-secretless", "aws")
#: Flows in which Vault asks the API server whose token it was shown.
REVIEWED = ("kubernetes-static", "kubernetes-secretless")
#: The request headers that the pictures show.
HEADERS = ("X-Vault-Token", "X-Vault-Namespace")


@pytest.mark.parametrize("flow", FLOWS)
def test_record(flow: str, vault_issuer_sandbox: Sandbox, vault_issuer_session: Session) -> None:
    sandbox = vault_issuer_sandbox
    auth = FLOWS[flow](sandbox)
    issuer = sandbox.ready_issuer("Issuer", auth)
    request = sandbox.issued(issuer)
    words = Words(sandbox, auth, issuer, request)
    # First: the request may be signed once more, and what follows is of the logins up to here.
    signing = sandbox.signings(request)[-1]
    logins = sandbox.proxy.seen(Route.LOGIN)
    others: list[Timed] = []
    if flow in REQUESTED:
        others += token_requests(sandbox, auth, words, len(logins))
    if flow in REVIEWED:
        others += token_reviews(sandbox, logins)
    if flow == "aws":
        others += sts_calls(sandbox, auth, words, logins)
    implementation, stack = vault_issuer_session.implementation, vault_issuer_session.stack()
    recording = {
        "flow": flow,
        "controller": f"{implementation.name} {implementation.version}",
        "stack": stack.components,
        "ready": steps_to(sandbox.proxy.seen(Route.HEALTH)[0], logins, others, words),
        "signing": steps_to(signing, logins, others, words),
    }
    path = Path(os.environ["WIRE"]) / f"{flow}.json"
    path.write_text(json.dumps(recording, indent=2) + "\n")


def steps_to(last: Exchange, logins: list[Exchange], others: list[Timed], words: Words) -> list[Step]:
    """Return the calls that lead to a query of health or a signature.

    A controller may do several things at the same time: its token identifies the login, and the time the calls to
    others came just before that login or during it. Health needs no token: without one, the first login is meant.
    """
    wanted = [login for login in logins if login.response_json["auth"]["client_token"] == last.token]
    steps = [exchange_step(last, words)]
    for login in wanted if last.token else logins[:1]:
        before = [(time, step) for time, step in others if step["from"] == "controller" and time < login.started]
        during = [step for time, step in others if step["from"] == "Vault" and last_before(time, logins) is login]
        # One of each kind: a token, and what it was exchanged for.
        latest = {step["call"]: step for _, step in sorted(before, key=lambda item: item[0])}
        logging_in = [*latest.values(), exchange_step(login, words) | {"meanwhile": during}]
        steps = [*logging_in, *steps] if login.started < last.started else [*steps, *logging_in]
    return steps


def last_before(time: float, logins: list[Exchange]) -> Exchange | None:
    """The login that began last before a time: logins of one controller may overlap."""
    return max((login for login in logins if login.started <= time), key=lambda login: login.started, default=None)


class Words:
    """What is random in one flow, and what it stands for."""

    def __init__(self, sandbox: Sandbox, auth: Authentication, issuer: Issuer, request: CertificateRequest) -> None:
        names = {
            sandbox.proxy.url: "https://vault.example.com",
            sandbox.pki.mount: "pki",
            sandbox.pki.role: "example-dot-com",
            issuer.name: "vault-issuer",
            sandbox.namespace: "sandbox",
            auth.secret_name: "vault-auth",
            auth.service_account: "issuer",
            auth.credential: f"<{credential_name(auth)}>",
            auth.principal: "arn:aws:iam::123456789012:role/issuer",
            **dict.fromkeys(names_of(request), "www.example.com"),
        }
        if auth.approle:
            names |= {auth.approle.mount: "approle", auth.approle.role_id: "<role id>"}
        if auth.role:
            kind = auth.role.mount.partition("-")[0]
            names |= {auth.role.mount: kind, auth.role.name: "issuer-role"}
        for exchange in sandbox.proxy.seen(Route.LOGIN):
            names[exchange.response_json.get("auth", {}).get("client_token", "")] = "<client token>"
        # The longest first: a name may be a part of another.
        self._names = dict(sorted(((k, v) for k, v in names.items() if k), key=lambda item: -len(item[0])))

    def replace(self, value: Any) -> Any:
        """Return a copy of a JSON value without anything random."""
        if isinstance(value, dict):
            return {self.replace(key): self.replace(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.replace(item) for item in value]
        if not isinstance(value, str):
            return value
        for name, word in self._names.items():
            value = value.replace(name, word)
        return value


def names_of(request: CertificateRequest) -> list[str]:
    csr = x509.load_pem_x509_csr(request.signing.pem.encode())
    return csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def credential_name(auth: Authentication) -> str:
    return {"token": "token", "approle": "secret id", "client-certificate": "key"}.get(auth.feature, "JWT")


def exchange_step(exchange: Exchange, words: Words) -> Step:
    """Return what the controller asked of Vault."""
    sends = {name: exchange.headers.get(name) for name in HEADERS if exchange.headers.get(name)}
    for key, value in exchange.json.items():
        if key == "jwt" and (jwt := exchange.jwt) is not None:
            sends["jwt"] = token_words(jwt.claims)
        elif key == "csr":
            sends[key] = "<PEM>"
        else:
            sends[key] = "<base64>" if key.startswith("iam_request_") else value
    return {
        "from": "controller",
        "to": "Vault",
        "call": f"{exchange.method} {words.replace(exchange.path)}",
        "presents": "the certificate of the Secret" if exchange.client_certificate else "",
        "sends": words.replace(sends),
        "status": exchange.status,
        "receives": words.replace(received(exchange)),
    }


def token_words(claims: dict[str, Any]) -> dict[str, Any]:
    """Return what matters of a service account's token; a stored one names no time when it expires."""
    seconds = round(claims["exp"] - claims["iat"], -1) if "exp" in claims else None
    audiences = claims.get("aud", [])
    return {
        "sub": claims["sub"],
        "aud": audiences,
        "lifetime_s": seconds,
    }


def received(exchange: Exchange) -> dict[str, Any]:
    """Return what matters of Vault's response."""
    body = exchange.response_json
    if exchange.route is Route.LOGIN:
        return {"client_token": body["auth"]["client_token"], "lease_duration": body["auth"]["lease_duration"]}
    if exchange.route is Route.HEALTH:
        return {key: body[key] for key in ("initialized", "sealed", "standby")}
    assert exchange.route is Route.SIGN
    return {"certificate": "<PEM>", "ca_chain": ["<PEM>"] * len(body["data"]["ca_chain"])}


def token_requests(sandbox: Sandbox, auth: Authentication, words: Words, count: int) -> Iterator[Timed]:
    """Yield the controller's requests for a token of the ServiceAccount, with their time."""
    for record in sandbox.audit.token_requests(auth.namespace, auth.service_account, count=count):
        namespace, _, account = sandbox.environment.service_account.partition("/")
        assert record["user"]["username"] == user_name(namespace, account)
        spec = record["requestObject"]["spec"]
        yield (
            audit_time(record),
            {
                "from": "controller",
                "to": "Kubernetes",
                "call": words.replace(f"POST {record['requestURI'].partition('?')[0]}"),
                "presents": "",
                "sends": words.replace({key: spec[key] for key in ("audiences", "expirationSeconds")}),
                "status": record["responseStatus"]["code"],
                "receives": {"token": "<JWT>"},
            },
        )


def token_reviews(sandbox: Sandbox, logins: list[Exchange]) -> Iterator[Timed]:
    """Yield the questions of Vault whose token it was shown: one during each login."""
    # The token names the reviewer, also where the stack belongs to another session.
    token = JWT.of(sandbox.environment.stack.reviewer_token)
    assert token is not None
    reviewer = token.subject

    def is_review(record: dict[str, Any]) -> bool:
        return record["user"]["username"] == reviewer and record["objectRef"]["resource"] == "tokenreviews"

    reviews = sandbox.audit.wait(is_review, count=len(logins))[: len(logins)]
    for login, record in zip(logins, reviews, strict=True):
        yield (
            login.started + 1e-6,
            {
                "from": "Vault",
                "to": "Kubernetes",
                "call": f"POST {record['requestURI'].partition('?')[0]}",
                "presents": "",
                "sends": {},
                "status": record["responseStatus"]["code"],
                "receives": {},
            },
        )


def sts_calls(sandbox: Sandbox, auth: Authentication, words: Words, logins: list[Exchange]) -> Iterator[Timed]:
    """Yield what STS was asked.

    Its record has an order and no times: a role is assumed before each login, and during it Vault has the caller
    identified, more than once.
    """
    calls = [json.loads(line) for line in Path(sandbox.environment.sts.record).read_text().splitlines()]
    assumed = [call for call in calls if call["parameters"].get("RoleArn") == auth.principal]
    identified = [call for call in calls if call["action"] == "GetCallerIdentity"]
    each, rest = divmod(len(identified), len(logins))
    assert len(assumed) == len(logins), "expected one assumed role for each login"
    assert not rest, "expected that only this sandbox uses STS"
    for number, (login, assume) in enumerate(zip(logins, assumed, strict=True)):
        sends = words.replace({"RoleArn": assume["parameters"]["RoleArn"], "WebIdentityToken": "<JWT>"})
        yield login.started - 1e-6, sts_step("controller", assume, sends, {"Credentials": "<temporary>"})
        for identify in identified[number * each : (number + 1) * each]:
            yield login.started + 1e-6, sts_step("Vault", identify, {}, {"Arn": "<the assumed role>"})


def sts_step(caller: str, call: dict[str, Any], sends: dict[str, Any], receives: dict[str, Any]) -> Step:
    return {
        "from": caller,
        "to": "STS",
        "call": call["action"],
        "presents": "",
        "sends": sends,
        "status": call["status"],
        "receives": receives,
    }


def audit_time(record: dict[str, Any]) -> float:
    """When the API server got a request, in seconds since the epoch."""
    return datetime.datetime.fromisoformat(record["requestReceivedTimestamp"]).timestamp()
