"""Merges the reports of several machines that each ran a part of the suite."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError
from ..text import one_line
from .causes import complete
from .load import Report, results, title, versions
from .outcomes import Outcome, profile_entries

_ORDER = [outcome.value for outcome in Outcome]


def merge(reports: Sequence[Report]) -> Report:
    """Return one report with the tests of all reports.

    If several reports contain the same test, its worst outcome counts.

    :raises ConfigurationError: for reports of different implementations, suites, or versions of the stack.
    """
    _check(reports)
    first, *others = reports
    merged = copy.deepcopy(first)
    # A part whose stack could not start has none.
    merged["stack"] = copy.deepcopy(next((report["stack"] for report in reports if report["stack"]), None))
    entries = {entry["id"]: entry for entry in merged["requirements"]}
    for other in others:
        for more in other["requirements"]:
            entry = entries[more["id"]]
            tests = {test["nodeid"]: test for test in entry["tests"]}
            for test in more["tests"]:
                known = tests.get(test["nodeid"], test)
                tests[test["nodeid"]] = min(known, test, key=lambda t: _ORDER.index(t["outcome"]))
            entry["tests"] = list(tests.values())
        merged["options"]["certify"] = merged["options"]["certify"] and other["options"]["certify"]
        merged["implementation"]["failure"] = merged["implementation"]["failure"] or other["implementation"]["failure"]
    selections = [report["options"]["select"] for report in reports]
    merged["options"]["select"] = (
        sorted({part for selection in selections for part in selection}) if all(selections) else []
    )
    merged["reproduction"]["parts"] = [report["reproduction"] for report in reports]
    judged = results(merged)
    for entry, result in zip(merged["requirements"], judged, strict=True):
        entry["outcome"] = result.outcome.value
    reasons = dict.fromkeys(report["incomplete"] for report in reports if report.get("incomplete"))
    merged["incomplete"] = "; ".join(reasons)
    merged["profiles"] = profile_entries(
        judged,
        merged["profiles"],
        strict=merged["options"]["certify"],
        incomplete=bool(reasons),
    )
    complete(merged)
    return merged


def _check(reports: Sequence[Report]) -> None:
    """Check that the reports are parts of one: of the same implementation, suite and versions of the stack.

    :raises ConfigurationError: if not.
    """
    first, *others = reports
    for other in others:
        for what, of in (
            ("implementations", title),
            ("features", lambda r: r["implementation"]["features"]),
            ("suites", lambda r: r["reproduction"]["suite_sha256"]),
            ("profiles", lambda r: sorted(r["profiles"])),
        ):
            if of(other) != of(first):
                raise ConfigurationError(
                    one_line(f"the reports are about different {what}: {of(first)} and {of(other)}"),
                    hint="merge the reports of one implementation, judged by one suite",
                )
        if unshared := _identifiers(first) ^ _identifiers(other):
            raise ConfigurationError(
                f"the reports are about different requirements: not all have {', '.join(sorted(unshared))}",
                hint="merge the reports as the sessions wrote them",
            )
    stacks = [report["stack"] for report in reports if report["stack"]]
    for stack in stacks[1:]:
        if stack["components"] != stacks[0]["components"]:
            raise ConfigurationError(
                one_line(f"the reports are about different stacks: {_versions(stacks[0])} and {_versions(stack)}"),
                hint="judge all parts on the same versions of Vault and Kubernetes; compare those of different ones",
            )


def _identifiers(report: Report) -> set[str]:
    return {entry["id"] for entry in report["requirements"]}


def _versions(stack: dict[str, Any]) -> str:
    return versions(dict(sorted(stack["components"].items())))
