"""The merged report of several sessions equals the report of one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import AREAS
from tests.e2e.conftest import LIMIT, Suite, SuiteRun
from tests.support.scope import selecting

REPORTS = Path(__file__).parents[2] / "docs/reports.md"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["VI-LEAK-001", "VI-LEAK-002"], ["VI-APPROLE-001", "VI-APPROLE-002"]),
        pytest.param(["LEAK"], ["APPROLE"], marks=pytest.mark.full),
    ],
    ids=["requirements", "areas"],
)
def test_merged_shards_equal_one_session(tmp_path: Path, shared: str, first: list[str], second: list[str]) -> None:
    runs: dict[str, SuiteRun] = {}
    # The number of workers changes nothing, and a worker takes two seconds of CPU time to start.
    for name, workers, parts in (("whole", 2, [*first, *second]), ("part-1", 0, first), ("part-2", 0, second)):
        (tmp_path / name).mkdir()
        options = ["--vault-issuer=cert-manager", f"-n{workers}", shared, *selecting(parts)]
        runs[name] = Suite(tmp_path / name).run(*options)
        assert runs[name].status == 0, runs[name].output
    merge = ["from pytest_vault_issuer.cli.main import run; run()", "report", "merge", "part-1/report", "part-2/report"]
    done = subprocess.run(
        [sys.executable, "-c", *merge, "--output=merged/report"],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    merged, whole = SuiteRun(0, "", tmp_path / "merged"), runs["whole"]
    assert merged.outcomes() == whole.outcomes()
    assert merged.report["profiles"] == whole.report["profiles"]
    assert nodeids(merged) == nodeids(whole)
    assert nodeids(runs["part-1"]) < nodeids(whole)


def nodeids(run: SuiteRun) -> set[Any]:
    return {test["nodeid"] for entry in run.report["requirements"] for test in entry["tests"]}


def test_documented_shards_cover_the_core() -> None:
    shards = re.findall(r"^VAULT_ISSUER_SELECT='([A-Z ]+)'", REPORTS.read_text(), re.MULTILINE)
    shown = [area for shard in shards for area in shard.split()]
    core = {requirement.area for requirement in Catalogue.load().select(("core",))}
    assert shown == [area for area in AREAS if area in core]
