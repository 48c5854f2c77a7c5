"""``report.json``: everything a machine may want to know of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from ..implementation import Implementation
from ..options import Settings
from ..stack.types import Stack
from ..version import __version__
from .files import GENERATOR, json_text, write_text
from .outcomes import RequirementResult, profile_entries

#: Raised when a consumer of the file has to change.
SCHEMA_VERSION = 1
FILE = "report.json"
SCHEMA = "report.schema.json"


def build(
    implementation: Implementation,
    stack: Stack | None,
    settings: Settings,
    results: Iterable[RequirementResult],
    *,
    profiles: Iterable[str],
    reproduction: dict[str, Any],
    failure: str = "",
    incomplete: str = "",
) -> dict[str, Any]:
    """Return the report.

    :param profiles: those that were judged.
    :param reproduction: from :func:`~.reproduction.describe`.
    :param stack: None where it could not be started.
    :param failure: why the implementation did not run or stopped, redacted.
    :param incomplete: why the run ended early, redacted; '' where it ran to its end.
    """
    results, profiles = list(results), list(profiles)
    return {
        "schema_version": SCHEMA_VERSION,
        "generator": {"name": GENERATOR, "version": __version__},
        "implementation": {
            "name": implementation.name,
            "version": implementation.version,
            "contract": implementation.contract,
            "organization": implementation.organization,
            "url": implementation.url,
            "contact": implementation.contact,
            "features": sorted(implementation.features),
            "known_failures": implementation.known_failures,
            "failure": failure,
        },
        "incomplete": incomplete,
        "stack": (
            {"provider": stack.provider, "reason": stack.reason, "components": stack.components} if stack else None
        ),
        "options": {
            "stack": settings.stack,
            "profiles": profiles,
            "select": list(settings.select),
            "timeout_scale": settings.timeout_scale,
            "certify": settings.certify,
        },
        "reproduction": reproduction,
        "profiles": profile_entries(results, profiles, strict=settings.certify, incomplete=bool(incomplete)),
        "requirements": [
            {
                "id": result.requirement.id,
                "area": result.requirement.area,
                "level": result.requirement.level,
                "profile": result.requirement.profile,
                "feature": result.requirement.feature,
                "statement": result.requirement.statement,
                "citation": result.requirement.citation,
                "since": result.requirement.since,
                "upstream": list(result.requirement.upstream),
                "outcome": result.outcome.value,
                "reason": result.later,
                "tests": [
                    {
                        "nodeid": test.nodeid,
                        "outcome": test.outcome.value,
                        "duration_s": round(test.duration_s, 3),
                        "message": test.message,
                        "evidence": test.evidence,
                    }
                    for test in result.tests
                ],
            }
            for result in results
        ],
    }


def dumps(report: dict[str, Any]) -> str:
    """Return the report as text."""
    return json_text(report)


def schema() -> dict[str, Any]:
    """Return the JSON Schema that every report fulfils."""
    loaded: dict[str, Any] = json.loads((resources.files(__package__) / SCHEMA).read_text(encoding="utf-8"))
    return loaded


def write(report: dict[str, Any], directory: Path) -> Path:
    """Write ``report.json`` into a directory, created where it is missing, and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE
    write_text(path, dumps(report))
    return path
