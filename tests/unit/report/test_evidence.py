"""Evidence of a failure: requests, objects and log, without secrets, even if some of it is unavailable."""

from __future__ import annotations

import json
import re
import textwrap
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_vault_issuer.certificates import key_to_pem, new_key
from pytest_vault_issuer.kube.client import ApiError
from pytest_vault_issuer.proxy.exchange import Exchange, Head
from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.report import evidence
from pytest_vault_issuer.sandbox.activity import Request

CANARY = "canary-Tq8rX2"


class Handle:
    """Replaces the handle of an issuer object or a request."""

    def __init__(self, name: str, item: dict[str, Any] | None = None, events: Any = ()) -> None:
        self.name = name
        self.item = item
        self.listed = events

    def __str__(self) -> str:
        return self.name

    def get(self) -> dict[str, Any]:
        if self.item is None:
            raise ApiError(f"GET {self.name}", 404, {"message": "not found"})
        return self.item

    def events(self) -> list[dict[str, Any]]:
        return list(self.listed)


def proxy(*paths: str, refused: tuple[str, ...] = ()) -> Any:
    """Return a proxy that recorded requests for these paths."""
    return SimpleNamespace(
        exchanges=[Exchange(n, Head("GET", path), b"", started=n, ended=n, status=200) for n, path in enumerate(paths)],
        handshake_failures=[SimpleNamespace(reason=reason, time=1.0) for reason in refused],
    )


def shown(
    *, proxies: Any = (), issuers: Any = (), requests: Any = (), log: str = "", others: Any = ()
) -> dict[str, str]:
    redactor = Redactor()
    redactor.add(CANARY)
    sandbox: Any = SimpleNamespace(
        environment=SimpleNamespace(
            redactor=redactor, activity=SimpleNamespace(waiting_since=0.0, others=lambda since: list(others))
        ),
        began=0.0,
        proxies=list(proxies),
        handles=[*issuers, *requests],
        implementation_log=lambda: log,
        names={"issuer-1", "vi-2"},
    )
    collected = evidence.collect(sandbox)
    assert CANARY not in json.dumps(collected)
    sections = list(evidence.sections(collected))
    assert len({title for title, _ in sections}) == len(sections)
    return dict(sections)


def test_requests_to_vault_in_their_order() -> None:
    sections = shown(proxies=[proxy("/v1/login", "/v1/sign", refused=("unknown CA",))])
    assert sections["requests to Vault"].splitlines() == [
        "#0 GET /v1/login 200 (OTHER, 0 ms, not answered by Vault)",
        "#1 GET /v1/sign 200 (OTHER, 0 ms, not answered by Vault)",
        "refused connection: unknown CA",
    ]


def test_failure_without_requests_states_this() -> None:
    assert shown(proxies=[proxy()])["requests to Vault"] == "none"


def test_only_the_last_of_many_requests() -> None:
    lines = shown(proxies=[proxy(*(f"/{n}" for n in range(100)))])["requests to Vault"].splitlines()
    assert [line.split()[0] for line in lines] == [f"#{n}" for n in range(100 - evidence.EXCHANGES, 100)]


def test_each_of_several_proxies() -> None:
    sections = shown(proxies=[proxy("/one"), proxy("/two")])
    assert "/one" in sections["requests to Vault (proxy 1)"]
    assert "/two" in sections["requests to Vault (proxy 2)"]


def test_objects_with_conditions_and_events() -> None:
    ready = {"type": "Ready", "status": "False", "reason": "Error", "message": "sealed"}
    issuer = Handle(
        "Issuer a/b",
        {"status": {"conditions": [ready]}},
        [{"type": "Warning", "reason": "ErrVault", "message": "no route"}],
    )
    text = shown(issuers=[issuer], requests=[Handle("CertificateRequest a/c", {})])["issuers and requests"]
    assert text.splitlines() == [
        "Issuer a/b: its conditions: Ready=False Error: 'sealed'",
        "  Warning ErrVault: no route",
        "CertificateRequest a/c: its status has no conditions",
    ]


def test_specification_lacks_long_texts_and_fields_of_the_api_server() -> None:
    spec = {
        "vault": {"path": f"pki/{CANARY}", "caBundle": "A" * 300},
        "request": "B" * 201,
        "username": "us",
        "extra": {},
    }
    text = shown(issuers=[Handle("Issuer a/b", {"spec": spec})])["issuers and requests"]
    path, bundle, request = (line.strip() for line in text.splitlines()[2:])
    assert path.startswith("spec   path: pki/<secret ")
    assert bundle == f"spec   caBundle: {'A' * 40}… (300 characters)"
    assert request == f"spec request: {'B' * 40}… (201 characters)"


def test_an_object_that_is_gone_does_not_hide_the_others() -> None:
    text = shown(issuers=[Handle("Issuer a/b"), Handle("Issuer a/c", {})])["issuers and requests"]
    assert "Issuer a/b: GET Issuer a/b: 404 not found" in text
    assert "Issuer a/c: its status has no conditions" in text


def test_the_end_of_the_log() -> None:
    title = "log of the controller since the test began: its last lines, because none names an object of the test"
    lines = shown(log="\n".join(f"line {n}" for n in range(100)))[title].splitlines()
    assert lines == [f"line {n}" for n in range(100 - evidence.LOG_LINES, 100)]
    assert title not in shown(log="")


def test_lines_of_the_log_that_are_about_the_test_are_preferred() -> None:
    title = "log of the controller since the test began: lines that name its objects"
    others = "\n".join(f"of another test {n}" for n in range(100))
    lines = shown(log=f"issuer-1 failed\n{others}\nsecret in vi-2\n{others}")[title].splitlines()
    assert lines == ["issuer-1 failed", "secret in vi-2"]


@pytest.mark.parametrize("before", ["I1129 12:00:00 main.go:7] ", "I1129 12:00:00 issuer-1] "], ids=["all", "test"])
def test_log_is_redacted_before_it_is_cut(before: str) -> None:
    """After the prefix of a log line, half a key has neither its first line nor its last line."""
    key = key_to_pem(new_key("rsa"))
    rest = "\n".join(f"{before}{n}" for n in range(evidence.LOG_LINES - 10))
    text = "\n".join(shown(log=textwrap.indent(key, before) + rest).values())
    assert [line for line in key.splitlines()[1:-1] if line in text] == []
    assert "<private key " in text
    assert text.endswith(f"{evidence.LOG_LINES - 11}")


def test_requests_that_kept_the_controller_busy_elsewhere() -> None:
    others = [
        Request("1", "login", "test_a.py::test_hang", time.monotonic() - 20),
        Request("1", "sign", f"test_b.py::test[{CANARY}]", 1.0, 3.5),
    ]
    text = shown(others=others)[evidence.ELSEWHERE]
    assert re.match(r"LOGIN in progress for 20\.\d s, test_a\.py::test_hang\nSIGN took 2\.5 s, test_b\.py", text)
    assert CANARY not in text
    assert evidence.ELSEWHERE not in shown()


@pytest.mark.parametrize("place", ["request", "condition", "event", "log"])
def test_no_secret_is_shown(place: str) -> None:
    condition = {"type": "Ready", "message": CANARY if place == "condition" else ""}
    event = {"type": "Warning", "reason": "x", "message": CANARY if place == "event" else ""}
    sections = shown(
        proxies=[proxy(CANARY if place == "request" else "")],
        issuers=[Handle("Issuer a/b", {"status": {"conditions": [condition]}}, [event])],
        log=f"token={CANARY}" if place == "log" else "",
    )
    text = "\n".join(sections.values())
    assert CANARY not in text
    assert "<secret " in text
