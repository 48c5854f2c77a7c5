"""What a failure shows: the wire, the objects, and the implementation's log, redacted.

Collected once, as plain data that any report can hold; :func:`sections` puts it into words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import yaml

from ..errors import StackError
from ..redaction.redactor import Redactor
from ..sandbox import Sandbox
from ..sandbox.certificate import Certificate
from ..sandbox.handles import Handle, describe_conditions

#: How much of the implementation's log is shown, from its end.
LOG_LINES = 40
#: Characters of the log's end that are looked at: redacting more would take long.
LOG_CHARACTERS = 4_000_000
EXCHANGES = 30
#: Characters of a text in an object's specification; of a longer one, such as a CSR, the beginning is kept.
LONGEST, _KEPT = 200, 40
#: What the API server writes into a request's specification: who made it, which here is always the suite.
_OF_THE_API = frozenset({"username", "groups", "uid", "extra"})
#: The title of the requests at proxies of other tests.
ELSEWHERE = "what else the controller was asked during the wait: requests at proxies of other tests"
#: How to read the requests of a test.
LEGEND = (
    "As the proxy between the issuer and Vault recorded them. In brackets: what the test had the proxy do to a "
    "request, or what went wrong with it. Secrets are replaced by fingerprints: equal ones are of equal secrets."
)


def collect(sandbox: Sandbox) -> dict[str, Any]:
    """Return everything that helps to understand why a test failed.

    :return: ``exchanges`` (see :meth:`~..proxy.Exchange.record`, with the number of its ``proxy``) and
        ``refused`` connections in their order, ``objects`` with specification, conditions and events, ``log``, a list
        of lines, and ``log_of``: ``test`` where these are the last that name the test's namespaces, issuers or
        requests, ``all`` where none does and they are simply the last. ``elsewhere``: requests at proxies of other
        tests during the last wait, which may have kept the controller busy.
    """
    redactor = sandbox.environment.redactor
    exchanges, refused = [], []
    for number, proxy in enumerate(sandbox.proxies, 1):
        exchanges += [
            {"proxy": number, **_redacted(e.record(redactor), redactor)} for e in proxy.exchanges[-EXCHANGES:]
        ]
        refused += [
            {"proxy": number, "time": failure.time, "reason": redactor.redact(failure.reason)}
            for failure in proxy.handshake_failures
        ]
    try:
        text = sandbox.implementation_log()[-LOG_CHARACTERS:]
    except StackError as error:  # evidence that cannot be had is no reason to lose the rest
        text = f"the log could not be read: {error.message}"
    # First of all: of a key that is cut, or of which only some lines are chosen, the rest would not be recognized.
    log = redactor.redact(text).splitlines()
    ours = [line for line in log if any(name in line for name in sandbox.names)]
    return {
        "proxies": len(sandbox.proxies),
        "exchanges": sorted(exchanges, key=lambda exchange: exchange["started"]),
        "refused": sorted(refused, key=lambda failure: failure["time"]),
        "objects": [_shortened(item) for item in redactor.redact_json([_object(h) for h in sandbox.handles])],
        "log": (ours or log)[-LOG_LINES:],
        "log_of": "test" if ours else "all",
        "elsewhere": _elsewhere(sandbox),
    }


def _elsewhere(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return what other tests had the controller do during the last wait; the names of tests are the suite's own."""
    activity, now = sandbox.environment.activity, time.monotonic()
    return [
        {
            "route": request.route,
            "seconds": round((request.ended or now) - request.began, 1),
            "in_progress": request.ended is None,
            "test": sandbox.environment.redactor.redact(request.test),
        }
        for request in activity.others(max(activity.waiting_since, sandbox.began))
    ]


def _redacted(record: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Redact also the names in an exchange's record that a client has chosen."""
    names = ("method", "server_name", "client_certificate", "fault")
    return record | {name: redactor.redact(record[name]) for name in names if record[name]}


def _object(handle: Handle) -> dict[str, Any]:
    shown: dict[str, Any] = {"object": str(handle), "problem": "", "spec": {}}
    shown |= {"conditions": [], "events": [], "requests": []}
    try:
        item = handle.get()
        events = handle.events()
        made = handle.requests() if isinstance(handle, Certificate) else []
    except StackError as error:
        return shown | {"problem": str(error)}
    return shown | {
        "spec": item.get("spec") or {},
        "conditions": item.get("status", {}).get("conditions") or [],
        "events": [{key: event.get(key) for key in ("type", "reason", "message")} for event in events],
        "requests": [
            {"name": r["metadata"]["name"], "conditions": r.get("status", {}).get("conditions") or []} for r in made
        ],
    }


def _shortened(item: dict[str, Any]) -> dict[str, Any]:
    """Cut the long texts of an object's specification, which is redacted: half a secret would not be recognised."""
    told = {key: _cut(value) for key, value in item["spec"].items() if key not in _OF_THE_API}
    return item | {"spec": told}


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cut(inner) for inner in value]
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:_KEPT]}… ({len(value)} characters)"
    return value


