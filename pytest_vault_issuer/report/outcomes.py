"""Outcomes of tests and requirements, and the verdict of a profile."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import BarrierUnmet
from ..requirements.catalogue import LEVELS, Requirement
from ..requirements.features import AREAS, CORE


class Outcome(enum.StrEnum):
    """The outcome of a test or a requirement, from the worst to the best."""

    ERROR = "error"  #: the suite or the stack failed; this says nothing about the controller
    FAILED = "failed"
    KNOWN_FAILURE = "known-failure"  #: failed, and the implementation file gives the reason
    NOT_RUN = "not-run"  #: deselected, or this stack cannot show it
    PASSED = "passed"
    UNSUPPORTED = "unsupported"  #: the feature is not claimed, or the contract of the implementation is older


class Verdict(enum.StrEnum):
    """The verdict on a controller in a profile."""

    CONFORMANT = "conformant"
    PARTIAL = "partial"
    NON_CONFORMANT = "non-conformant"
    INCOMPLETE = "incomplete"  #: the session ended early


#: Tests with these outcomes need evidence and the command that repeats them.
TO_EXPLAIN = (Outcome.FAILED, Outcome.ERROR, Outcome.KNOWN_FAILURE)


def failed_at_barrier(message: str) -> bool:
    """Whether the message of a test is that of a failed barrier."""
    return message.startswith(BarrierUnmet.PREFIX)


def heading(outcome: Outcome, message: str) -> str:
    """Return the heading of a message of a test that failed or was an error."""
    if outcome is Outcome.ERROR:
        return "Error of the suite or the stack: it says nothing about the controller"
    if failed_at_barrier(message):
        return "The barrier failed: the requirement was neither violated nor proved"
    return "What was expected, and what was seen"


def headline(message: str) -> str:
    """Return the most important line of a test's message: the expected and the observed value.

    The suite's own comparisons have a line ``seen: …``. Other messages say everything in their first line.
    """
    first, *rest = message.splitlines() or [""]
    seen = next((line.strip() for line in rest if line.strip().startswith("seen: ")), "")
    return f"{first} ({seen})" if seen else first


#: The first words of the message of a test that did not run because the session ended early.
ENDED_EARLY = "not run: the session ended early"


@dataclass(frozen=True)
class TestResult:
    """The result of one test.

    :ivar duration_s: of all its phases, in seconds.
    :ivar message: why it did not pass, redacted.
    :ivar evidence: what :func:`~.evidence.collect` returned when it did not pass; None without evidence.
    """

    __test__ = False  # not a test class, whatever its name

    nodeid: str
    outcome: Outcome = Outcome.PASSED
    duration_s: float = 0.0
    message: str = ""
    evidence: dict[str, Any] | None = field(default=None, compare=False, repr=False)

    def plus(self, phase: TestResult) -> TestResult:
        """Return the result with a further phase: its outcome is that of the first error, else of the last problem."""
        worse = phase.outcome is not Outcome.PASSED and self.outcome is not Outcome.ERROR
        return replace(
            phase if worse else self,
            duration_s=self.duration_s + phase.duration_s,
            evidence=self.evidence or phase.evidence,
        )

    def or_not_run(self, why: str) -> TestResult:
        """Return the result of a test that did not run completely: if nothing failed so far, it is *not run*."""
        return replace(self, outcome=Outcome.NOT_RUN, message=why) if self.outcome is Outcome.PASSED else self

    @property
    def cut_off(self) -> bool:
        """Whether it did not run only because the session ended early."""
        return self.outcome is Outcome.NOT_RUN and self.message.startswith(ENDED_EARLY)

    def entry(self) -> dict[str, Any]:
        """Return the entry of the test in a report."""
        return {
            "nodeid": self.nodeid,
            "outcome": self.outcome.value,
            "duration_s": round(self.duration_s, 3),
            "message": self.message,
            "evidence": self.evidence,
        }


@dataclass
class RequirementResult:
    """The result of one requirement: the worst outcome of its tests.

    :ivar later: why the requirement does not apply if it is newer than the contract of the implementation; else ''.
    """

    requirement: Requirement
    tests: list[TestResult] = field(default_factory=list)
    later: str = ""

    @property
    def messages(self) -> list[str]:
        """The messages of those of its tests that have its outcome."""
        return [test.message for test in self.tests if test.message and test.outcome is self.outcome]

    @property
    def cut_off(self) -> bool:
        """Whether it was not judged only because the session ended early."""
        unjudged = [test for test in self.tests if test.outcome is Outcome.NOT_RUN]
        return self.outcome is Outcome.NOT_RUN and all(test.cut_off for test in unjudged)

    @property
    def outcome(self) -> Outcome:
        """Passed only if a test passed and none has a worse outcome."""
        if self.later:
            return Outcome.UNSUPPORTED
        seen = {test.outcome for test in self.tests}
        return next((outcome for outcome in Outcome if outcome in seen), Outcome.NOT_RUN)


#: Outcomes that say nothing about the controller.
NOT_JUDGED = {Outcome.NOT_RUN, Outcome.UNSUPPORTED}


def verdict(results: Iterable[RequirementResult], *, strict: bool = False, incomplete: bool = False) -> Verdict:
    """Judge a profile.

    * *incomplete* if the session ended early, also because the controller did not start, or stopped.
    * *non-conformant* if a MUST failed or was an error, or if none passed although all that apply were judged. Outside
      of the core, if no MUST applies, a SHOULD or a MAY must pass.
    * *partial* if a MUST was not run, if a MUST of the core profile is unsupported, or if nothing was judged. Outside
      of the core, if no MUST applies, also if a SHOULD was not run. The other profiles consider only claimed features.
    * *conformant* otherwise.

    Requirements newer than the contract of the implementation do not count.

    :param strict: certify mode: known failures, and a SHOULD that was not run, also make the profile *partial*.
    :param incomplete: whether the session ended early.
    """
    if incomplete:
        return Verdict.INCOMPLETE
    results = [result for result in results if not result.later]
    musts = [
        result.outcome
        for result in results
        if result.requirement.level == "MUST"
        and (result.requirement.profile == CORE or result.outcome is not Outcome.UNSUPPORTED)
    ]
    judged = musts or [result.outcome for result in results if result.requirement.profile != CORE]
    if Outcome.FAILED in musts or Outcome.ERROR in musts:
        return Verdict.NON_CONFORMANT
    if Outcome.PASSED not in judged:
        unknown = Outcome.NOT_RUN in judged or set(judged) <= NOT_JUDGED
        return Verdict.PARTIAL if unknown else Verdict.NON_CONFORMANT
    short_of = {Outcome.KNOWN_FAILURE, Outcome.NOT_RUN} & {result.outcome for result in results} if strict else set()
    if short_of or Outcome.NOT_RUN in judged or Outcome.UNSUPPORTED in musts:
        return Verdict.PARTIAL
    return Verdict.CONFORMANT


def by_area(results: Iterable[RequirementResult]) -> tuple[list[Outcome], dict[str, list[int]]]:
    """Return the outcomes that occur, *passed* first, and for each area how many requirements have each of them."""
    results = list(results)
    seen = {result.outcome for result in results}
    columns = sorted((o for o in reversed(Outcome) if o in seen), key=lambda outcome: outcome is not Outcome.PASSED)
    areas: dict[str, Counter[Outcome]] = {}
    for result in results:
        areas.setdefault(result.requirement.area, Counter())[result.outcome] += 1
    return columns, {area: [areas[area][column] for column in columns] for area in AREAS if area in areas}


def counts(results: Iterable[RequirementResult]) -> dict[str, dict[str, int]]:
    """Return the number of requirements by level and outcome."""
    table: dict[str, Counter[str]] = {}
    for result in results:
        table.setdefault(result.requirement.level, Counter())[result.outcome.value] += 1
    return {
        level: {outcome.value: table[level][outcome.value] for outcome in Outcome} for level in LEVELS if level in table
    }


def by_profile(results: Iterable[RequirementResult], profiles: Iterable[str]) -> dict[str, list[RequirementResult]]:
    """Return the results of each profile that has any."""
    results = list(results)
    members = {profile: [r for r in results if r.requirement.profile == profile] for profile in profiles}
    return {profile: found for profile, found in members.items() if found}


def profile_entries(
    results: Iterable[RequirementResult],
    profiles: Iterable[str],
    *,
    strict: bool,
    incomplete: bool = False,
) -> dict[str, dict[str, Any]]:
    """Return the entry of each profile in a report: ``verdict`` and ``counts``; the rest as for :func:`verdict`."""
    return {
        profile: {
            "verdict": verdict(members, strict=strict, incomplete=incomplete).value,
            "counts": counts(members),
        }
        for profile, members in by_profile(results, profiles).items()
    }
