"""What a failure shows: the wire, the objects, and the implementation's log, redacted.

Collected once, as plain data that any report can hold; :func:`sections` puts it into words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..cluster.api import ApiError
from ..issuer import Certificate
from ..issuer.handle import Handle, describe_conditions
from ..sandbox import Sandbox

#: How much of the implementation's log is shown, from its end.
LOG_LINES = 40
EXCHANGES = 30


def collect(sandbox: Sandbox) -> dict[str, Any]:
    """Return everything that helps to understand why a test failed.

    :return: ``exchanges`` (see :meth:`~..proxy.Exchange.record`, with the number of its ``proxy``) and
        ``refused`` connections in their order, ``objects`` with conditions and events, and ``log``, a list of lines.
    """
    redactor = sandbox.world.redactor
    exchanges, refused = [], []
    for number, proxy in enumerate(sandbox.proxies, 1):
        exchanges += [{"proxy": number, **e.record(redactor)} for e in proxy.exchanges[-EXCHANGES:]]
        refused += [
            {"proxy": number, "time": failure.time, "reason": failure.reason} for failure in proxy.handshake_failures
        ]
    log = sandbox.implementation_log().splitlines()[-LOG_LINES:]
    return {
        "proxies": len(sandbox.proxies),
        "exchanges": sorted(exchanges, key=lambda exchange: exchange["started"]),
        "refused": sorted(refused, key=lambda failure: failure["time"]),
        "objects": redactor.redact_json([_object(handle) for handle in sandbox.handles]),
        "log": redactor.redact("\n".join(log)).splitlines(),
    }


def _object(handle: Handle) -> dict[str, Any]:
    shown: dict[str, Any] = {"object": str(handle), "problem": "", "conditions": [], "events": [], "requests": []}
    try:
        item = handle.get()
        events = handle.events()
    except ApiError as error:
        return shown | {"problem": str(error)}
    made = handle.requests() if isinstance(handle, Certificate) else []
    return shown | {
        "conditions": item.get("status", {}).get("conditions") or [],
        "events": [{key: event.get(key) for key in ("type", "reason", "message")} for event in events],
        "requests": [
            {"name": r["metadata"]["name"], "conditions": r.get("status", {}).get("conditions") or []} for r in made
        ],
    }


def sections(evidence: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (title, text) of what :func:`collect` returned."""
    for number in range(1, evidence["proxies"] + 1):
        title = "requests to Vault" + (f" (proxy {number})" if evidence["proxies"] > 1 else "")
        lines = [exchange_text(e) for e in evidence["exchanges"] if e["proxy"] == number]
        lines += [f"refused connection: {f['reason']}" for f in evidence["refused"] if f["proxy"] == number]
        yield title, "\n".join(lines) or "none"
    yield "issuers and requests", "\n".join(object_text(item) for item in evidence["objects"]) or "none"
    if evidence["log"]:
        yield "log of the implementation since the test began", "\n".join(evidence["log"])


def summary(exchange: dict[str, Any]) -> str:
    """One line without headers and bodies: number, method, path, status, fault."""
    status = exchange["status"] if exchange["status"] is not None else "no answer"
    fault = f" [{exchange['fault']}]" if exchange["fault"] else ""
    return f"#{exchange['number']} {exchange['method']} {exchange['path']} {status}{fault}"


def exchange_text(exchange: dict[str, Any]) -> str:
    """The whole exchange as text of several lines."""
    source = "answered by Vault" if exchange["by_vault"] else "not answered by Vault"
    lines = [f"{summary(exchange)} ({exchange['route'].upper()}, {exchange['milliseconds']:.0f} ms, {source})"]
    if exchange["query"]:
        lines.append(f"  query: {exchange['query']}")
    if exchange["server_name"]:
        lines.append(f"  asked for the server {exchange['server_name']}")
    if exchange["client_certificate"]:
        lines.append(f"  presented the client certificate of {exchange['client_certificate']}")
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
    lines += [f"  CertificateRequest {r['name']}: {_conditions(r)}" for r in item["requests"]]
    lines += [f"  {e['type']} {e['reason']}: {e['message']}" for e in item["events"]]
    return "\n".join(lines)


def _conditions(item: dict[str, Any]) -> str:
    return describe_conditions({"status": {"conditions": item["conditions"]}})
