"""Reads reports, and computes what depends only on their data."""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fastjsonschema

from ..errors import ConfigurationError
from ..inputs.files import read_regular
from ..requirements.catalogue import Requirement
from ..sandbox.pace import Pace
from ..text import LARGEST, LEVELS, depth_exceeds, one_line
from ..version import __version__
from . import journal
from .build import FILE, SCHEMA_VERSION, schema
from .causes import complete
from .outcomes import Outcome, RequirementResult, TestResult

Report = dict[str, Any]
#: Characters of a message: some list all allowed values.
_LONGEST = 200


def load(path: Path) -> Report:
    """Return a report.

    :param path: of ``report.json``, or of the directory it is in.
    :raises ConfigurationError: if it does not exist, cannot be read, or does not match the schema.
    """
    file = path / FILE if path.is_dir() else path
    journaled = file.with_name(journal.FILE)
    if file.name == FILE and not file.exists() and journaled.exists():
        raise _cut(journaled)
    try:
        report = parse(read_regular(file).decode("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the report {file} cannot be read: {error.strerror}",
            hint=f"name the {FILE}, or the directory, that --vault-issuer-report wrote",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{file} is not JSON: {error}",
            hint=f"name the {FILE}, which contains the report; if it is truncated, run the suite again",
        ) from error
    _check(file, report)
    complete(report)
    loaded: Report = report
    return loaded


def parse(text: str) -> Any:
    """Return a JSON value, if every JSON parser reads it in the same way.

    :raises ValueError: for text that is not JSON, a duplicate key, a number of more than 64 bits, or too deep nesting.
    :raises RecursionError: for too deep nesting.
    """
    value = json.loads(
        text, parse_constant=_no_number, parse_float=_float, parse_int=_integer, object_pairs_hook=_object
    )
    if depth_exceeds(value, 2 * LEVELS):
        raise ValueError(f"it is nested deeper than {2 * LEVELS} levels")
    return value


def _no_number(text: str) -> None:
    """Refuse NaN and the infinities: Python reads and writes them, JSON has none."""
    raise ValueError(f"{text} is not a number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shortened(text, _LONGEST)} is too large for a number")
    return value


def _integer(text: str) -> int:
    if len(text) > len(str(LARGEST)) + 1 or abs(int(text)) > LARGEST:
        raise ValueError(f"{shortened(text, _LONGEST)} is too large for a number")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := _twice(name for name, _ in pairs):
        raise ValueError(f"the key {shortened(twice[0], _LONGEST)!r} is given twice")
    return dict(pairs)


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _check(file: Path, report: Any) -> None:
    """Check a report before anything reads it: another program or version may have written it.

    :raises ConfigurationError: if it does not match the schema.
    """
    if not isinstance(report, dict) or "schema_version" not in report:
        raise ConfigurationError(
            f"{file} is JSON, but not a report: it has no schema_version",
            hint=f"name the {FILE}, or the directory, that --vault-issuer-report wrote",
        )
    generator = report.get("generator")
    by = generator.get("version") if isinstance(generator, dict) else None
    by = shortened(one_line(by), _LONGEST) if isinstance(by, str) else None
    hint = (
        f"pytest-vault-issuer {by} wrote it, and {__version__} is installed: read it with {by}, or run the suite again"
        if by and by != __version__
        else "run the suite again: the file was changed, or an unreleased version wrote it"
    )
    # Also by type: true is not a version, although True == 1 in Python.
    version = report["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{file} has the schema version {shortened(json.dumps(version), _LONGEST)}, "
            f"and this release reads only version {SCHEMA_VERSION}",
            hint=hint,
        )
    try:
        _validator()(report, name_prefix="report")
    except fastjsonschema.JsonSchemaValueException as error:
        problem = shortened(one_line(error.message), _LONGEST)
        raise ConfigurationError(f"{file} does not match the schema of reports: {problem}", hint=hint) from error
    if twice := _twice(entry["id"] for entry in report["requirements"]):
        raise ConfigurationError(f"{file} does not match the schema of reports: {twice[0]} occurs twice", hint=hint)


@functools.cache
def _validator() -> Any:
    return fastjsonschema.compile(schema())


def shortened(text: str, longest: int) -> str:
    """Return a text, cut to a number of characters; an ellipsis marks the cut."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def _cut(path: Path) -> ConfigurationError:
    """Return the error for a session that wrote only its journal: how far it came."""
    got = journal.read(path)
    if got.ended:
        return ConfigurationError(
            f"{path.parent} has no {FILE}, only the journal of a session that ended", hint="run the suite again"
        )
    last = f", the last of them {shortened(one_line(got.last), _LONGEST)}" if got.last else ""
    about = shortened(one_line(got.about), _LONGEST)
    return ConfigurationError(
        f"the session of {about} was interrupted or is still running: {got.tests} tests have ended{last} ({path})",
        hint="wait for its end, or run the suite again: only a complete session has a verdict",
    )


def results(report: Report) -> list[RequirementResult]:
    """Return the result of each requirement of a report."""
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
    """Return name and version of the implementation of a report."""
    about = report["implementation"]
    return f"{about['name']} {about['version']}"


def early_end(report: Report) -> str:
    """Return why the session ended early; '' if it ran to its end."""
    return f"the session ended early: {report['incomplete']}" if report.get("incomplete") else ""


def generator(report: Report) -> str:
    """Return name and version of the program that wrote a report."""
    return f"{report['generator']['name']} {report['generator']['version']}"


def pace(report: Report) -> str:
    """How fast the controller is, in words; '' if it was not measured."""
    measured = report["implementation"].get("pace")
    return str(Pace.of_report(measured)) if measured else ""


def versions(named: dict[str, str]) -> str:
    """Return names and versions, such as the components of a stack, in one line."""
    return ", ".join(f"{name} {version}" for name, version in named.items())


def binaries(report: Report) -> str:
    """Return the binaries by source, such as "build: etcd v1.36.3, vault v1.21.0"; '' if the report lists none."""
    by_source: dict[str, list[str]] = {}
    for entry in report["reproduction"].get("binaries", []):
        by_source.setdefault(entry["source"], []).append(f"{entry['binary']} {entry['version']}".strip())
    return "; ".join(f"{source}: {', '.join(named)}" for source, named in by_source.items())


def with_outcome(report: Report, outcomes: Iterable[str]) -> list[dict[str, Any]]:
    """Return the entries that have one of these outcomes and at least one test."""
    wanted = set(outcomes)
    return [entry for entry in report["requirements"] if entry["outcome"] in wanted and entry["tests"]]
