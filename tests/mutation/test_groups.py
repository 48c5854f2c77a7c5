"""The first requirements of a mutant, and the groups of mutants."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from .groups import (
    Result,
    affected_by_any,
    caught_nearby,
    first_requirements,
    function_at,
    judge,
    nearest_handwritten,
    split_into_groups,
)
from .judging import Judgement
from .rules import SAMPLE_CONTROLLER, Site, mutant_of, sites
from .score import CAUGHT, NOT_STARTED, SURVIVED, UNCOVERED, UNFINISHED
from .trace import Trace

NOTHING = Trace({}, {}, {})


def site(key: str) -> Site:
    return next(site for site in sites() if site.key == key)


APP_ROLE = site("credentials.py:_log_in_with_app_role: constant: '/' -> '/x'")
TOKEN = site("credentials.py:_stored_token: constant: 'token' -> 'tokenx'")
OTHER_TOKEN = site("credentials.py:_stored_token: constant: 'key' -> 'keyx'")
HEALTH = site("vault.py:module: constant: 503 -> 504")


def everywhere(*identifiers: str) -> Trace:
    """Return a trace in which every line of some sites affects some requirements."""
    lines: dict[str, dict[int, list[str]]] = {}
    for each in (APP_ROLE, TOKEN, OTHER_TOKEN):
        for line in range(each.lines[0], each.lines[1] + 1):
            lines.setdefault(each.module, {})[line] = list(identifiers)
    return Trace(lines, {}, {identifier: float(n) for n, identifier in enumerate(identifiers, 1)})


class Sessions:
    """Replaces the bench: it answers like a session, and records the requests."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, list[str]]] = []

    def judge(self, build: Any, directory: Path, selection: list[str], conditions: Any) -> Judgement:
        assert directory.is_dir()
        self.asked.append((build.name, list(selection)))
        failed = self.answers.get(build.name, set())
        if isinstance(failed, BaseException):
            raise failed
        outcomes = {identifier: "failed" if identifier in failed else "passed" for identifier in selection}
        return Judgement(outcomes, {}, "")


def results(answers: dict[str, Any], *sites: Site, trace: Trace, tmp_path: Path) -> tuple[list[Result], Sessions]:
    bench = Sessions(answers)
    return judge(sites, bench, tmp_path, trace), bench  # type: ignore[arg-type]


def test_mutants_by_hand_in_the_same_function_are_tried_first() -> None:
    assert all(
        identifier.split("-")[1] in ("APPROLE", "LEAK", "ROTATION", "SPEC")
        for identifier in nearest_handwritten(APP_ROLE)
    )
    assert "VI-APPROLE-006" in nearest_handwritten(APP_ROLE)


def test_users_of_a_constant_count_instead_of_its_definition() -> None:
    assert any(identifier.startswith("VI-HEALTH-") for identifier in nearest_handwritten(HEALTH))


def test_the_innermost_function_is_found() -> None:
    text = (SAMPLE_CONTROLLER / "issuers.py").read_text().splitlines()
    line = next(number for number, line in enumerate(text, 1) if "_without_status(old) != _without_status(new)" in line)
    assert function_at("issuers.py", line, line) == "IssuerController._issuer_changed.changed"
    assert function_at("issuers.py", 1, 1) == "module"


def test_requirements_that_caught_mutants_of_the_function_come_before_those_of_the_module() -> None:
    before = [
        {"module": "credentials.py", "key": "credentials.py:obtain_token: drop: a", "failed": ["VI-A-001"]},
        {"module": "credentials.py", "key": "credentials.py:obtain_token: drop: b", "failed": ["VI-A-001"]},
        {"module": "credentials.py", "key": "credentials.py:_stored_token: drop: c", "failed": ["VI-B-001"]},
        {"module": "vault.py", "key": "vault.py:Vault.sign: drop: d", "failed": ["VI-C-001"]},
    ]
    assert caught_nearby(TOKEN, before) == ["VI-B-001", "VI-A-001"]


def test_one_quick_requirement_of_each_other_area_is_tried() -> None:
    trace = everywhere("VI-A-001", "VI-A-002", "VI-B-001")
    assert first_requirements(TOKEN, trace, ())[-2:] == ["VI-A-001", "VI-B-001"]


