"""Reads reports back, and what is computed from their data alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..requirements import Requirement
from . import journal
from .json_report import FILE, SCHEMA_VERSION
from .outcomes import Outcome, RequirementResult, TestResult

Report = dict[str, Any]


def load(path: Path) -> Report:
    """Return a report.

    :param path: of ``report.json``, or of the directory it is in.
    :raises ConfigurationError: when there is none, or of another form.
    """
    file = path / FILE if path.is_dir() else path
    journaled = file.with_name(journal.FILE)
    if not file.exists() and journaled.exists():
        raise _cut(journaled)
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the report {file} cannot be read: {error.strerror}",
            hint="name the report.json, or the directory, that --vault-issuer-report wrote",
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{file} is no report: {error}", hint=f"name a {FILE}") from error
    version = report.get("schema_version") if isinstance(report, dict) else None
    if version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{file} is no report of form {SCHEMA_VERSION}, but {version}",
            hint="write it again with this version of pytest-vault-issuer",
        )
    loaded: Report = report
    return loaded


def _cut(path: Path) -> ConfigurationError:
    """Say of a run that wrote nothing but its journal how far it got."""
    got = journal.read(path)
    if got.ended:
        return ConfigurationError(f"{path} is all that is left of a report", hint="run the suite again")
    last = f", the last of them {got.last}" if got.last else ""
    return ConfigurationError(
        f"the run of {got.about} was cut off, or is under way: {got.tests} tests had ended{last} ({path})",
        hint="run the suite again: without its end there is no verdict",
    )


def results(report: Report) -> list[RequirementResult]:
    """Return what a report says of each requirement."""
    return [
        RequirementResult(
            Requirement(
                **{key: entry[key] for key in ("id", "statement", "level", "profile", "feature", "citation", "since")},
                upstream=tuple(entry["upstream"]),
            ),
            [
                TestResult(
                    test["nodeid"], Outcome(test["outcome"]), test["duration_s"], test["message"], test["evidence"]
                )
                for test in entry["tests"]
            ],
            later=entry["reason"],
        )
        for entry in report["requirements"]
    ]


def title(report: Report) -> str:
    """Whom a report is about."""
    about = report["implementation"]
    return f"{about['name']} {about['version']}"


def with_outcome(report: Report, outcomes: Iterable[str]) -> list[dict[str, Any]]:
    """Return the requirements' entries that have one of these outcomes and were judged by a test."""
    wanted = set(outcomes)
    return [entry for entry in report["requirements"] if entry["outcome"] in wanted and entry["tests"]]


def messages(entry: dict[str, Any]) -> list[str]:
    """Return the first lines of what the tests of a requirement said that share its outcome, each once."""
    said = [
        test["message"].splitlines()[0]
        for test in entry["tests"]
        if test["message"] and test["outcome"] == entry["outcome"]
    ]
    return list(dict.fromkeys(said))
