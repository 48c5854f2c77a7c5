"""Adds up the phases of tests to results of tests and requirements, in the process that reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ..report.outcomes import ENDED_EARLY, Outcome, RequirementResult, TestResult
from .collector import PlannedTest
from .phases import Phase

_PHASES = ("setup", "call", "teardown")


@dataclass
class _Seen:
    """The phases of one test so far."""

    worst: Outcome = Outcome.PASSED
    message: str = ""
    duration: float = 0.0
    evidence: dict[str, Any] | None = None

    def add(self, phase: Phase, duration: float) -> None:
        self.evidence = self.evidence or phase.evidence
        self.duration += duration
        if phase.outcome is not Outcome.PASSED and self.worst is not Outcome.ERROR:
            self.worst, self.message = phase.outcome, phase.message


class Results:
    """The results of a session.

    :param requirements: an empty result for each requirement, by id.
    :param planned: the tests that run and judge a requirement; those of pytest-xdist's workers are added.
    :param concluded: gets the node id of each test that has ended, what it judges, and its result.
    :ivar repeated: names a test that ran more than once, '' for none.
    :ivar others: whether tests ran that judge no requirement.
    """

    def __init__(
        self,
        requirements: dict[str, RequirementResult],
        planned: dict[str, PlannedTest],
        concluded: Callable[[PlannedTest, TestResult], None],
    ) -> None:
        self.requirements = requirements
        self.repeated = ""
        self.others = False
        self._planned = planned
        self._concluded = concluded
        self._seen: dict[str, _Seen] = {}
        self._done: set[str] = set()

    @property
    def judged(self) -> bool:
        """Whether a test ran that judges a requirement."""
        return bool(self._seen)

    @property
    def unfinished(self) -> list[str]:
        """Node ids of planned tests that have not ended."""
        return [nodeid for nodeid in self._planned if nodeid not in self._done]

    def add(self, report: pytest.TestReport, clean: Callable[[str], str]) -> None:
        """Add the phase of a test, or the crash of the worker that ran it.

        :param clean: redacts a text and makes it printable.
        """
        phase = Phase.of(report)
        if phase is not None:
            self._add(report, phase)
            return
        self.others = True
        # pytest-xdist reports the crash of a worker in a phase of its own.
        if report.when not in _PHASES and report.nodeid in self._planned:
            seen = self._seen.setdefault(report.nodeid, _Seen())
            seen.worst, seen.message = Outcome.ERROR, clean(str(report.longrepr))
            self._conclude(report.nodeid, seen)

    def _add(self, report: pytest.TestReport, phase: Phase) -> None:
        nodeid = report.nodeid
        self._planned.update(phase.planned)
        self._planned.setdefault(nodeid, phase.test)
        if phase.calls > 1 or (report.when == "setup" and nodeid in self._seen):
            self.repeated = phase.test.name
        seen = self._seen.setdefault(nodeid, _Seen())
        seen.add(phase, report.duration)
        if report.when == "teardown":
            if seen.worst is Outcome.PASSED and not phase.calls:  # --setup-only, --setup-plan
                seen.worst, seen.message = Outcome.NOT_RUN, "not run: only its setup ran"
            self._conclude(nodeid, seen)

    def end_unfinished(self, why: str) -> None:
        """Conclude the tests that have not ended, because the session ended early."""
        for nodeid in self.unfinished:
            seen = self._seen.get(nodeid, _Seen())
            if seen.worst is Outcome.PASSED:
                seen.worst, seen.message = Outcome.NOT_RUN, f"{ENDED_EARLY}: {why}"
            self._conclude(nodeid, seen)

    def _conclude(self, nodeid: str, seen: _Seen) -> None:
        test = self._planned[nodeid]
        self._done.add(nodeid)
        result = TestResult(test.name, seen.worst, seen.duration, seen.message, seen.evidence)
        for identifier in test.requirements:
            if identifier in self.requirements:
                self.requirements[identifier].tests.append(result)
        self._concluded(test, result)
