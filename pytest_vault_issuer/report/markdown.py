"""A report as Markdown, for the summary page of a CI job."""

from __future__ import annotations

from collections.abc import Iterator

from ..text import coded, markdown
from .causes import Group, by_level, group_results, message_lines
from .load import Report, binaries, early_end, results, title, versions
from .outcomes import Outcome, RequirementResult, by_area

_MARKS = {"conformant": "✅", "partial": "🟡", "non-conformant": "❌", "incomplete": "⚠️"}
_SHOWN = {
    Outcome.ERROR: "Errors in the suite or the stack",
    Outcome.FAILED: "Failed",
    Outcome.KNOWN_FAILURE: "Known failures",
    Outcome.NOT_RUN: "Not run",
}


def render(report: Report) -> str:
    """Return the report as GitHub Flavored Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## {markdown(title(report))}"
    yield ""
    for name, profile in report["profiles"].items():
        parts = [
            f"{counted['passed']} of {sum(counted.values())} {level}" for level, counted in profile["counts"].items()
        ]
        verdict = profile["verdict"]
        yield f"{_MARKS[verdict]} profile **{markdown(name)}**: **{verdict}**, passed {', '.join(parts)}  "
    if report["stack"]:
        known = f", binaries: {binaries(report)}" if binaries(report) else ""
        yield markdown(f"on {versions(report['stack']['components'])} ({report['stack']['provider']}){known}")
    for why in filter(str.strip, (report["implementation"]["failure"], early_end(report))):
        yield ""
        yield f"> {markdown(why.strip().splitlines()[0])}"
    yield ""
    yield from _table(report)
    judged = [result for result in results(report) if result.tests]
    for outcome, heading in _SHOWN.items():
        members = [result for result in judged if result.outcome is outcome]
        if members:
            yield ""
            yield f"### {heading}: {by_level(result.requirement.level for result in members)}"
            yield ""
        listed = [result for result in members if not result.cut_off]
        for group in group_results(listed):
            yield from _group(group, outcome)
        if len(listed) < len(members):
            yield f"* {len(members) - len(listed)} requirements, because the session ended early"


def _group(group: Group[RequirementResult], outcome: Outcome) -> Iterator[str]:
    """Yield the requirements of a group; of those that share a cause, only the messages with another cause."""
    together = len(group.members) > 1
    if together:
        yield f"* {markdown(group.title(outcome))}"
    indent = "  " if together else ""
    for result in group.members:
        requirement = result.requirement
        yield f"{indent}* **{requirement.id}** ({requirement.level}) {coded(requirement.statement)}"
        yield from (f"{indent}  * {markdown(message[:300])}" for message in message_lines(group, result.messages))


def _table(report: Report) -> Iterator[str]:
    columns, areas = by_area(results(report))
    yield f"| area | {' | '.join(columns)} |"
    yield "|---|" + "---:|" * len(columns)
    for area, cells in areas.items():
        yield f"| {area} | {' | '.join(str(cell or '') for cell in cells)} |"
