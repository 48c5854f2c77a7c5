"""How a session ends: problems other than failed tests, and the exit status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from ..report import outcomes
from ..report.outcomes import Outcome, RequirementResult, Verdict

#: The status when the stack did not start or was lost, the report could not be written, or something is left behind.
NO_STACK = 3
#: The reason to end a session early after the loss of its supervisor.
LOST = "the session's supervisor has ended, and the stack with it"
#: Reasons that are faults of the controller.
NOT_STARTED, NO_ANSWER, STOPPED = (
    "the controller did not start",
    "the controller does not answer",
    "the controller stopped",
)


@dataclass
class Ending:
    """Why a session does not end as it should; texts are redacted and printable, '' for none.

    :ivar failure: why the controller did not start, did not answer or stopped.
    :ivar hint: what the reader can do about that failure.
    :ivar early: why the session ended before all tests had run.
    :ivar problem: why the report is missing or incomplete.
    """

    failure: str = ""
    hint: str = ""
    early: str = ""
    problem: str = ""

    def ends_early(self, why: str) -> None:
        """Note why the session ends early; the first reason counts."""
        self.early = self.early or why


def exit_status(
    results: Iterable[RequirementResult],
    ending: Ending,
    *,
    failed_tests: int,
    profiles: Iterable[str],
    certify: bool,
) -> int:
    """Return the exit status of a session whose tests pytest has run.

    It is 0 if a requirement passed, no MUST failed, no error occurred, the controller kept running, and the session
    did not end early. In certify mode, every profile must be conformant, too.

    :param failed_tests: failed tests of any kind; those that judge no requirement count, too.
    """
    results = list(results)
    if ending.problem or ending.early == LOST:
        return NO_STACK
    judged = [r for r in results if r.tests]
    bad = any(
        r.outcome is Outcome.ERROR or (r.requirement.level == "MUST" and r.outcome is Outcome.FAILED) for r in judged
    )
    passed = any(r.outcome is Outcome.PASSED for r in judged)
    tests = {test for result in judged for test in result.tests}
    others = failed_tests - sum(test.outcome in (Outcome.FAILED, Outcome.ERROR) for test in tests)
    if certify:
        members = outcomes.by_profile(results, profiles).values()
        bad = bad or {outcomes.verdict(each, strict=True) for each in members} != {Verdict.CONFORMANT}
    good = passed and not (bad or others > 0 or ending.failure or ending.early)
    return pytest.ExitCode.OK if good else pytest.ExitCode.TESTS_FAILED
