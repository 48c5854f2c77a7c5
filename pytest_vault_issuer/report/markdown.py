"""A report as Markdown: for the summary page of a CI job."""

from __future__ import annotations

from collections.abc import Iterator

from ..features import AREAS
from .outcomes import Outcome
from .reading import Report, messages, title, versions, with_outcome

_MARKS = {"conformant": "✅", "partial": "🟡", "non-conformant": "❌"}
_SHOWN = {
    Outcome.ERROR: "Errors in the harness or the stack",
    Outcome.FAILED: "Failed",
    Outcome.KNOWN_FAILURE: "Known failures",
    Outcome.NOT_RUN: "Not run",
}


def render(report: Report) -> str:
    """Return the report as Markdown of GitHub's kind."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## {title(report)}"
    yield ""
    for name, profile in report["profiles"].items():
        parts = [
            f"{counted['passed']} of {sum(counted.values())} {level}" for level, counted in profile["counts"].items()
        ]
        yield f"{_MARKS[profile['verdict']]} profile **{name}**: **{profile['verdict']}**, passed {', '.join(parts)}  "
    if report["stack"]:
        yield f"on {versions(report['stack']['components'])} ({report['stack']['provider']})"
    if report["implementation"]["failure"]:
        yield ""
        yield f"> {_cell(report['implementation']['failure'].splitlines()[0])}"
    yield ""
    yield from _table(report)
    for outcome, heading in _SHOWN.items():
        entries = with_outcome(report, [outcome.value])
        if entries:
            yield ""
            yield f"### {heading}"
            yield ""
        for entry in entries:
            yield f"* **{entry['id']}** ({entry['level']}) {entry['statement']}"
            yield from (f"  * {_cell(message)[:300]}" for message in messages(entry))


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


def _cell(text: str) -> str:
    """Return text that Markdown takes as it is."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("`", "'")
