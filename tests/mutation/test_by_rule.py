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
from .score import CAUGHT, NOT_STARTED, SURVIVED, UNCOVERED, UNFINISHED
from .trace import Trace, load

#: The share of the places that are judged; by default about 50.
RULE_SHARE = "MUTATION_RULE_SHARE"
#: A file to which each result is appended, one JSON object a line.
SCORE = "MUTATION_SCORE"
#: How many requirements are tried first: the quickest of those that run the line.
FIRST = 8
#: Seconds after which a session is stopped. A mutant that hangs fails a test long before.
LIMIT = 1800

set_seed()
PLACES = drawn(places(), float(os.environ.get(RULE_SHARE, "0.02")))


@pytest.fixture(scope="session")
def trace(bench: Bench) -> Trace:
    return load(bench)


def judge(place: Place, bench: Bench, directory: Path, affected: list[str]) -> tuple[str, list[str]]:
    """Return what became of a mutant, see :mod:`.score`, and the requirements that failed."""
    if not affected:
        return UNCOVERED, []
    conditions = Conditions(timeout_scale=1.0, first_failure=True, limit=LIMIT)
    for number, selection in enumerate((affected[:FIRST], affected[FIRST:])):
        if not selection:
            continue
        inner = directory / str(number)
        inner.mkdir()
        try:
            judgement = bench.judge(place.mutant(), inner, selection, conditions)
        except subprocess.TimeoutExpired:
            return UNFINISHED, []
        except AssertionError:
            return NOT_STARTED, []
        if failed := judgement.of("failed"):
            return CAUGHT, sorted(failed)
        if not judgement.of("passed"):
            return NOT_STARTED, []
    return SURVIVED, []


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
        "module": place.module,
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
    if result == UNFINISHED:
        pytest.skip(f"not finished after {LIMIT} s: {place.key}")
    assert result not in (SURVIVED, UNCOVERED) or reason, f"{result}: {place.key}"
