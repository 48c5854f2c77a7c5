"""A report as Markdown, for the summary page of a CI job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..requirements.features import AREAS
from ..text import coded, markdown
from .causes import Group, by_level, group_entries, member_lines
from .load import Report, binaries, early_end, messages, title, versions, with_outcome
from .outcomes import ENDED_EARLY, Outcome

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
    for outcome, heading in _SHOWN.items():
        entries = with_outcome(report, [outcome.value])
        if entries:
            yield ""
            yield f"### {heading}: {by_level(entry['level'] for entry in entries)}"
            yield ""
        listed = [entry for entry in entries if not _cut_off(entry)]
        for group in group_entries(listed):
            yield from _group(group, outcome)
        if len(listed) < len(entries):
            yield f"* {len(entries) - len(listed)} requirements, because the session ended early"


def _group(group: Group[dict[str, Any]], outcome: Outcome) -> Iterator[str]:
    """Yield the requirements of a group; of those that share a cause, only the messages with another cause."""
    together = len(group.members) > 1
    if together:
        yield f"* {markdown(group.title(outcome))}"
    indent = "  " if together else ""
    for entry in group.members:
        yield f"{indent}* **{entry['id']}** ({entry['level']}) {coded(entry['statement'])}"
        yield from (f"{indent}  * {markdown(message[:300])}" for message in member_lines(group, entry))


def _table(report: Report) -> Iterator[str]:
    outcomes = [o.value for o in reversed(Outcome) if any(e["outcome"] == o for e in report["requirements"])]
    outcomes.sort(key=lambda outcome: outcome != Outcome.PASSED)
    yield f"| area | {' | '.join(outcomes)} |"
    yield "|---|" + "---:|" * len(outcomes)
    for area in AREAS:
        members = [entry for entry in report["requirements"] if entry["area"] == area]
        if members:
            cells = [str(sum(entry["outcome"] == outcome for entry in members) or "") for outcome in outcomes]
            yield f"| {area} | {' | '.join(cells)} |"


def _cut_off(entry: dict[str, Any]) -> bool:
    return entry["outcome"] == Outcome.NOT_RUN and all(said.startswith(ENDED_EARLY) for said in messages(entry))
