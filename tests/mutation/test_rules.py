"""The rules find every site, always in the same order, and change nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .draw import SEED, drawn
from .rules import EQUIVALENT, SAMPLE_CONTROLLER, changed, equivalent, sites, sites_in
from .score import CAUGHT, NOT_STARTED, SURVIVED, UNFINISHED, summary
from .trace import Trace, assemble

SOURCE = '''"""A module."""
import re
LIMIT: int = 3
log = make()

class C:
    def f(self, a: "int", b) -> None:
        """Text."""
        log.info("ends", a)
        if not a:
            return self.g(a + b)
        for c in [x for x in b if x == a]:
            raise ValueError("for people", "word", True)
'''


def found(rule: str) -> list[str]:
    return [site.key for site in sites_in("m.py", SOURCE) if site.rule == rule]


def test_conditions_are_negated() -> None:
    assert found("negate") == ["m.py:C.f: negate: not a -> a", "m.py:C.f: negate: x == a -> not x == a"]


def test_statements_are_dropped() -> None:
    assert found("drop") == [
        "m.py:module: drop: LIMIT: int = 3 -> pass",
        "m.py:C.f: drop: return self.g(a + b) -> pass",
        "m.py:C.f: drop: raise ValueError('for people', 'word', True) -> pass",
    ]


def test_operators_are_swapped() -> None:
    assert found("swap") == ["m.py:C.f: swap: Add -> Sub", "m.py:C.f: swap: Eq -> NotEq"]


def test_constants_are_changed_but_no_text_for_people() -> None:
    assert found("constant") == [
        "m.py:module: constant: 3 -> 4",
        "m.py:C.f: constant: 'word' -> 'wordx'",
        "m.py:C.f: constant: True -> False",
    ]


def test_a_change_touches_its_site_only() -> None:
    site = next(site for site in sites_in("m.py", SOURCE) if site.rule == "swap")
    before, after = ast.unparse(ast.parse(SOURCE)).splitlines(), changed(SOURCE, [site]).splitlines()
    assert [(b, a) for b, a in zip(before, after, strict=True) if a != b] == [
        ("            return self.g(a + b)", "            return self.g(a - b)")
    ]


def test_sites_with_the_same_text_are_numbered() -> None:
    keys = [site.key for site in sites_in("m.py", "def f():\n    g()\n    g()\n")]
    assert keys == ["m.py:f: drop: g() -> pass", "m.py:f: drop: g() -> pass #2"]


def test_keys_are_unique() -> None:
    assert len({site.key for site in sites()}) == len(sites()) > 2000


def test_mutants_by_rule_compile_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEED, "1")
    for site in drawn(sites(), 0.02):
        text = (SAMPLE_CONTROLLER / site.module).read_text()
        new = site.mutant().sources()[site.module]
        compile(new, site.module, "exec")
        assert new != ast.unparse(ast.parse(text)) + "\n"


def test_equivalent_mutants_have_sites_and_reasons() -> None:
    assert all(reason.endswith(".") for reason in equivalent(EQUIVALENT).values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[equivalent]]\nkey = "x"\n', "expected key and reason, got ['key']"),
        ('[[equivalent]]\nkey = "x"\nreason = "It."\n', "no such site, remove it: x"),
    ],
)
def test_a_wrong_entry_of_equivalent_mutants_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "equivalent.toml").write_text(text)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        equivalent(tmp_path / "equivalent.toml")
    assert message in str(caught.value)


def test_a_line_affects_the_requirements_whose_tests_ran_beside_it() -> None:
    tests = [
        {"ids": ["VI-A-001"], "start": 10.0, "end": 12.0},
        {"ids": ["VI-A-002"], "start": 12.0, "end": 20.0},
        {"ids": ["VI-A-003"], "start": 20.0, "end": 21.0},
    ]
    intervals = [
        {"end": 9.0, "lines": {"m.py": [1, 2]}},
        {"end": 15.0, "lines": {"m.py": [2]}},
        {"end": 20.5, "lines": {"m.py": [2, 3]}},
    ]
    trace = assemble(tests, intervals, ["VI-A-001", "VI-A-002", "VI-A-003"], {})
    assert trace == Trace(
        {"m.py": {1: [], 2: ["VI-A-002", "VI-A-003"], 3: ["VI-A-003"]}},
        {"m.py": [1, 2]},
        {"VI-A-001": 2.0, "VI-A-002": 8.0, "VI-A-003": 1.0},
    )


def test_requirements_that_did_not_pass_are_left_out() -> None:
    tests = [{"ids": ["VI-A-001", "VI-A-002"], "start": 10.0, "end": 12.0}]
    trace = assemble(tests, [{"end": 11.0, "lines": {"m.py": [5]}}], ["VI-A-001"], {"m.py": 2})
    assert trace.lines == {"m.py": {3: ["VI-A-001"]}}


def test_the_quickest_requirements_are_tried_first() -> None:
    trace = Trace({"m.py": {2: ["VI-A-001", "VI-A-002"]}}, {}, {"VI-A-001": 2.0, "VI-A-002": 1.0})
    assert trace.affected(sites_in("m.py", "def f():\n    g()\n")[0]) == ["VI-A-002", "VI-A-001"]


def test_the_score_leaves_out_equivalent_and_unfinished_mutants() -> None:
    results = [(CAUGHT, ""), (NOT_STARTED, ""), (SURVIVED, ""), (SURVIVED, "It is a text."), (UNFINISHED, "")]
    entries = [
        {"key": f"m.py:f: drop: {n} -> pass", "rule": "drop", "module": "m.py", "line": n, "result": r, "equivalent": e}
        for n, (r, e) in enumerate(results)
    ]
    assert summary(entries) == [
        "mutants by rule: 2 of 3 caught (66.7 %), 1 equivalent, 1 not finished",
        "",
        "| rule | caught | did not start | survived | not run by any test |",
        "|---|---|---|---|---|",
        "| drop | 1 | 1 | 1 | 0 |",
        "",
        "| survivor | line | result |",
        "|---|---|---|",
        "| `m.py:f: drop: 2 -> pass` | 2 | survived |",
    ]
