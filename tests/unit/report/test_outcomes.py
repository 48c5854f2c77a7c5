"""From the results of tests to outcomes, verdicts, report.json and the terminal."""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.kube.client import Kubernetes
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report import terminal
from pytest_vault_issuer.report.outcomes import Outcome, RequirementResult, TestResult, Verdict, counts, verdict
from pytest_vault_issuer.requirements.catalogue import Requirement
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.vault.client import VaultServer

ERROR, FAILED, KNOWN, NOT_RUN, PASSED, UNSUPPORTED = Outcome
numbers = itertools.count(1)


def requirement(level: str = "MUST", area: str = "SIGN", **fields: Any) -> Requirement:
    identifier = f"VI-{area}-{next(numbers):03}"
    return Requirement(identifier, f"The issuer {level} behave.", level, "core", fields.pop("feature", ""), "page")


def result(*outcomes: Outcome, level: str = "MUST", area: str = "SIGN", message: str = "") -> RequirementResult:
    tests = [TestResult(f"test_{number}", outcome, 0.5, message) for number, outcome in enumerate(outcomes)]
    return RequirementResult(requirement(level, area), tests)


# -- one requirement ------------------------------------------------------------------------------------------


def test_order_of_outcomes() -> None:
    assert [outcome.value for outcome in Outcome] == [
        "error",
        "failed",
        "known-failure",
        "not-run",
        "passed",
        "unsupported",
    ]


@pytest.mark.parametrize(("worse", "better"), list(itertools.combinations(Outcome, 2)))
def test_a_requirement_is_as_good_as_its_worst_test(worse: Outcome, better: Outcome) -> None:
    assert result(better, worse, better).outcome is worse


def test_a_requirement_without_tests_was_not_run() -> None:
    assert result().outcome is NOT_RUN


def test_unsupported_part_does_not_change_a_passed_result() -> None:
    assert result(PASSED, UNSUPPORTED).outcome is PASSED


# -- a profile ------------------------------------------------------------------------------------------------


def judged(*musts: Outcome, should: Outcome | None = None) -> Verdict:
    results = [result(outcome) for outcome in musts]
    return verdict(results + ([result(should, level="SHOULD")] if should else []))


@pytest.mark.parametrize(
    ("musts", "expected"),
    [
        ([PASSED, PASSED], Verdict.CONFORMANT),
        ([PASSED, KNOWN], Verdict.CONFORMANT),
        ([PASSED, NOT_RUN], Verdict.PARTIAL),
        ([PASSED, UNSUPPORTED], Verdict.PARTIAL),
        ([PASSED, KNOWN, UNSUPPORTED], Verdict.PARTIAL),
        ([PASSED, FAILED], Verdict.NON_CONFORMANT),
        ([PASSED, ERROR], Verdict.NON_CONFORMANT),
        ([PASSED, UNSUPPORTED, FAILED], Verdict.NON_CONFORMANT),
    ],
)
def test_verdict(musts: list[Outcome], expected: Verdict) -> None:
    assert judged(*musts) is expected
    assert judged(*reversed(musts)) is expected


@pytest.mark.parametrize("outcome", [ERROR, FAILED, KNOWN])
def test_nothing_passed_is_non_conformant_if_anything_was_judged(outcome: Outcome) -> None:
    assert judged(outcome, outcome) is Verdict.NON_CONFORMANT


@pytest.mark.parametrize("profile", ["core", "extended", "resilience"])
@pytest.mark.parametrize("level", ["MUST", "SHOULD"])
@pytest.mark.parametrize("outcomes", [[NOT_RUN], [UNSUPPORTED], [NOT_RUN, UNSUPPORTED]], ids=str)
def test_profile_of_which_nothing_was_judged_is_partial(profile: str, level: str, outcomes: list[Outcome]) -> None:
    results = [result(outcome, level=level) for outcome in outcomes]
    for each in results:
        each.requirement = replace(each.requirement, profile=profile)
    assert verdict(results) is Verdict.PARTIAL
    assert verdict(results, strict=True) is Verdict.PARTIAL
    assert verdict(results, incomplete=True) is Verdict.INCOMPLETE


@pytest.mark.parametrize(("profile", "left_out"), [("core", False), ("extended", False), ("resilience", True)])
def test_should_that_was_not_run_counts_only_if_no_must_applies(profile: str, left_out: bool) -> None:
    results = [result(PASSED, level="SHOULD"), result(NOT_RUN, level="SHOULD")]
    if not left_out:
        results.append(result(PASSED, level="MUST"))
    for each in results:
        each.requirement = replace(each.requirement, profile=profile)
    assert verdict(results) is (Verdict.PARTIAL if left_out else Verdict.CONFORMANT)


def test_session_without_tests_is_partial() -> None:
    assert verdict([]) is Verdict.PARTIAL
    assert verdict([result(), result(level="SHOULD")]) is Verdict.PARTIAL


