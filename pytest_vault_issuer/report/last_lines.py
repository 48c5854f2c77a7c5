"""The last lines of a session on the terminal: outcomes by area, what did not pass, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..implementation import Implementation
from . import outcomes, terminal
from .outcomes import RequirementResult, Verdict

_COLORS = {
    Verdict.CONFORMANT: "green",
    Verdict.PARTIAL: "yellow",
    Verdict.NON_CONFORMANT: "red",
    Verdict.INCOMPLETE: "yellow",
}


@dataclass(frozen=True)
class Line:
    """A line for a terminal.

    :ivar color: a name of pytest's terminal writer, such as ``red``; '' for none.
    """

    text: str
    color: str = ""
    bold: bool = False


def last_lines(
    implementation: Implementation,
    results: Iterable[RequirementResult],
    profiles: Iterable[str],
    *,
    certify: bool,
    failure: str = "",
    hint: str = "",
    early: str = "",
) -> Iterator[Line]:
    """Yield the lines, from the table of outcomes to the verdict of each profile.

    :param failure: why the controller did not run or stopped, with its `hint`.
    :param early: why the session ended early.
    """
    results = list(results)
    yield from map(Line, terminal.table(results))
    yield from map(Line, terminal.details(results))
    if failure:
        yield Line(f"{implementation.name}: {failure}", "red")
    if hint:
        yield Line(f"  hint: {hint}")
    if early:
        yield Line(f"the session ended early: {early}", "red")
    for profile, members in outcomes.by_profile(results, profiles).items():
        text, verdict = terminal.verdict_line(
            profile, members, strict=certify, incomplete=bool(early), stopped=bool(failure)
        )
        yield Line(text, _COLORS[verdict], bold=True)
