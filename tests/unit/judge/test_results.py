"""The results of tests and requirements, from the phases of tests."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vault_issuer.judge.collector import PlannedTest
from pytest_vault_issuer.judge.phases import Phase
from pytest_vault_issuer.judge.results import Results
from pytest_vault_issuer.report.outcomes import Outcome, RequirementResult, TestResult
from pytest_vault_issuer.requirements.catalogue import Catalogue

MUST = Catalogue.load().requirements[0]
NODE = "test_some.py::test_it"
PLANNED = {NODE: PlannedTest("suite/test_some.py::test_it", [MUST.id])}


class Case:
    """Adds reports to results, and records which tests have ended."""

    def __init__(self, planned: dict[str, PlannedTest] | None = None) -> None:
        self.ended: list[tuple[PlannedTest, TestResult]] = []
        planned = dict(PLANNED) if planned is None else planned
        self.results = Results({MUST.id: RequirementResult(MUST)}, planned, lambda *ended: self.ended.append(ended))

    def add(self, when: Any, outcome: Outcome = Outcome.PASSED, message: str = "", **phase: Any) -> None:
        report = pytest.TestReport(NODE, ("", 0, ""), {}, "passed", None, when, duration=1.0)
        result = TestResult(PLANNED[NODE].nodeid, outcome, report.duration, message)
        Phase(**{"test": PLANNED[NODE], "result": result, "calls": 1, **phase}).attach(report)
        self.results.add(report, str)

    def test(self, *, setup: Outcome = Outcome.PASSED, call: Outcome = Outcome.PASSED) -> TestResult:
        self.add("setup", setup, f"setup {setup}", calls=0)
        self.add("call", call, f"call {call}")
        self.add("teardown")
        return self.ended[-1][1]


def test_phases_add_up() -> None:
    case = Case()
    result = case.test()
    assert (result.nodeid, result.outcome, result.duration_s) == (PLANNED[NODE].nodeid, Outcome.PASSED, 3.0)
    assert case.results.requirements[MUST.id].tests == [result]
    assert case.results.unfinished == []


def test_error_in_setup_outweighs_later_phases() -> None:
    result = Case().test(setup=Outcome.ERROR, call=Outcome.FAILED)
    assert (result.outcome, result.message) == (Outcome.ERROR, "setup error")


def test_test_without_a_call_is_not_run() -> None:
    case = Case()
    for when in ("setup", "call", "teardown"):
        case.add(when, calls=0)
    assert case.ended[-1][1].outcome is Outcome.NOT_RUN


def test_repeated_test_is_named() -> None:
    case = Case()
    case.test()
    assert case.results.repeated == ""
    case.test()
    assert case.results.repeated == PLANNED[NODE].nodeid


def test_crash_of_a_worker_is_an_error() -> None:
    case = Case()
    case.add("setup", calls=0)
    case.results.add(pytest.TestReport(NODE, ("", 0, ""), {}, "failed", "it crashed", "???"), str)  # type: ignore[arg-type]
    assert [(result.outcome, result.message) for _, result in case.ended] == [(Outcome.ERROR, "it crashed")]


def test_unfinished_test_is_not_run() -> None:
    case = Case()
    case.add("setup", calls=0)
    case.results.end_unfinished("interrupted")
    assert case.ended[-1][1].outcome is Outcome.NOT_RUN
    assert case.ended[-1][1].message.endswith(": interrupted")


def test_failure_before_an_early_end_stays_a_failure() -> None:
    case = Case()
    case.add("setup", calls=0)
    case.add("call", Outcome.FAILED, "it did not")
    case.results.end_unfinished("interrupted")
    assert (case.ended[-1][1].outcome, case.ended[-1][1].message) == (Outcome.FAILED, "it did not")


def test_worker_hands_over_its_plan() -> None:
    case = Case(planned={})
    case.add("setup", calls=0, planned={**PLANNED, "test_some.py::test_other": PlannedTest("other", [MUST.id])})
    assert case.results.unfinished == [NODE, "test_some.py::test_other"]
