"""What a failure shows: the wire, the objects, and the implementation's log, redacted."""

from __future__ import annotations

from collections.abc import Iterator

from ..cluster.api import ApiError
from ..issuer import Certificate
from ..issuer.handle import describe_conditions
from ..sandbox import Sandbox

#: How much of the implementation's log is shown, from its end.
LOG_LINES = 40
EXCHANGES = 30


def sections(sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    """Yield (title, text) of everything that helps to understand why a test failed."""
    redact = sandbox.world.redactor.redact
    for number, proxy in enumerate(sandbox.proxies):
        title = "requests to Vault" + (f" (proxy {number + 1})" if len(sandbox.proxies) > 1 else "")
        lines = [exchange.describe(sandbox.world.redactor) for exchange in proxy.exchanges[-EXCHANGES:]]
        lines += [f"refused connection: {failure.reason}" for failure in proxy.handshake_failures]
        yield title, "\n".join(lines) or "none"
    objects = []
    for handle in sandbox.handles:
        try:
            item = handle.get()
            events = [f"  {e.get('type')} {e.get('reason')}: {e.get('message')}" for e in handle.events()]
        except ApiError as error:
            objects.append(f"{handle}: {error}")
            continue
        made = handle.requests() if isinstance(handle, Certificate) else []
        requests = [f"  CertificateRequest {r['metadata']['name']}: {describe_conditions(r)}" for r in made]
        objects.append("\n".join([f"{handle}: {describe_conditions(item)}", *requests, *events]))
    yield "issuers and requests", redact("\n".join(objects)) or "none"
    log = sandbox.implementation_log().splitlines()
    if log:
        yield "log of the implementation since the test began", redact("\n".join(log[-LOG_LINES:]))
