"""The example of an external issuer: built from its own module, judged by its own file, right in what it claims."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.toolchain.go import Go, find_go

EXAMPLE = Path(__file__).parents[2] / "examples/external-issuer"
README = (EXAMPLE / "README.md").read_text()
#: What its go.mod asks for.
NEEDED_GO = (1, 24)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it outside this project, with its program."""
    place = tmp_path_factory.mktemp("external-issuer")
    directory = Path(shutil.copytree(EXAMPLE, place / "repository"))
    command = re.search(r"^go (build .*)$", README, re.MULTILINE)
    assert command is not None
    Go(find_go(NEEDED_GO), place / "go").run(*command[1].split(), directory=directory)
    shutil.rmtree(place / "go")  # more than a GB
    return directory


def test_it_does_what_it_claims(suite: Any, directory: Path) -> None:
    file = directory / "conformance.toml"
    run = suite.run(f"--vault-issuer={file}", "-n4")
    assert run.status == 0, run.output
    assert run.verdict == "conformant"
    outcomes = run.outcomes()
    known = tomllib.loads(file.read_text())["known_failures"]
    assert {identifier for identifier, outcome in outcomes.items() if outcome == "known-failure"} == set(known)
    assert set(outcomes.values()) == {"passed", "known-failure"}
    said = re.search(r"(\d+) of (\d+) MUST and (\d+) of (\d+) SHOULD pass", README)
    assert said is not None
    counted = [
        c for level in run.report["profiles"]["core"]["counts"].values() for c in (level["passed"], sum(level.values()))
    ]
    assert [int(number) for number in said.groups()] == counted
