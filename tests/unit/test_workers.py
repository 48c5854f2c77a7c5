"""How pytest-xdist distributes the project's own tests to its workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.conftest import ON_OUR_STACK, pytest_xdist_make_scheduler

ROOT = Path(__file__).parents[2]


class Options:
    """The options of a run with two workers."""

    def __init__(self, dist: str) -> None:
        self.dist = dist

    def getvalue(self, name: str) -> Any:
        return {"dist": self.dist, "tx": ["popen", "popen"]}[name]


def unit_of(file: str) -> str:
    scheduler = pytest_xdist_make_scheduler(Options("loadfile"), None)
    assert isinstance(scheduler, LoadFileScheduling)
    return scheduler._split_scope(f"{file}::test_some[a::b]")


def test_one_worker_runs_all_modules_on_our_stack() -> None:
    assert len({unit_of(file) for file in ON_OUR_STACK}) == 1
    assert unit_of("tests/e2e/test_judge.py") == "tests/e2e/test_judge.py"


def test_other_distributions_are_those_of_xdist() -> None:
    assert pytest_xdist_make_scheduler(Options("worksteal"), None) is None


@pytest.mark.parametrize("file", sorted(ON_OUR_STACK))
def test_listed_modules_exist(file: str) -> None:
    assert (ROOT / file).is_file()
