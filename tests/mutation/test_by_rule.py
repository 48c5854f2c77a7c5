"""Mutants by rule give a score that does not depend on a choice of mistakes."""

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
from .rules import Site, equivalent, sites
from .score import EQUIVALENT, SURVIVED, UNCOVERED
from .trace import Trace, load

#: The share of the sites that are judged; by default about 50 of them.
RULE_SHARE = "MUTATION_RULE_SHARE"
#: A file to which each result is appended, one JSON object per line. Mutants with a result in it are not judged again.
SCORE = "MUTATION_SCORE"
#: The number of mutants in a group.
GROUP = 25

set_seed()
SITES = drawn(sites(), float(os.environ.get(RULE_SHARE, "0.02")))
GROUPS = [SITES[start : start + GROUP] for start in range(0, len(SITES), GROUP)]


@pytest.fixture(scope="session")
def trace(bench: Bench) -> Trace:
    return load(bench)


def known() -> list[Entry]:
    """Return the results that the file has."""
    path = Path(os.environ.get(SCORE, ""))
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@pytest.mark.parametrize("group", GROUPS, ids=[f"group-{number}" for number in range(1, len(GROUPS) + 1)])
def test_mutants_by_rule_are_caught(
    group: list[Site], bench: Bench, trace: Trace, tmp_path: Path, record_property: Any, built: None
) -> None:
    before = known()
    done = {entry["key"] for entry in before}
    left = [site for site in group if site.key not in done]
    # Only the complete run judges equivalent mutants, and finds those that are no longer equivalent.
    proved = [] if complete() else [site for site in left if site.key in equivalent()]
    results = [Result(site, EQUIVALENT) for site in proved]
    results += judge([site for site in left if site not in proved], bench, tmp_path, trace, before)
    for result in results:
        record_property("by rule", result.entry())
        if path := os.environ.get(SCORE):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(result.entry()) + "\n")
    survivors = [result for result in results if result.result in (SURVIVED, UNCOVERED)]
    missed = [f"{result.result}: {result.site.key}" for result in survivors if result.site.key not in equivalent()]
    assert missed == [], "\n".join(missed)