def sections(evidence: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (title, text) of what :func:`collect` returned."""
    for number in range(1, evidence["proxies"] + 1):
        title = "requests to Vault" + (f" (proxy {number})" if evidence["proxies"] > 1 else "")
        lines = [exchange_text(e) for e in evidence["exchanges"] if e["proxy"] == number]
        lines += [f"refused connection: {f['reason']}" for f in evidence["refused"] if f["proxy"] == number]
        yield title, "\n".join(lines) or "none"
    yield "issuers and requests", "\n".join(object_text(item) for item in evidence["objects"]) or "none"
    if evidence["log"]:
        yield log_title(evidence), "\n".join(evidence["log"])
    if elsewhere := evidence.get("elsewhere"):
        yield ELSEWHERE, "\n".join(elsewhere_text(request) for request in elsewhere)


def log_title(evidence: dict[str, Any]) -> str:
    """Say which part of the log it is: one log is of all tests that run at the same time."""
    if evidence["log_of"] == "test":
        return "log of the implementation since the test began: lines that name its objects"
    return "log of the implementation since the test began: its end, for no line names the test's objects"


def elsewhere_text(request: dict[str, Any]) -> str:
    """One request at a proxy of another test as a line."""
    state = "in progress for" if request["in_progress"] else "took"
    return f"{request['route'].upper()} {state} {request['seconds']:.1f} s, {request['test'] or 'no test'}"


def connection(exchange: dict[str, Any]) -> Iterator[str]:
    """Yield what is known of a request beside its head and body: query, server name, client certificate."""
    if exchange["query"]:
        yield f"query: {exchange['query']}"
    if exchange["server_name"]:
        yield f"asked for the server {exchange['server_name']}"
    if exchange["client_certificate"]:
        yield f"presented the client certificate of {exchange['client_certificate']}"


def summary(exchange: dict[str, Any]) -> str:
    """One line without headers and bodies: number, method, path, status, fault."""
    status = exchange["status"] if exchange["status"] is not None else "no answer"
    fault = f" [{exchange['fault']}]" if exchange["fault"] else ""
    return f"#{exchange['number']} {exchange['method']} {exchange['path']} {status}{fault}"


def exchange_text(exchange: dict[str, Any]) -> str:
    """The whole exchange as text of several lines."""
    source = "answered by Vault" if exchange["by_vault"] else "not answered by Vault"
    lines = [f"{summary(exchange)} ({exchange['route'].upper()}, {exchange['milliseconds']:.0f} ms, {source})"]
    lines += [f"  {fact}" for fact in connection(exchange)]
    if exchange["jwt"]:
        lines += [f"  JWT {line}" for line in json.dumps(exchange["jwt"], indent=2, ensure_ascii=False).splitlines()]
    for arrow, part in ((">", ""), ("<", "answer_")):
        lines += [f"  {arrow} {name}: {value}" for name, value in exchange[f"{part}headers"]]
        lines += [f"  {arrow} {line}" for line in body_text(exchange[f"{part}body"]).splitlines()]
    return "\n".join(lines)


def body_text(body: Any) -> str:
    """A body as text: JSON is indented."""
    return body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)


def object_text(item: dict[str, Any]) -> str:
    """An object with its conditions and events as text of several lines."""
    if item["problem"]:
        return f"{item['object']}: {item['problem']}"
    lines = [f"{item['object']}: {_conditions(item)}"]
    if item.get("spec"):
        lines += [f"  spec {line}" for line in spec_text(item).splitlines()]
    lines += [f"  CertificateRequest {r['name']}: {_conditions(r)}" for r in item["requests"]]
    lines += [f"  {e['type']} {e['reason']}: {e['message']}" for e in item["events"]]
    return "\n".join(lines)


def spec_text(item: dict[str, Any]) -> str:
    """An object's specification as YAML."""
    text: str = yaml.safe_dump(item["spec"], sort_keys=False, allow_unicode=True, width=1000)
    return text.rstrip("\n")


def _conditions(item: dict[str, Any]) -> str:
    return describe_conditions({"status": {"conditions": item["conditions"]}})
