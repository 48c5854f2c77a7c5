"""Sample reports: every outcome, evidence of failures, and text that looks like markup."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.proxy.exchange import Exchange, Head, Headers
from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report.outcomes import Outcome, RequirementResult, TestResult
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.sandbox.pace import Pace

REQUIREMENTS = [r for r in Catalogue.load().requirements if r.profile == "core"][:6]
#: Text that a browser, Markdown or a shell could interpret.
HOSTILE = "<script>alert(1)</script> | `x` **y** ```"
REPRODUCTION: dict[str, Any] = {
    "time": "2026-11-24T12:00:00+00:00",
    "command": "pytest --pyargs vault_issuer_conformance --vault-issuer=./mine.toml -n 4",
    "options": ["--vault-issuer=./mine.toml"],
    "environment": {},
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"pytest": "9.0.0"},
    "suite_sha256": "a" * 64,
    "toolchain": {"vault": "abc"},
    "binaries": [
        {
            "binary": "vault",
            "source": "build",
            "version": "v1.21.0",
            "url": "github.com/hashicorp/vault@v1.21.0",
            "sha256": "b" * 64,
            "pinned": True,
        }
    ],
    "images": {},
    "implementation": {
        "file_sha256": "",
        "image": "",
        "images": [],
        "command": [],
        "program_sha256": "",
        "manifests_sha256": "",
    },
}


#: Lines of evidence that every format contains.
SEEN = (
    "#0 POST /v1/auth/kubernetes/login 200",
    "#1 GET /v1/sys/health 429 [standby]",
    "#0 POST /v1/pki/sign/r 403",
    "query: standbyok=true",
    "asked for the server vault.example.com",
    "presented the client certificate of CN=client-of-b",
    '"system:serviceaccount:a:b"',
    '"vault://a/b"',
    "proxy 2",
    HOSTILE,
    "Issuer a/b",
    "path: pki/sign/r",
    "VaultError",
    "ErrVault",
    "lines that name its objects",
    "line one",
    "LOGIN in progress for 31.5 s, test_a.py::test_hang",
)


def jwt(claims: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"canary-signature"))


def evidence() -> dict[str, Any]:
    exchange = Exchange(
        0, Head("POST", "/v1/pki/sign/r", Headers([("X-Vault-Token", "canary-token")])), b'{"csr": "x"}',
        started=100.0, ended=100.25, status=403, response_body=HOSTILE.encode(),
    )  # fmt: skip
    login = Exchange(
        0, Head("POST", "/v1/auth/kubernetes/login"),
        json.dumps({"role": "r", "jwt": jwt({"sub": "system:serviceaccount:a:b", "aud": ["vault://a/b"]})}).encode(),
        started=99.5, ended=99.6, status=200, upstream=True, server_name="vault.example.com",
        client_certificate=Authority().issue_client("client-of-b").der,
    )  # fmt: skip
    health = Exchange(
        1, Head("GET", "/v1/sys/health?standbyok=true"), b"",
        started=99.7, ended=99.8, status=429, fault="standby",
    )  # fmt: skip
    return {
        "proxies": 2,
        "exchanges": [
            {"proxy": proxy, **seen.record(Redactor())} for proxy, seen in ((2, login), (2, health), (1, exchange))
        ],
        "refused": [{"proxy": 1, "time": 99.0, "reason": HOSTILE}],
        "objects": [
            {
                "object": "Issuer a/b",
                "problem": "",
                "spec": {"vault": {"path": "pki/sign/r", "server": HOSTILE}},
                "conditions": [{"type": "Ready", "status": "False", "reason": "VaultError", "message": HOSTILE}],
                "events": [{"type": "Warning", "reason": "ErrVault", "message": HOSTILE}],
                "requests": [],
            }
        ],
        "log": ["line one", HOSTILE, "long" * 100],
        "log_of": "test",
        "elsewhere": [
            {"route": "login", "seconds": 31.5, "in_progress": True, "test": "test_a.py::test_hang"},
            {"route": "sign", "seconds": 0.1, "in_progress": False, "test": f"test_b.py::test[{HOSTILE}]"},
        ],
    }


def build(results: Iterable[RequirementResult], **details: Any) -> dict[str, Any]:
    """Return a report about cert-manager with some results."""
    return json_report.build(
        load_implementation("cert-manager"),
        None,
        Settings(),
        results,
        profiles=["core"],
        reproduction=copy.deepcopy(REPRODUCTION),
        **details,
    )


def report(*outcomes: Outcome, **changes: Any) -> dict[str, Any]:
    """Return a report in which the requirements have these outcomes and the others passed; failures have evidence."""
    given = [*outcomes, *[Outcome.PASSED] * (len(REQUIREMENTS) - len(outcomes))]
    results = []
    for requirement, outcome in zip(REQUIREMENTS, given, strict=True):
        seen = evidence() if outcome is Outcome.FAILED else None  # an error may occur before there is evidence
        message = f"it was not so: {HOSTILE}\nmore" if outcome is not Outcome.PASSED else ""
        test = TestResult(
            f"vault_issuer_conformance/test_x.py::test_{requirement.id[-3:]}[Issuer]", outcome, 0.5, message, seen
        )
        results.append(RequirementResult(requirement, [test]))
    return build(results, pace=Pace(concurrency=1, first_condition=0.25, ready=0.5)) | changes


def paths(value: Any, *, whole_lists: bool, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a JSON document; of each list, all entries or only the first."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if whole_lists or not isinstance(key, int) or key < 1:
            yield from paths(inner, whole_lists=whole_lists, path=(*path, key))


ALL = report(Outcome.FAILED, Outcome.ERROR, Outcome.KNOWN_FAILURE, Outcome.NOT_RUN, Outcome.UNSUPPORTED)
