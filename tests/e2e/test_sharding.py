"""Runs that shared the work say together what one run says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_vault_issuer.features import AREAS
from pytest_vault_issuer.requirements import Catalogue
from tests.e2e.conftest import LIMIT, Suite, SuiteRun

REPORTS = Path(__file__).parents[2] / "docs/reports.md"


def test_two_shards_are_merged_into_what_one_run_says(tmp_path: Path) -> None:
    runs: dict[str, SuiteRun] = {}
    for name, areas in (("whole", ["LEAK", "APPROLE"]), ("part-1", ["LEAK"]), ("part-2", ["APPROLE"])):
        (tmp_path / name).mkdir()
        selected = [f"--vault-issuer-select={area}" for area in areas]
        runs[name] = Suite(tmp_path / name).run("--vault-issuer=cert-manager", "-n2", *selected)
        assert runs[name].status == 0, runs[name].output
    merge = ["from pytest_vault_issuer.cli import run; run()", "report", "merge", "part-1/report", "part-2/report"]
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


def test_the_shards_that_are_shown_are_the_whole_core() -> None:
    shards = re.findall(r"^VAULT_ISSUER_SELECT='([A-Z ]+)'", REPORTS.read_text(), re.MULTILINE)
    shown = [area for shard in shards for area in shard.split()]
    core = {requirement.area for requirement in Catalogue.load().select(("core",))}
    assert shown == [area for area in AREAS if area in core]
