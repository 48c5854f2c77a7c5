"""The summary on the terminal: outcomes by area, failures by cause, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..requirements.catalogue import LEVELS
from ..text import one_line
from .causes import Group, by_level, group_results, message_lines
from .outcomes import NOT_JUDGED, Outcome, RequirementResult, Verdict, by_area, by_profile, verdict

_SHOWN = {
    Outcome.ERROR: "errors in the suite or the stack",
    Outcome.FAILED: "failed",
    Outcome.KNOWN_FAILURE: "known failures",
    Outcome.NOT_RUN: "not run",
}
_COLORS = {
    Verdict.CONFORMANT: "green",
    Verdict.PARTIAL: "yellow",
    Verdict.NON_CONFORMANT: "red",
    Verdict.INCOMPLETE: "yellow",
}


def table(results: Iterable[RequirementResult]) -> list[str]:
    """Return a table of outcomes by area, with the outcomes that occur as columns."""
    columns, areas = by_area(results)
    widths = [max(9, len(outcome.value) + 2) for outcome in columns]
    rows = {"area": [outcome.value for outcome in columns]}
    rows |= {area: [str(cell or "-") for cell in cells] for area, cells in areas.items()}
    return [
        name.ljust(14) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        for name, cells in rows.items()
    ]


def details(results: Iterable[RequirementResult], *, incomplete: bool = False) -> Iterator[str]:
    """Yield what did not pass: by outcome, MUST before SHOULD, with the failures that share a cause in one place.

    :param incomplete: whether the session ended early.
    """
    results = list(results)
    # If it ended before pytest-xdist's workers collected the tests, nothing is known of them.
    untested_because = "the session ended early" if incomplete and not any(r.tests for r in results) else "not selected"
    for outcome, title in _SHOWN.items():
        members = [r for r in results if r.outcome is outcome]
        if not members:
            continue
        untested = [r for r in members if not r.tests]
        if untested:
            yield f"{title}, {untested_because}: {len(untested)} requirements"
        members = [r for r in members if r.tests]
        cut_off = [r for r in members if r.cut_off]
        if cut_off:
            yield f"{title}, the session ended early: {len(cut_off)} requirements"
        members = [r for r in members if not r.cut_off]
        if members:
            yield f"{title}, {by_level(r.requirement.level for r in members)}:"
        for group in group_results(members):
            yield from _group(group, outcome)
    for reason in dict.fromkeys(r.later for r in results if r.later):
        yield f"not applicable, {one_line(reason)}: {', '.join(r.requirement.id for r in results if r.later == reason)}"


def _group(group: Group[RequirementResult], outcome: Outcome) -> Iterator[str]:
    """Yield the requirements of a group; of those that share a cause, only the messages with another cause."""
    together = len(group.members) > 1
    if together:
        yield f"  {one_line(group.title(outcome))}"
    indent = "    " if together else "  "
    for result in group.members:
        statement = one_line(result.requirement.statement)
        yield f"{indent}{result.requirement.id} ({result.requirement.level}) {statement}"
        for message in message_lines(group, result.messages):
            yield f"{indent}    {one_line(message[:300])}"


def verdict_line(
    profile: str,
    members: Sequence[RequirementResult],
    *,
    strict: bool = False,
    incomplete: bool = False,
) -> tuple[str, Verdict]:
    """Return the line with the verdict of a profile, and the verdict; parameters as for :func:`~.outcomes.verdict`."""
    result = verdict(members, strict=strict, incomplete=incomplete)
    if all(member.outcome in NOT_JUDGED for member in members):
        return f"profile {one_line(profile)}: {result.value} (none of {len(members)} requirements judged)", result
    parts = []
    for level in LEVELS:
        total = [r for r in members if r.requirement.level == level and not r.later]
        if total:
            passed = sum(r.outcome is Outcome.PASSED for r in total)
            parts.append(f"{passed} of {len(total)} {level} passed")
    return f"profile {one_line(profile)}: {result.value} ({', '.join(parts)})", result


@dataclass(frozen=True)
class Line:
    """A line for a terminal.

    :ivar color: a name of pytest's terminal writer, such as ``red``; '' for none.
    """

    text: str
    color: str = ""
    bold: bool = False


def last_lines(
    name: str,
    results: Iterable[RequirementResult],
    profiles: Iterable[str],
    *,
    certify: bool,
    failure: str,
    hint: str = "",
    early: str = "",
) -> Iterator[Line]:
    """Yield the lines, from the table of outcomes to the verdict of each profile.

    :param name: of the implementation.
    :param failure: why the controller did not run or stopped, with its `hint`.
    :param early: why the session ended early.
    """
    results = list(results)
    yield from map(Line, table(results))
    yield from map(Line, details(results, incomplete=bool(early)))
    if failure:
        yield Line(f"{name}: {failure}", "red")
    if hint:
        yield Line(f"  hint: {hint}")
    if early:
        yield Line(f"the session ended early: {early}", "red")
    for profile, members in by_profile(results, profiles).items():
        text, verdict = verdict_line(profile, members, strict=certify, incomplete=bool(early))
        yield Line(text, _COLORS[verdict], bold=True)
