"""The evidence of a failure: exchanges with Vault, objects, and the log of the controller, redacted.

:func:`collect` returns it as plain data for all reports. :func:`sections` turns it into text.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from ..errors import StackError
from ..inputs.documents import write_documents
from ..redaction.redactor import Redactor
from ..sandbox import Sandbox
from ..sandbox.certificate import Certificate
from ..sandbox.handles import Handle, describe_conditions

#: Lines of the controller's log in the evidence, from its end.
LOG_LINES = 40
#: Characters of the log that are read, from its end: the redaction of more would take long.
LOG_CHARACTERS = 4_000_000
EXCHANGES = 30
#: Characters of a text in a specification. A longer text, such as a CSR, is cut to its beginning.
LONGEST, _KEPT = 200, 40
#: Fields that the API server adds to the specification of a request: the requester, which is always the suite.
_OF_THE_API = frozenset({"username", "groups", "uid", "extra"})
#: The title of the requests at proxies of other tests.
ELSEWHERE = "what else the controller did during the wait: its requests at the proxies of other tests"
#: How to read the requests of a test.
LEGEND = (
    "Recorded by the proxy between the controller and Vault. In brackets: what the test made the proxy do with a "
    "request, or the error. Fingerprints replace secrets: equal fingerprints mean equal secrets."
)


def collect(sandbox: Sandbox) -> dict[str, Any]:
    """Return the evidence of a test that failed.

    :return: ``exchanges`` (see :meth:`~..proxy.exchange.Exchange.record`, with the number of its ``proxy``) and
        ``refused`` connections in their order, ``objects`` with specification, conditions and events, ``log``, a list
        of lines, and ``log_of``: ``test`` where these are the last that name the test's namespaces, issuers or
        requests, ``all`` if none does, and they are simply the last. ``elsewhere``: requests at proxies of other
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
        text = sandbox.implementation_log()
    except StackError as error:  # the rest is still useful
        text = f"the log could not be read: {error.message}"
    # Before lines are chosen: the redaction does not recognize a part of a key.
    log = redactor.redact_end(text, LOG_CHARACTERS).splitlines()
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
            # another process may have begun it after `now`
            "seconds": round(max(0.0, (request.ended or now) - request.began), 1),
            "in_progress": request.ended is None,
            "test": sandbox.environment.redactor.redact(request.test),
        }
        for request in activity.others(max(activity.waiting_since, sandbox.began))
    ]


def _redacted(record: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Redact the names in the record of an exchange that the client chose."""
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
    """Cut the long texts of a specification. It is redacted already: the redaction does not recognize half a secret."""
    return item | {"spec": {key: _cut(value) for key, value in item["spec"].items() if key not in _OF_THE_API}}


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
    """Return which part of the log it is: tests that run at the same time share one log."""
    if evidence["log_of"] == "test":
        return "log of the controller since the test began: lines that name its objects"
    return "log of the controller since the test began: its last lines, because none names an object of the test"


def elsewhere_text(request: dict[str, Any]) -> str:
    """One request at a proxy of another test as a line."""
    state = "in progress for" if request["in_progress"] else "took"
    return f"{request['route'].upper()} {state} {request['seconds']:.1f} s, {request['test'] or 'no test'}"


def connection(exchange: dict[str, Any]) -> Iterator[str]:
    """Yield the query, the server name and the client certificate of a request."""
    if exchange["query"]:
        yield f"query: {exchange['query']}"
    if exchange["server_name"]:
        yield f"asked for the server {exchange['server_name']}"
    if exchange["client_certificate"]:
        yield f"presented the client certificate of {exchange['client_certificate']}"


def summary(exchange: dict[str, Any]) -> str:
    """One line without headers and bodies: number, method, path, status, fault."""
    status = exchange["status"] if exchange["status"] is not None else "no response"
    fault = f" [{exchange['fault']}]" if exchange["fault"] else ""
    return f"#{exchange['number']} {exchange['method']} {exchange['path']} {status}{fault}"


def exchange_text(exchange: dict[str, Any]) -> str:
    """The whole exchange as text of several lines."""
    source = "answered by Vault" if exchange["by_vault"] else "not answered by Vault"
    lines = [f"{summary(exchange)} ({exchange['route'].upper()}, {exchange['milliseconds']:.0f} ms, {source})"]
    lines += [f"  {fact}" for fact in connection(exchange)]
    if exchange["jwt"]:
        lines += [f"  JWT {line}" for line in json.dumps(exchange["jwt"], indent=2, ensure_ascii=False).splitlines()]
    for arrow, part in ((">", ""), ("<", "response_")):
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
    return write_documents(item["spec"], sort_keys=False, allow_unicode=True, width=1000).rstrip("\n")


def _conditions(item: dict[str, Any]) -> str:
    return describe_conditions({"status": {"conditions": item["conditions"]}})
