"""The exit status of a session, from its results."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.judge.ending import LOST, NO_STACK, Ending, exit_status
from pytest_vault_issuer.report.outcomes import Outcome, RequirementResult, TestResult
from pytest_vault_issuer.requirements.catalogue import Catalogue, Requirement

REQUIREMENTS = [r for r in Catalogue.load().requirements if r.profile == "core"]
MUST, OTHER_MUST, *_ = [r for r in REQUIREMENTS if r.level == "MUST"]
SHOULD = next(r for r in REQUIREMENTS if r.level == "SHOULD")


def result(requirement: Requirement, *outcomes: Outcome) -> RequirementResult:
    tests = [TestResult(f"test_{number}", outcome, 0.0) for number, outcome in enumerate(outcomes)]
    return RequirementResult(requirement, tests)


PASSED = result(MUST, Outcome.PASSED)


def status(*results: RequirementResult, ending: Ending | None = None, failed: int = 0, certify: bool = False) -> int:
    return exit_status(results, ending or Ending(), failed_tests=failed, profiles=["core"], certify=certify)


def test_passed_must_is_success() -> None:
    assert status(PASSED) == pytest.ExitCode.OK


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERROR])
def test_failed_must_is_no_success(outcome: Outcome) -> None:
    assert status(PASSED, result(OTHER_MUST, outcome), failed=1) == pytest.ExitCode.TESTS_FAILED


def test_failed_should_is_success() -> None:
    assert status(PASSED, result(SHOULD, Outcome.FAILED), failed=1) == pytest.ExitCode.OK


def test_failed_test_of_no_requirement_is_no_success() -> None:
    assert status(PASSED, result(SHOULD, Outcome.FAILED), failed=2) == pytest.ExitCode.TESTS_FAILED


def test_failed_test_of_two_requirements_counts_once() -> None:
    shared = TestResult("test_both", Outcome.FAILED, 0.0)
    shoulds = [r for r in REQUIREMENTS if r.level == "SHOULD"][:2]
    results = [RequirementResult(requirement, [shared]) for requirement in shoulds]
    assert status(PASSED, *results, failed=2) == pytest.ExitCode.TESTS_FAILED
    assert status(PASSED, *results, failed=1) == pytest.ExitCode.OK


@pytest.mark.parametrize("outcome", [Outcome.NOT_RUN, Outcome.KNOWN_FAILURE, Outcome.UNSUPPORTED])
def test_nothing_passed_is_no_success(outcome: Outcome) -> None:
    assert status(result(MUST, outcome)) == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending(failure="it stopped"), pytest.ExitCode.TESTS_FAILED),
        (Ending(early="interrupted"), pytest.ExitCode.TESTS_FAILED),
        (Ending(early=LOST), NO_STACK),
        (Ending(problem="could not write the report"), NO_STACK),
    ],
)
def test_session_with_a_failed_end_is_no_success(ending: Ending, expected: int) -> None:
    assert status(PASSED, ending=ending) == expected


def test_certified_session_must_be_conformant() -> None:
    assert status(PASSED, certify=True) == pytest.ExitCode.OK
    known = result(OTHER_MUST, Outcome.KNOWN_FAILURE)
    assert status(PASSED, known) == pytest.ExitCode.OK
    assert status(PASSED, known, certify=True) == pytest.ExitCode.TESTS_FAILED
