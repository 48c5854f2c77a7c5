"""Outcomes of tests and requirements, and the verdict of a profile."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import BarrierUnmet
from ..requirements.catalogue import Requirement
from ..requirements.features import CORE


class Outcome(enum.StrEnum):
    """What became of a test or a requirement; from the worst to the best for a requirement."""

    ERROR = "error"  #: the harness or the stack failed: nothing is said of the implementation
    FAILED = "failed"
    KNOWN_FAILURE = "known-failure"  #: failed, and its description says why
    NOT_RUN = "not-run"  #: deselected, or this stack cannot show it
    PASSED = "passed"
    UNSUPPORTED = "unsupported"  #: the implementation does not claim the feature, or follows an older contract


class Verdict(enum.StrEnum):
    """What is said of an implementation in a profile."""

    CONFORMANT = "conformant"
    PARTIAL = "partial"
    NON_CONFORMANT = "non-conformant"
    INCOMPLETE = "incomplete"  #: the run ended early


#: From the strongest to the weakest: the order of every list.
LEVELS = ("MUST", "SHOULD", "MAY")

#: What is wanted of a test with one of these: evidence, and a way to run it again.
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
    """Return the line of a test's message that stands for all of it: what was expected, and what was seen.

    The suite's own comparisons say that in a line ``seen: …``; other messages have all in their first line.
    """
    first, *rest = message.splitlines() or [""]
    seen = next((line.strip() for line in rest if line.strip().startswith("seen: ")), "")
    return f"{first} ({seen})" if seen else first


#: How the message of a test begins that was not run because the run ended early.
ENDED_EARLY = "not run: the run ended early"


@dataclass(frozen=True)
class TestResult:
    """What became of one test.

    :ivar duration_s: of all its phases.
    :ivar message: why it did not pass, redacted.
    :ivar evidence: what was seen when it did not pass, see :func:`~.evidence.collect`; None where there is none.
    """

    __test__ = False  # not a test class, whatever its name

    nodeid: str
    outcome: Outcome
    duration_s: float
    message: str = ""
    evidence: dict[str, Any] | None = field(default=None, compare=False, repr=False)


@dataclass
class RequirementResult:
    """What became of one requirement: the worst of its tests.

    :ivar later: why it is not asked for, where it came after the contract that the implementation follows.
    """

    requirement: Requirement
    tests: list[TestResult] = field(default_factory=list)
    later: str = ""

    @property
    def cut_off(self) -> bool:
        """Whether it was not judged for no other reason than that the run ended early."""
        unjudged = [test for test in self.tests if test.outcome is Outcome.NOT_RUN]
        return self.outcome is Outcome.NOT_RUN and all(t.message.startswith(ENDED_EARLY) for t in unjudged)

    @property
    def outcome(self) -> Outcome:
        """Passed only where a test passed and none did worse."""
        if self.later:
            return Outcome.UNSUPPORTED
        seen = {test.outcome for test in self.tests}
        return next((outcome for outcome in Outcome if outcome in seen), Outcome.NOT_RUN)


def verdict(results: Iterable[RequirementResult], *, strict: bool = False, incomplete: bool = False) -> Verdict:
    """Judge a profile.

    A run that ended early makes it incomplete, whatever it has judged until then.

    A MUST that failed, or could not be judged because of an error, makes it
    non-conformant, and so does a run in which nothing passed. Anything that was
    not run makes it partial, and so does what is not supported of the core; the
    extended profile asks only for what is claimed. What came after the contract
    that an implementation follows is not asked of it, in neither.

    :param strict: as certify mode does, call partial also what has known failures, and a SHOULD that was not run.
    :param incomplete: whether the run ended early.
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
    if Outcome.FAILED in musts or Outcome.ERROR in musts or Outcome.PASSED not in musts:
        return Verdict.NON_CONFORMANT
    short_of = {Outcome.KNOWN_FAILURE, Outcome.NOT_RUN} & {result.outcome for result in results} if strict else set()
    if short_of or Outcome.NOT_RUN in musts or Outcome.UNSUPPORTED in musts:
        return Verdict.PARTIAL
    return Verdict.CONFORMANT


def counts(results: Iterable[RequirementResult]) -> dict[str, dict[str, int]]:
    """Return how many requirements had which outcome, by level."""
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
    results: Iterable[RequirementResult], profiles: Iterable[str], *, strict: bool, incomplete: bool = False
) -> dict[str, dict[str, Any]]:
    """Return what a report says of each profile: its ``verdict`` and ``counts``."""
    return {
        profile: {
            "verdict": verdict(members, strict=strict, incomplete=incomplete).value,
            "counts": counts(members),
        }
        for profile, members in by_profile(results, profiles).items()
    }