@pytest.mark.parametrize("other", [NOT_RUN, PASSED])
def test_known_failure_gets_no_worse_verdict_when_less_is_selected(other: Outcome) -> None:
    assert judged(KNOWN, other) is (Verdict.PARTIAL if other is NOT_RUN else Verdict.CONFORMANT)


def test_only_a_should_passed_is_no_success() -> None:
    assert judged(NOT_RUN, should=PASSED) is Verdict.PARTIAL
    assert judged(KNOWN, should=PASSED) is Verdict.NON_CONFORMANT


@pytest.mark.parametrize("profile", ["extended", "resilience"])
def test_profile_without_a_must_is_judged_by_its_other_requirements(profile: str) -> None:
    passed, failed, other = (result(outcome, level="SHOULD") for outcome in (PASSED, FAILED, NOT_RUN))
    for each in (passed, failed, other):
        each.requirement = replace(each.requirement, profile=profile)
    assert verdict([passed, failed]) is Verdict.CONFORMANT
    assert verdict([failed]) is Verdict.NON_CONFORMANT, "nothing passed"
    assert verdict([other]) is Verdict.PARTIAL, "nothing was judged"


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_should_does_not_change_the_verdict(outcome: Outcome) -> None:
    assert judged(PASSED, should=outcome) is Verdict.CONFORMANT


@pytest.mark.parametrize("level", ["MUST", "SHOULD"])
@pytest.mark.parametrize("outcome", [KNOWN, NOT_RUN])
def test_certified_profile_is_partial_with_less_than_everything(level: str, outcome: Outcome) -> None:
    results = [result(PASSED), result(outcome, level=level)]
    assert verdict(results, strict=True) is Verdict.PARTIAL


def test_certified_profile_may_fail_a_should_and_lack_extended_features() -> None:
    other = result(UNSUPPORTED)
    other.requirement = replace(other.requirement, profile="extended")
    assert verdict([result(PASSED), result(FAILED, level="SHOULD"), other], strict=True) is Verdict.CONFORMANT


LATER = "since cert-manager 1.20, mine follows 1.18"


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("strict", [True, False])
def test_later_requirement_does_not_apply(outcome: Outcome, strict: bool) -> None:
    later = dataclasses.replace(result(outcome), later=LATER)
    assert later.outcome is UNSUPPORTED
    assert verdict([result(PASSED), later], strict=strict) is Verdict.CONFORMANT
    assert verdict([result(UNSUPPORTED), result(PASSED), later], strict=strict) is Verdict.PARTIAL
    assert verdict([later], strict=strict) is Verdict.PARTIAL, "nothing was judged"


def test_counts() -> None:
    results = [result(PASSED), result(PASSED), result(FAILED), result(), result(FAILED, level="SHOULD")]
    table = counts(results)
    assert list(table) == ["MUST", "SHOULD"]
    none = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    assert table["MUST"] == none | {"passed": 2, "failed": 1, "not-run": 1}
    assert table["SHOULD"] == none | {"failed": 1}


# -- report.json ----------------------------------------------------------------------------------------------

STACK = Stack(
    provider="process",
    reason="its binaries are there",
    disposable=True,
    kubernetes=Kubernetes("/kubeconfig", "https://127.0.0.1:1", "ca"),
    vault=VaultServer("https://127.0.0.1:2", token="canary-token", unseal_key="canary-unseal"),
    components={"vault": "1.21.0"},
    reviewer_token="canary-reviewer",
)


def report(*results: RequirementResult, stack: Stack | None = STACK, **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"profiles": ["core"], "reproduction": {"command": "pytest"}} | options
    return json_report.build(load_implementation("cert-manager"), stack, Settings(), results, **given)


def test_keys_of_the_report() -> None:
    built = report(result(PASSED))
    assert built["schema_version"] == 1
    assert set(built) == {
        "schema_version",
        "generator",
        "implementation",
        "incomplete",
        "stack",
        "options",
        "reproduction",
        "profiles",
        "groups",
        "requirements",
    }
    assert built["implementation"]["name"] == "cert-manager"
    assert built["implementation"]["features"] == sorted(built["implementation"]["features"])
    assert built["stack"] == {
        "provider": "process",
        "reason": "its binaries are there",
        "components": {"vault": "1.21.0"},
    }
    assert built["options"] == {
        "stack": "auto",
        "profiles": ["core"],
        "select": [],
        "timeout_scale": 1.0,
        "certify": False,
    }
    assert built["reproduction"] == {"command": "pytest"}


def test_profiles_of_the_report() -> None:
    built = report(result(PASSED), result(NOT_RUN), result(FAILED, level="MAY"))
    core = built["profiles"]["core"]
    assert core["verdict"] == "partial"
    assert core["counts"]["MUST"]["passed"] == core["counts"]["MUST"]["not-run"] == 1
    assert core["counts"]["MAY"]["failed"] == 1


