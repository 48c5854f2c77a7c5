"""Sessions in forks of one process: their output, their limits, and the order of their tests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from . import inner
from .forks import Forks
from .judging import environment_of_sessions

#: Seconds for a session that ends at once.
LIMIT = 120


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    forks = Forks(environment_of_sessions())
    yield forks
    forks.close()


def test_each_session_has_its_own_output_and_environment(forks: Forks, tmp_path: Path) -> None:
    for name in ("one", "other"):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "test_it.py").write_text("import os\ndef test(): print(os.environ['NAME'], os.getcwd())\n")
        output = forks.run(["-s", "-q", "-p", "no:cacheprovider", "test_it.py"], directory, {"NAME": name}, LIMIT)
        assert f"{name} {directory}" in output


def test_a_session_that_exceeds_its_limit_is_stopped(forks: Forks, tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        forks.run(["--collect-only"], tmp_path, {}, 0)


def test_tests_run_in_the_order_of_their_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    def item(*identifiers: str) -> Any:
        return SimpleNamespace(ids=identifiers, iter_markers=lambda _: [SimpleNamespace(args=identifiers)])

    monkeypatch.setenv(inner.ORDER, json.dumps(["VI-B-001", "VI-A-001"]))
    items = [item("VI-C-001"), item("VI-A-001"), item("VI-A-002", "VI-B-001"), item()]
    inner.pytest_collection_modifyitems(items)
    assert [item.ids for item in items] == [("VI-A-002", "VI-B-001"), ("VI-A-001",), ("VI-C-001",), ()]
