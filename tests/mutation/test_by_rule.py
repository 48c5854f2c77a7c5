"""Mutants by rule give a score that nobody can tune by choosing mistakes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.scope import complete

from .draw import drawn, set_seed
from .groups import Entry, Result, judge
from .judging import Bench
from .rules import Place, equivalent, places
from .score import EQUIVALENT, SURVIVED, UNCOVERED
from .trace import Trace, load

#: The share of the places that are judged; by default about 50.
RULE_SHARE = "MUTATION_RULE_SHARE"
#: A file to which each result is appended, one JSON object a line. Mutants whose results it has are not judged again.
SCORE = "MUTATION_SCORE"
#: How many mutants are judged together.
GROUP = 25

set_seed()
PLACES = drawn(places(), float(os.environ.get(RULE_SHARE, "0.02")))
GROUPS = [PLACES[start : start + GROUP] for start in range(0, len(PLACES), GROUP)]


@pytest.fixture(scope="session")
def trace(bench: Bench) -> Trace:
    return load(bench)


def known() -> list[Entry]:
    """Return the results that the file has."""
    path = Path(os.environ.get(SCORE, ""))
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@pytest.mark.parametrize("group", GROUPS, ids=[f"group-{number}" for number in range(1, len(GROUPS) + 1)])
def test_mutants_by_rule_are_caught(
    group: list[Place], bench: Bench, trace: Trace, tmp_path: Path, record_property: Any, built: None
) -> None:
    before = known()
    done = {entry["key"] for entry in before}
    left = [place for place in group if place.key not in done]
    # What is proved equivalent is judged in the complete run only, which finds proofs that hold no longer.
    proved = [] if complete() else [place for place in left if place.key in equivalent()]
    results = [Result(place, EQUIVALENT) for place in proved]
    results += judge([place for place in left if place not in proved], bench, tmp_path, trace, before)
    for result in results:
        record_property("by rule", result.entry())
        if path := os.environ.get(SCORE):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(result.entry()) + "\n")
    survivors = [result for result in results if result.result in (SURVIVED, UNCOVERED)]
    missed = [f"{result.result}: {result.place.key}" for result in survivors if result.place.key not in equivalent()]
    assert missed == [], "\n".join(missed)