def test_requirements_of_the_report() -> None:
    failed = result(PASSED, FAILED, message="it was\nnot so")
    entry = report(failed)["requirements"][0]
    asked = failed.requirement
    ran = {"duration_s": 0.5, "message": "it was\nnot so", "evidence": None}
    assert entry == {
        "id": asked.id,
        "area": "SIGN",
        "level": "MUST",
        "profile": "core",
        "feature": "",
        "statement": asked.statement,
        "citation": "page",
        "since": "",
        "upstream": [],
        "outcome": "failed",
        "reason": "",
        "cause": "it was",
        "group": None,
        "tests": [
            {"nodeid": "test_0", "outcome": "passed", "barrier": False, "cause": ""} | ran,
            {"nodeid": "test_1", "outcome": "failed", "barrier": False, "cause": "it was"} | ran,
        ],
    }


def test_report_of_a_run_without_a_stack() -> None:
    built = report(result(), stack=None, failure="it stopped", incomplete="the controller did not start")
    assert built["stack"] is None
    assert built["implementation"]["failure"] == "it stopped"
    assert built["profiles"]["core"]["verdict"] == "incomplete"
    assert built["requirements"][0]["outcome"] == "not-run"


def test_the_report_holds_no_credentials() -> None:
    assert "canary" not in json.dumps(report(result(PASSED)))


def test_the_report_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    built = report(result(PASSED))
    path = json_report.write(built, tmp_path / "deep" / "directory")
    assert path == tmp_path / "deep" / "directory" / "report.json"
    assert json.loads(path.read_text()) == built


# -- terminal -------------------------------------------------------------------------------------------------


def test_table_has_a_line_for_each_area_and_a_column_for_each_outcome() -> None:
    head, *lines = terminal.table([result(PASSED, area="TLS"), result(FAILED), result(PASSED), result(PASSED)])
    assert head.split() == ["area", "passed", "failed"]
    assert [line.split() for line in lines] == [["TLS", "1", "-"], ["SIGN", "2", "1"]]
    assert len({len(line) for line in (head, *lines)}) == 1


def test_table_in_columns_for_all_outcomes() -> None:
    head, *lines = terminal.table([result(outcome) for outcome in Outcome])
    assert head.split()[1] == "passed"
    assert set(head.split()[1:]) == {outcome.value for outcome in Outcome}
    assert [line.split() for line in lines] == [["SIGN", "1", "1", "1", "1", "1", "1"]]


def test_details_show_failures_with_the_first_line_of_each_message() -> None:
    failed = result(PASSED, FAILED, message="it was not so\nand more")
    lines = list(terminal.details([result(PASSED), failed]))
    assert lines == [
        "failed, 1 MUST:",
        f"  {failed.requirement.id} (MUST) {failed.requirement.statement}",
        "      it was not so",
    ]


def test_details_separate_errors_from_failures() -> None:
    lines = list(terminal.details([result(FAILED), result(ERROR), result(KNOWN)]))
    titles = [line for line in lines if not line.startswith(" ")]
    assert titles == ["errors in the suite or the stack, 1 MUST:", "failed, 1 MUST:", "known failures, 1 MUST:"]


def test_details_count_unselected_and_explain_not_run() -> None:
    unable = result(NOT_RUN, message="not run: there is no second Vault")
    assert list(terminal.details([*(result() for _ in range(16)), unable])) == [
        "not run, not selected: 16 requirements",
        "not run, 1 MUST:",
        f"  {unable.requirement.id} (MUST) {unable.requirement.statement}",
        "      not run: there is no second Vault",
    ]


def test_details_name_later_requirements_with_the_reason() -> None:
    later = [dataclasses.replace(result(), later=LATER), dataclasses.replace(result(PASSED), later=LATER)]
    (line,) = terminal.details([result(PASSED), *later])
    assert line == f"not applicable, {LATER}: {later[0].requirement.id}, {later[1].requirement.id}"


def test_later_requirement_is_not_counted() -> None:
    line, _ = terminal.verdict_line("core", [result(PASSED), dataclasses.replace(result(), later=LATER)])
    assert line == "profile core: conformant (1 of 1 MUST passed)"


def test_report_explains_why_a_requirement_does_not_apply() -> None:
    built = report(result(PASSED), dataclasses.replace(result(), later=LATER))
    assert (built["requirements"][1]["outcome"], built["requirements"][1]["reason"]) == ("unsupported", LATER)
    assert built["profiles"]["core"]["verdict"] == "conformant"


def test_details_are_empty_if_everything_passed() -> None:
    assert list(terminal.details([result(PASSED), result(UNSUPPORTED)])) == []


def test_verdict_line() -> None:
    line, said = terminal.verdict_line("core", [result(PASSED), result(FAILED), result(PASSED, level="MAY")])
    assert line == "profile core: non-conformant (1 of 2 MUST passed, 1 of 1 MAY passed)"
    assert said is Verdict.NON_CONFORMANT


def test_verdict_line_states_that_nothing_was_judged() -> None:
    line, said = terminal.verdict_line("extended", [result(NOT_RUN), result(UNSUPPORTED, level="SHOULD")])
    assert line == "profile extended: partial (none of 2 requirements judged)"
    assert said is Verdict.PARTIAL
