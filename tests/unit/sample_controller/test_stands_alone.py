"""A copy of the sample controller's folder runs elsewhere: as an example, and as a mutant."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest_vault_issuer.sample_controller

FOLDER = Path(pytest_vault_issuer.sample_controller.__file__).parent


def test_it_imports_nothing_of_the_package_around_it() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{path.name} imports what is above its folder"
                assert not (node.module or "").startswith("pytest_vault_issuer"), path.name
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("pytest_vault_issuer") for alias in node.names), path.name


def test_a_copy_runs(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "sample-controller", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "sample-controller", "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage: sample-controller" in done.stdout
