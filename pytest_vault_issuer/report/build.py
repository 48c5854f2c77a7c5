"""``report.json``: the complete report, for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from ..implementation import Implementation
from ..options import Settings
from ..sandbox.pace import Pace
from ..stack.types import Stack
from ..version import __version__
from .causes import complete
from .files import GENERATOR, json_text, write_text
from .outcomes import RequirementResult, profile_entries

#: A higher number means that programs that read the file must change.
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
    pace: Pace | None = None,
) -> dict[str, Any]:
    """Return the report.

    :param profiles: the profiles that were judged.
    :param reproduction: from :func:`~.reproduction.describe`.
    :param stack: None if it could not start.
    :param failure: why the controller did not run or stopped, redacted.
    :param incomplete: why the session ended early, redacted; '' if it ran to its end.
    :param pace: of the controller, None if it was not measured.
    """
    results, profiles = list(results), list(profiles)
    report = {
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
            "pace": pace.reported() if pace else None,
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
                **result.requirement.entry(),
                "outcome": result.outcome.value,
                "reason": result.later,
                "tests": [test.entry() for test in result.tests],
            }
            for result in results
        ],
    }
    complete(report)
    return report


def schema() -> dict[str, Any]:
    """Return the JSON Schema that every report matches."""
    loaded: dict[str, Any] = json.loads((resources.files(__package__) / SCHEMA).read_text(encoding="utf-8"))
    return loaded


def write(report: dict[str, Any], directory: Path) -> Path:
    """Write ``report.json`` into a directory, which is created if it does not exist, and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE
    write_text(path, json_text(report))
    return path
