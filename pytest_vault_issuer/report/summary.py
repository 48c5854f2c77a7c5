"""A report as a short YAML document, similar to the ConformanceReport of the Gateway API."""

from __future__ import annotations

from typing import Any

from ..inputs.documents import write_documents
from ..text import all_printable
from .load import Report
from .outcomes import Outcome

API_VERSION = "vault-issuer.test/v1"
KIND = "ConformanceReport"


def render(report: Report) -> str:
    """Return the summary as YAML."""
    return write_documents(all_printable(build(report)), sort_keys=False, allow_unicode=True, width=120)


def build(report: Report) -> dict[str, Any]:
    """Return the summary as plain data."""
    about = report["implementation"]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "date": report["reproduction"]["time"],
        "certify": report["options"]["certify"],
        "suiteVersion": report["generator"]["version"],
        "suiteDigest": report["reproduction"]["suite_sha256"],
        "implementation": {key: about[key] for key in ("organization", "name", "url", "version", "contact")},
        "stack": report["stack"]["components"] if report["stack"] else {},
        "supportedFeatures": about["features"],
        "profiles": [_profile(name, report) for name in report["profiles"]],
    }


def _profile(name: str, report: Report) -> dict[str, Any]:
    members = [entry for entry in report["requirements"] if entry["profile"] == name]
    by_outcome = {
        outcome.value: [e["id"] for e in members if e["outcome"] == outcome.value]
        for outcome in (Outcome.ERROR, Outcome.FAILED, Outcome.KNOWN_FAILURE, Outcome.NOT_RUN)
    }
    return {
        "name": name,
        "result": report["profiles"][name]["verdict"],
        "statistics": {outcome.value: sum(e["outcome"] == outcome.value for e in members) for outcome in Outcome},
        **{outcome: ids for outcome, ids in by_outcome.items() if ids},
    }
