"""Judges mutants by rule: first each alone by a few requirements, then the others in groups by the whole suite.

A mutant survives if every requirement passed while its change was in the controller. Most mutants fail one of the
first few requirements, each in a short session. The changes of the others are combined in one controller, which the
whole suite judges once. A requirement that fails there does not identify a mutant: each mutant of the group is then
judged alone by the failed requirements.
"""

from __future__ import annotations

import ast
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pytest_vault_issuer.requirements.catalogue import Catalogue

from .builds import SAMPLE_CONTROLLER, Mutant
from .judging import Bench, Conditions
from .load import mutants
from .rules import Site, equivalent, mutant_of
from .score import CAUGHT, NOT_STARTED, SURVIVED, UNCOVERED, UNFINISHED
from .trace import Trace, uses

#: The number of requirements that judge a mutant first: those of handwritten mutants in the same function, those that
#: caught other mutants in the same module, and the fastest of other areas.
NEAR, LEARNED, QUICK = 4, 4, 4
#: Seconds after which a session is stopped. A mutant that hangs fails a test long before.
LIMIT = 1800
#: With more requirements than this, the whole suite judges the mutant.
WIDE = 60
#: Processes of pytest-xdist that judge a group of mutants.
PROCESSES = 2


Entry = dict[str, Any]


@dataclass
class Result:
    """The result of a mutant.

    :ivar result: see :mod:`.score`; :ivar failed: the requirements that failed.
    :ivar seconds: of the sessions that judged it alone.
    """

    site: Site
    result: str = ""
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def entry(self) -> Entry:
        """Return the result as an entry of the file of results."""
        return {
            "key": self.site.key,
            "rule": self.site.rule,
            "line": self.site.lines[0],
            "module": self.site.module,
            "result": self.result,
            "failed": self.failed,
            "seconds": self.seconds,
            "equivalent": equivalent().get(self.site.key, ""),
        }


def judge(
    sites: Sequence[Site], bench: Bench, directory: Path, trace: Trace, before: Sequence[Entry] = ()
) -> list[Result]:
    """Judge some mutants.

    :param directory: an empty one.
    :param before: results of other mutants, which decide about the first requirements.
    """
    learned = list(before)
    results = []
    for number, site in enumerate(sites):
        results.append(result := Result(site))
        judge_alone(result, bench, directory / f"first-{number}", first_requirements(site, trace, learned))
        learned.append(result.entry())
    rest = [result for result in results if result.result == SURVIVED]
    for number, group in enumerate(split_into_groups(rest, trace)):
        judge_group(affected_by_any(group, trace), group, bench, directory / f"group-{number}")
    for result in rest:
        if result.result == SURVIVED and not trace.affected(result.site):
            result.result = UNCOVERED
    return results


def first_requirements(site: Site, trace: Trace, before: Sequence[Entry]) -> list[str]:
    """Return the requirements that judge a mutant first."""
    chosen = [identifier for identifier in nearest_handwritten(site) if trace.seconds.get(identifier)][:NEAR]
    affected = trace.affected(site)
    fitting = [identifier for identifier in caught_nearby(site, before) if identifier in affected or not affected]
    chosen += [identifier for identifier in fitting if identifier not in chosen][:LEARNED]
    quick: dict[str, str] = {}
    for identifier in affected:
        if identifier not in chosen:
            quick.setdefault(area(identifier), identifier)
    return chosen + list(quick.values())[:QUICK]


def caught_nearby(site: Site, before: Sequence[Entry]) -> list[str]:
    """Return the requirements that caught mutants in the same module; those in the same function count for more."""
    times: Counter[str] = Counter()
    for entry in before:
        if entry["module"] == site.module:
            near = entry["key"].startswith(f"{site.module}:{site.function}: ")
            times.update(dict.fromkeys(entry["failed"], 10 if near else 1))
    return [identifier for identifier, _ in times.most_common()]


def affected_by_any(group: Sequence[Result], trace: Trace) -> list[str]:
    """Return the requirements that some mutants can affect; all if the trace does not contain one of them."""
    found: set[str] = set()
    for result in group:
        affected = trace.affected(result.site)
        if not affected:
            return list(Catalogue.load().ids)
        found.update(affected)
    return [identifier for identifier in Catalogue.load().ids if identifier in found]


def area(identifier: str) -> str:
    """Return the area of a requirement."""
    return identifier.split("-")[1]


