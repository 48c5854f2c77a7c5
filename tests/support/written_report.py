"""Checks that a written report fits the schema, and that its journal is complete."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema

from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report.journal import FILE

#: jsonschema checks times only with an additional package.
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(text: Any) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


def check(report: dict[str, Any]) -> None:
    """Check a report against the published schema, including formats."""
    jsonschema.Draft202012Validator(json_report.schema(), format_checker=FORMATS).validate(report)


def journal(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal."""
    return [json.loads(line) for line in (directory / FILE).read_text().splitlines()]


def load(directory: Path) -> dict[str, Any]:
    """Return the checked report of a complete session."""
    report: dict[str, Any] = json.loads((directory / json_report.FILE).read_text())
    check(report)
    if (directory / FILE).exists():
        first, *tests, last = journal(directory)
        assert (first["type"], {line["type"] for line in tests} - {"test"}, last["type"]) == ("run", set(), "end")
        assert last["verdicts"] == {name: profile["verdict"] for name, profile in report["profiles"].items()}
        outcomes = {test["nodeid"]: test["outcome"] for entry in report["requirements"] for test in entry["tests"]}
        assert {line["nodeid"]: line["outcome"] for line in tests} == outcomes
    return report


def passed(directory: Path) -> list[str]:
    """Return the requirements that passed, in the order of the catalogue."""
    return [entry["id"] for entry in load(directory)["requirements"] if entry["outcome"] == "passed"]
