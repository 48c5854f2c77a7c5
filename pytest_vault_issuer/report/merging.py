"""Makes one report of those of several machines that shared the work."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from ..errors import ConfigurationError
from .outcomes import Outcome, profile_entries
from .reading import Report, results, title

_ORDER = [outcome.value for outcome in Outcome]


def merge(reports: Sequence[Report]) -> Report:
    """Return one report that holds the tests of all.

    A test that several of them have is taken with its worst outcome.

    :raises ConfigurationError: when they are about different implementations, or of different suites.
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
                    f"the reports are about different {what}: {of(first)} and {of(other)}",
                    hint="merge the reports of one implementation, judged by one suite",
                )
    merged = copy.deepcopy(first)
    for other in others:
        for entry, more in zip(merged["requirements"], other["requirements"], strict=True):
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
    merged["profiles"] = profile_entries(judged, merged["profiles"], strict=merged["options"]["certify"])
    return merged