def nearest_handwritten(site: Site) -> list[str]:
    """Return the requirements of the handwritten mutants in the same function, those of the nearest lines first.

    The definitions of a module or class are used in other functions, which count instead.
    """
    wanted = [(module, line, line) for module, line in uses(site) if line != site.lines[0]]
    distances: dict[str, int] = {}
    for module, first_line, last_line in wanted or [(site.module, *site.lines)]:
        function = function_at(module, first_line, last_line)
        for mutant in mutants():
            for start, end in _edited(mutant, module):
                if function_at(module, start, end) == function:
                    distance = max(start - last_line, first_line - end, 0)
                    distances[mutant.requirement] = min(distance, distances.get(mutant.requirement, distance))
    return sorted(distances, key=lambda identifier: (distances[identifier], identifier))


@cache
def _edited(mutant: Mutant, module: str) -> tuple[tuple[int, int], ...]:
    """Return the first and the last line of each edit of a module."""
    if mutant.own_group:
        return ()
    found = []
    for edit in mutant.edits:
        if edit.file == module:
            before, _, _ = _text(module).partition(edit.old)
            start = before.count("\n") + 1 + edit.old.startswith("\n")
            found.append((start, start + edit.old.strip("\n").count("\n")))
    return tuple(found)


@cache
def _text(module: str) -> str:
    return (SAMPLE_CONTROLLER / module).read_text()


@cache
def function_at(module: str, first_line: int, last_line: int) -> str:
    """Return the innermost function or class around some lines, as in :class:`Site`."""
    name = ""
    node: ast.AST = ast.parse(_text(module))
    while True:
        inner = [
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.FunctionDef | ast.ClassDef)
            and child.lineno <= first_line
            and last_line <= (child.end_lineno or 0)
        ]
        if not inner:
            return name or "module"
        node = inner[0]
        name = f"{name}.{inner[0].name}".lstrip(".")


def split_into_groups(results: Iterable[Result], trace: Trace) -> list[list[Result]]:
    """Split mutants into groups that are judged at once.

    The changes in a group must not hide one another, so each function has at most one. Mutants that few requirements
    can catch do not share a group with those that need the whole suite.
    """
    groups: list[list[Result]] = []
    wide: list[bool] = []
    for result in results:
        is_wide = len(trace.affected(result.site) or trace.seconds) > WIDE
        for number, group in enumerate(groups):
            if wide[number] == is_wide and not any(_near(result.site, other.site) for other in group):
                group.append(result)
                break
        else:
            groups.append([result])
            wide.append(is_wide)
    return groups


def _near(one: Site, other: Site) -> bool:
    same = one.module == other.module and one.function == other.function
    return one.overlaps(other) or (same and one.function != "module")


def judge_alone(result: Result, bench: Bench, directory: Path, selection: Sequence[str]) -> None:
    """Judge a mutant by some requirements, until the first one fails."""
    result.result = SURVIVED
    if not selection:
        return
    directory.mkdir()
    conditions = Conditions(first_failure=True, limit=LIMIT)
    began = time.monotonic()
    try:
        judgement = bench.judge(result.site.mutant(), directory, selection, conditions)
    except subprocess.TimeoutExpired:
        result.result = UNFINISHED
    except AssertionError:
        result.result = NOT_STARTED
    else:
        result.failed = sorted(judgement.of("failed"))
        if result.failed:
            result.result = CAUGHT
        elif not judgement.of("passed"):
            result.result = NOT_STARTED
    result.seconds = round(result.seconds + time.monotonic() - began, 1)


def judge_group(selection: Sequence[str], group: Sequence[Result], bench: Bench, directory: Path) -> None:
    """Judge mutants that passed alone by some requirements, combined in one controller."""
    directory.mkdir()
    conditions = Conditions(limit=LIMIT, processes=PROCESSES)
    mutant = mutant_of([result.site for result in group])
    try:
        judgement = bench.judge(mutant, directory, selection, conditions)
        failed = sorted(judgement.of("failed", "error")) if judgement.of("passed") else None
    except (subprocess.TimeoutExpired, AssertionError):
        failed = None
    if failed is None and len(group) > 1:  # one of them prevents the start
        half = len(group) // 2
        judge_group(selection, group[:half], bench, directory / "1")
        judge_group(selection, group[half:], bench, directory / "2")
        return
    for number, result in enumerate(group):
        judge_alone(result, bench, directory / f"alone-{number}", selection if failed is None else failed)