def test_sites_of_one_function_are_judged_apart() -> None:
    groups = split_into_groups([Result(TOKEN), Result(OTHER_TOKEN), Result(APP_ROLE)], NOTHING)
    assert [[result.site for result in group] for group in groups] == [[TOKEN, APP_ROLE], [OTHER_TOKEN]]


def test_mutants_that_few_requirements_can_find_are_judged_apart_from_the_others() -> None:
    many = {f"VI-A-{number:03}": 1.0 for number in range(100)}
    trace = Trace({TOKEN.module: {line: ["VI-A-001"] for line in range(*TOKEN.lines) or TOKEN.lines}}, {}, many)
    groups = split_into_groups([Result(TOKEN), Result(HEALTH)], trace)
    assert len(groups) == 2
    assert affected_by_any(groups[0], trace) == []  # not in the catalogue


def test_a_mutant_of_several_sites_has_all_changes() -> None:
    (text,) = mutant_of([APP_ROLE, TOKEN]).sources().values()
    assert ".strip('/x')" in text
    assert "'tokenx'" in text


def test_a_mutant_that_fails_alone_is_caught(tmp_path: Path) -> None:
    trace = everywhere("VI-TOKEN-001")
    (result,), bench = results({TOKEN.key: {"VI-TOKEN-001"}}, TOKEN, trace=trace, tmp_path=tmp_path)
    assert (result.result, result.failed) == (CAUGHT, ["VI-TOKEN-001"])
    assert len(bench.asked) == 1


def test_mutants_that_fail_together_are_judged_alone_again(tmp_path: Path) -> None:
    trace = everywhere("VI-TOKEN-001", "VI-TOKEN-002")
    both = f"{TOKEN.key} + {APP_ROLE.key}"

    class SecondTime(Sessions):
        def judge(self, build: Any, directory: Path, selection: list[str], conditions: Any) -> Judgement:
            if build.name == both:  # from now on, the requirement catches it alone, too
                self.answers[TOKEN.key] = {"VI-TOKEN-002"}
            return super().judge(build, directory, selection, conditions)

    bench = SecondTime({both: {"VI-TOKEN-002"}})
    found = judge([TOKEN, APP_ROLE], bench, tmp_path, trace)  # type: ignore[arg-type]
    assert [result.result for result in found] == [CAUGHT, SURVIVED]
    assert bench.asked[-2:] == [(TOKEN.key, ["VI-TOKEN-002"]), (APP_ROLE.key, ["VI-TOKEN-002"])]


def test_mutants_that_pass_together_survive(tmp_path: Path) -> None:
    trace = everywhere("VI-TOKEN-001")
    found, _ = results({}, TOKEN, APP_ROLE, trace=trace, tmp_path=tmp_path)
    assert [result.result for result in found] == [SURVIVED, SURVIVED]


def test_a_survivor_that_no_test_runs_is_named(tmp_path: Path) -> None:
    found, _ = results({}, TOKEN, trace=NOTHING, tmp_path=tmp_path)
    assert [result.result for result in found] == [UNCOVERED]


def test_a_group_that_does_not_start_is_split(tmp_path: Path) -> None:
    trace = everywhere("VI-TOKEN-001")
    both = f"{TOKEN.key} + {APP_ROLE.key}"
    found, bench = results({both: AssertionError()}, TOKEN, APP_ROLE, trace=trace, tmp_path=tmp_path)
    assert [result.result for result in found] == [SURVIVED, SURVIVED]
    assert [name for name, _ in bench.asked[-2:]] == [TOKEN.key, APP_ROLE.key]


@pytest.mark.parametrize(
    ("error", "result"), [(AssertionError(), NOT_STARTED), (subprocess.TimeoutExpired([], 1), UNFINISHED)]
)
def test_a_session_without_a_verdict_is_named(error: BaseException, result: str, tmp_path: Path) -> None:
    (found,), _ = results({TOKEN.key: error}, TOKEN, trace=everywhere("VI-TOKEN-001"), tmp_path=tmp_path)
    assert found.result == result
