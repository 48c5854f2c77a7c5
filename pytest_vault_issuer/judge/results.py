"""Combines the phases of tests to results of tests and requirements, in the process that reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ..report.outcomes import ENDED_EARLY, Outcome, RequirementResult, TestResult
from .collector import PlannedTest
from .phases import Phase

_PHASES = ("setup", "call", "teardown")


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
        self._seen: dict[str, TestResult] = {}  # of their phases so far
        self._done: set[str] = set()

    @property
    def judged(self) -> bool:
        """Whether a test ran that judges a requirement."""
        return bool(self._seen)

    @property
    def unfinished(self) -> list[str]:
        """Node ids of planned tests that have not ended."""
        return [nodeid for nodeid in self._planned if nodeid not in self._done]

    @property
    def cut_off(self) -> bool:
        """Whether a test did not run because the controller had stopped."""
        return any(test.cut_off for result in self.requirements.values() for test in result.tests)

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
            crashed = replace(self._result(report.nodeid), outcome=Outcome.ERROR, message=clean(str(report.longrepr)))
            self._seen[report.nodeid] = crashed
            self._conclude(report.nodeid, crashed)

    def _add(self, report: pytest.TestReport, phase: Phase) -> None:
        nodeid = report.nodeid
        self._planned.update(phase.planned)
        self._planned.setdefault(nodeid, phase.test)
        if phase.calls > 1 or (report.when == "setup" and nodeid in self._seen):
            self.repeated = phase.test.nodeid
        self._seen[nodeid] = result = self._result(nodeid).plus(phase.result)
        if report.when == "teardown":
            if not phase.calls:  # --setup-only, --setup-plan
                result = result.or_not_run("not run: only its setup ran")
            self._conclude(nodeid, result)

    def end_unfinished(self, why: str) -> None:
        """Conclude the tests that have not ended, because the session ended early."""
        for nodeid in self.unfinished:
            self._conclude(nodeid, self._result(nodeid).or_not_run(f"{ENDED_EARLY}: {why}"))

    def _result(self, nodeid: str) -> TestResult:
        """Return the result of the phases of a test so far."""
        return self._seen.get(nodeid) or TestResult(self._planned[nodeid].nodeid)

    def _conclude(self, nodeid: str, result: TestResult) -> None:
        test = self._planned[nodeid]
        self._done.add(nodeid)
        for identifier in test.requirements:
            if identifier in self.requirements:
                self.requirements[identifier].tests.append(result)
        self._concluded(test, result)
