"""Mutants by rule give a score that nobody can tune by choosing mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .draw import drawn, set_seed
from .judging import Bench, Conditions
from .rules import Place, equivalent, places
from .trace import Trace, load

#: The share of the places that are judged; by default about 50.
RULE_SHARE = "MUTATION_RULE_SHARE"
#: A file to which each result is appended, one JSON object a line.
SCORE = "MUTATION_SCORE"
#: How many requirements are tried first: the quickest of those that run the line.
FIRST = 8
#: Seconds after which a session is stopped, and the mutant counts as caught.
LIMIT = 900

set_seed()
PLACES = drawn(places(), float(os.environ.get(RULE_SHARE, "0.02")))


@pytest.fixture(scope="session")
def trace(bench: Bench) -> Trace:
    return load(bench)


def judge(place: Place, bench: Bench, directory: Path, affected: list[str]) -> tuple[str, list[str]]:
    """Return what became of a mutant, and the requirements that failed.

    ``caught``, ``did not start``, ``timed out``, ``survived``, or ``not run`` if no test runs the line.
    """
    if not affected:
        return "not run", []
    conditions = Conditions(timeout_scale=1.0, first_failure=True, limit=LIMIT)
    for number, selection in enumerate((affected[:FIRST], affected[FIRST:])):
        if not selection:
            continue
        inner = directory / str(number)
        inner.mkdir()
        try:
            judgement = bench.judge(place.mutant(), inner, selection, conditions)
        except subprocess.TimeoutExpired:
            return "timed out", []
        except AssertionError:
            return "did not start", []
        if failed := judgement.of("failed", "error"):
            return "caught", sorted(failed)
        if not judgement.of("passed"):
            return "did not start", []
    return "survived", []


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.key)
def test_a_mutant_by_rule_is_caught(
    place: Place, bench: Bench, trace: Trace, tmp_path: Path, record_property: Any, built: None
) -> None:
    began = time.monotonic()
    affected = trace.affected(place)
    result, failed = judge(place, bench, tmp_path, affected)
    reason = equivalent().get(place.key, "")
    entry = {
        "key": place.key,
        "rule": place.rule,
        "line": place.lines[0],
        "result": result,
        "failed": failed,
        "affected": len(affected),
        "seconds": round(time.monotonic() - began, 1),
        "equivalent": reason,
    }
    record_property("by rule", entry)
    if path := os.environ.get(SCORE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    assert result not in ("survived", "not run") or reason, f"{result}: {place.key}"
