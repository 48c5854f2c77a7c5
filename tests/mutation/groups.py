"""Judges mutants by rule: each alone by what finds most, and those that pass together by the whole suite.

A mutant survives if every requirement passed while its change was in the controller. Most mutants fail one of the
first few requirements, each in a short session of its own. The changes of the rest are built into one controller,
which the whole suite judges once. A requirement that fails there says nothing of one mutant: by these requirements,
each is judged alone once more.
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
from .rules import Place, equivalent, mutant_of
from .score import CAUGHT, NOT_STARTED, SURVIVED, UNCOVERED, UNFINISHED
from .trace import Trace, uses

#: How many requirements are tried first: of mutants by hand in the same function, those that caught other mutants in
#: the same module, and the quickest of other areas.
NEAR, LEARNED, QUICK = 4, 4, 4
#: Seconds after which a session is stopped. A mutant that hangs fails a test long before.
LIMIT = 1800
#: More requirements than this are nearly the whole suite.
WIDE = 60
#: Processes of pytest-xdist that judge several mutants together.
PROCESSES = 2


Entry = dict[str, Any]


@dataclass
class Result:
    """What became of a mutant.

    :ivar result: see :mod:`.score`; :ivar failed: the requirements that failed.
    :ivar seconds: of the sessions that judged it alone.
    """

    place: Place
    result: str = ""
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def entry(self) -> Entry:
        """Return the result as the file of results has it."""
        return {
            "key": self.place.key,
            "rule": self.place.rule,
            "line": self.place.lines[0],
            "module": self.place.module,
            "result": self.result,
            "failed": self.failed,
            "seconds": self.seconds,
            "equivalent": equivalent().get(self.place.key, ""),
        }


def judge(
    together: Sequence[Place], bench: Bench, directory: Path, trace: Trace, before: Sequence[Entry] = ()
) -> list[Result]:
    """Judge some mutants.

    :param directory: an empty one.
    :param before: results of other mutants; what caught those is tried first.
    """
    learned = list(before)
    results = []
    for number, place in enumerate(together):
        results.append(result := Result(place))
        alone(result, bench, directory / f"first-{number}", first(place, trace, learned))
        learned.append(result.entry())
    rest = [result for result in results if result.result == SURVIVED]
    for number, group in enumerate(apart(rest, trace)):
        together_by(affected_by_any(group, trace), group, bench, directory / f"together-{number}")
    for result in rest:
        if result.result == SURVIVED and not trace.affected(result.place):
            result.result = UNCOVERED
    return results


def first(place: Place, trace: Trace, before: Sequence[Entry]) -> list[str]:
    """Return the requirements that judge a mutant first."""
    chosen = [identifier for identifier in near_by_hand(place) if trace.seconds.get(identifier)][:NEAR]
    affected = trace.affected(place)
    fitting = [identifier for identifier in learned(place, before) if identifier in affected or not affected]
    chosen += [identifier for identifier in fitting if identifier not in chosen][:LEARNED]
    quick: dict[str, str] = {}
    for identifier in affected:
        if identifier not in chosen:
            quick.setdefault(area(identifier), identifier)
    return chosen + list(quick.values())[:QUICK]


def learned(place: Place, before: Sequence[Entry]) -> list[str]:
    """Return the requirements that caught mutants in the same module; those in the same function count for more."""
    times: Counter[str] = Counter()
    for entry in before:
        if entry["module"] == place.module:
            near = entry["key"].startswith(f"{place.module}:{place.function}: ")
            times.update(dict.fromkeys(entry["failed"], 10 if near else 1))
    return [identifier for identifier, _ in times.most_common()]


def affected_by_any(group: Sequence[Result], trace: Trace) -> list[str]:
    """Return the requirements that some mutants can affect; all if the trace does not show it of one."""
    found: set[str] = set()
    for result in group:
        affected = trace.affected(result.place)
        if not affected:
            return list(Catalogue.load().ids)
        found.update(affected)
    return [identifier for identifier in Catalogue.load().ids if identifier in found]


def area(identifier: str) -> str:
    """Return the area of a requirement."""
    return identifier.split("-")[1]


def near_by_hand(place: Place) -> list[str]:
    """Return the requirements of the mutants by hand in the same function, those of the nearest lines first.

    What a statement of a module or class defines is used in other functions, which count instead.
    """
    wanted = [(module, line, line) for module, line in uses(place) if line != place.lines[0]]
    distances: dict[str, int] = {}
    for module, first_line, last_line in wanted or [(place.module, *place.lines)]:
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
    """Return the innermost function or class around some lines, as in :class:`Place`."""
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


def apart(results: Iterable[Result], trace: Trace) -> list[list[Result]]:
    """Split mutants into groups that are judged together.

    The changes in a group must not hide one another: there is one in each function. Those that few requirements can
    find do not share a group with those that need the whole suite.
    """
    groups: list[list[Result]] = []
    wide: list[bool] = []
    for result in results:
        is_wide = len(trace.affected(result.place) or trace.seconds) > WIDE
        for number, group in enumerate(groups):
            if wide[number] == is_wide and not any(_near(result.place, other.place) for other in group):
                group.append(result)
                break
        else:
            groups.append([result])
            wide.append(is_wide)
    return groups


def _near(one: Place, other: Place) -> bool:
    same = one.module == other.module and one.function == other.function
    return one.overlaps(other) or (same and one.function != "module")


def alone(result: Result, bench: Bench, directory: Path, selection: Sequence[str]) -> None:
    """Judge a mutant by some requirements, up to the first that fails."""
    result.result = SURVIVED
    if not selection:
        return
    directory.mkdir()
    conditions = Conditions(first_failure=True, limit=LIMIT)
    began = time.monotonic()
    try:
        judgement = bench.judge(result.place.mutant(), directory, selection, conditions)
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


def together_by(selection: Sequence[str], group: Sequence[Result], bench: Bench, directory: Path) -> None:
    """Judge mutants that passed alone by some requirements, in one controller."""
    directory.mkdir()
    conditions = Conditions(limit=LIMIT, processes=PROCESSES)
    mutant = mutant_of([result.place for result in group])
    try:
        judgement = bench.judge(mutant, directory, selection, conditions)
        failed = sorted(judgement.of("failed", "error")) if judgement.of("passed") else None
    except (subprocess.TimeoutExpired, AssertionError):
        failed = None
    if failed is None and len(group) > 1:  # one of them prevents the start
        half = len(group) // 2
        together_by(selection, group[:half], bench, directory / "1")
        together_by(selection, group[half:], bench, directory / "2")
        return
    for number, result in enumerate(group):
        alone(result, bench, directory / f"alone-{number}", selection if failed is None else failed)
