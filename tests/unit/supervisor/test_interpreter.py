"""Our modules run in separate processes, wherever the package was found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import pytest_vault_issuer
from pytest_vault_issuer.supervisor import interpreter

PACKAGE = Path(pytest_vault_issuer.__file__).parent
#: Registers a command for the end of a run, as stacks do. Arguments: the run directory, a module.
ENDS = """
import os, sys
from pathlib import Path
from pytest_vault_issuer.supervisor import interpreter
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
run = RunDirectory(Path(sys.argv[1]), os.getpid())
run.open()
print(run.spawn("module", interpreter.command(sys.argv[2]), interpreter.environment()))
run.at_end(interpreter.command(sys.argv[2]), interpreter.environment())
run.close()
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter without installed packages."""
    place = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(place, with_pip=False)
    return place / "bin/python"


def test_modules_start_with_the_package_only_in_pythonpath(bare: Path, short_directory: Path, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "lib/pytest_vault_issuer", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "lib/pytest_vault_issuer/says_hello.py"
    module.write_text("import filelock, pathlib; pathlib.Path(__file__).with_suffix('.txt').write_text('hello')")
    needed = [entry for entry in sys.path if entry.endswith("site-packages")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(tmp_path / "lib"), *needed])}
    subprocess.run(
        [bare, "-c", ENDS, str(short_directory / "run"), "pytest_vault_issuer.says_hello"],
        check=True,
        env=environment,
        cwd=tmp_path,
        timeout=60,
    )
    assert module.with_suffix(".txt").read_text() == "hello"


def test_path_is_handed_on_in_its_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/first", "relative", "/first", f"/with{os.pathsep}in"])
    assert interpreter.environment() == {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), "/first", str(tmp_path / "relative")])
    }


def test_working_directory_is_not_looked_in(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    subprocess.run(interpreter.command("json.tool", "--help"), check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
