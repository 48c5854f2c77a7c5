"""Judges each phase of a test, in the process that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from ..errors import NotRunnable, StackError, UnsupportedError
from ..report.evidence import collect, sections
from ..report.outcomes import ENDED_EARLY, TO_EXPLAIN, Outcome, TestResult
from ..sandbox import Sandbox
from ..session.session import Session
from ..text import plain, writable
from .collector import PlannedTest
from .ending import LOST
from .items import name_of, requirement_ids
from .redacted_report import redact_report
from .selection import Selection

#: Attribute of pytest's report that holds the judged phase. pytest-xdist passes it on as JSON.
_ATTRIBUTE = "vault_issuer"
#: Maximum length of a test's message in characters; the beginning of a longer one is kept.
_LONGEST_MESSAGE = 20_000
_OUTCOME = pytest.StashKey[Outcome]()
_CALLS = pytest.StashKey[int]()


@dataclass(frozen=True)
class Phase:
    """One phase of a test: setup, call or teardown.

    :ivar calls: how often the body of the test has run so far.
    :ivar planned: with the first phase that a worker reports, all tests that it may run, by node id.
    """

    test: PlannedTest
    result: TestResult
    calls: int
    planned: dict[str, PlannedTest] = field(default_factory=dict)

    @classmethod
    def of(cls, report: pytest.TestReport) -> Phase | None:
        """Return the phase that a report of pytest holds; None if its test judges no requirement."""
        data: dict[str, Any] | None = getattr(report, _ATTRIBUTE, None)
        if data is None:
            return None
        planned = {nodeid: PlannedTest(**test) for nodeid, test in data["planned"].items()}
        result = TestResult(**data["result"] | {"outcome": Outcome(data["result"]["outcome"])})
        return cls(PlannedTest(**data["test"]), result, data["calls"], planned)

    def attach(self, report: pytest.TestReport) -> None:
        """Put the phase into a report of pytest."""
        data = asdict(self)
        data["result"]["outcome"] = self.result.outcome.value
        setattr(report, _ATTRIBUTE, data)


class PhaseJudge:
    """Distinguishes failures from errors, and adds the evidence.

    :param clean: redacts a text and makes it printable.
    :param planned: the tests that the first phase reports; empty in the process that reports.
    """

    def __init__(
        self,
        session: Session,
        selection: Selection,
        clean: Callable[[str], str],
        planned: dict[str, PlannedTest],
    ) -> None:
        self._session = session
        self._selection = selection
        self._implementation = selection.implementation
        self._clean = clean
        self._planned = planned

    def skip_unjudgeable(self, item: pytest.Item) -> None:
        """Skip a test of what the implementation does not claim, and every test once the controller has ended.

        :raises StackError: when the session's supervisor has ended.
        """
        if not requirement_ids(item):
            return
        if why := self._selection.unsupported(item):
            item.stash[_OUTCOME] = Outcome.UNSUPPORTED
            pytest.skip(f"unsupported: {why}")
        if self._session.lost:
            raise StackError(
                LOST, hint="check whether the system killed it for lack of memory (dmesg), and run the session again"
            )
        if ended := self._session.implementation_end():
            item.stash[_OUTCOME] = Outcome.NOT_RUN
            pytest.skip(f"{ENDED_EARLY}: {self._implementation.name}: {ended.splitlines()[0]}")

    def count_call(self, item: pytest.Item) -> None:
        """Count a run of the test's body. A plugin that repeats tests may hide repetitions in its reports."""
        item.stash[_CALLS] = item.stash.get(_CALLS, 0) + 1

    def judge(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Judge a phase: put its outcome and evidence into pytest's report, and redact what pytest prints."""
        ids = requirement_ids(item)
        if not ids:
            return
        outcome, evidence = Outcome.PASSED, None
        if call.excinfo is not None:
            outcome = self._outcome(item, call.excinfo.value, report, ids)
            sandbox = getattr(item, "funcargs", {}).get("vault_issuer_sandbox")
            if outcome in TO_EXPLAIN and isinstance(sandbox, Sandbox):
                evidence = plain(collect(sandbox))
                report.sections.extend(sections(evidence))
        redact_report(report, self._clean)  # reports of passed tests too: -rP and JUnit files show their output
        if call.when == "setup":
            item.user_properties.extend(("requirement", i) for i in ids)
        message = self._session.redactor.redact(_message(report, call))
        if outcome is Outcome.ERROR and self._session.lost and LOST not in message:
            message = f"{LOST}: {message}"
        planned, self._planned = self._planned, {}
        test = PlannedTest(name_of(item), ids)
        result = TestResult(test.nodeid, outcome, report.duration, writable(shortened(message)), evidence)
        Phase(test, result, item.stash.get(_CALLS, 0), planned).attach(report)

    def _outcome(self, item: pytest.Item, error: BaseException, report: pytest.TestReport, ids: list[str]) -> Outcome:
        if isinstance(error, pytest.skip.Exception):
            return item.stash.get(_OUTCOME, Outcome.NOT_RUN)
        if isinstance(error, NotRunnable):
            report.outcome = "skipped"
            unsupported = isinstance(error, UnsupportedError)
            report.longrepr = (str(item.path), 0, f"{'unsupported' if unsupported else 'not run'}: {error.message}")
            return Outcome.UNSUPPORTED if unsupported else Outcome.NOT_RUN
        if report.when != "call" or not isinstance(error, AssertionError | pytest.fail.Exception) or self._session.lost:
            return Outcome.ERROR
        known = self._implementation.known_failures
        if reasons := [known[i] for i in ids if i in known]:
            report.outcome = "skipped"
            report.wasxfail = f"known failure: {reasons[0]}"
            return Outcome.KNOWN_FAILURE
        return Outcome.FAILED


def shortened(message: str) -> str:
    """Return the beginning of a long message."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    return f"{message[:_LONGEST_MESSAGE]}… ({len(message)} characters)"


def _message(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")  # pytest's word for every pytest.skip()
    return str(call.excinfo.value) or call.excinfo.typename
