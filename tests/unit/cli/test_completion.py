"""Completion as shells request it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pytest_vault_issuer.cli import completion
from pytest_vault_issuer.cli.completion import SHELLS
from pytest_vault_issuer.cli.main import main

SCRIPT = "from pytest_vault_issuer.cli.main import run; run()"


def completed(line: str, temporary: Path) -> list[str]:
    """Request completion as bash does: with the line and the cursor position; the words come from a file."""
    answers = temporary / "answers"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    environment = os.environ | asked | {"_ARGCOMPLETE_STDOUT_FILENAME": str(answers), "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [word.strip() for word in answers.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vault-issuer st", ["stack"]),
        ("vault-issuer stack ", ["up", "env", "status", "list", "images", "down"]),
        ("vault-issuer requirements --level ", ["MUST", "SHOULD", "MAY"]),
        ("vault-issuer init --ci git", ["github", "gitlab"]),
    ],
)
def test_words(line: str, words: list[str], tmp_path: Path) -> None:
    assert [word for word in completed(line, tmp_path) if not word.startswith("-")] == words


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_gets_its_code(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "vault-issuer" in capsys.readouterr().out


def test_missing_extra_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(completion, "find_spec", lambda name: None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'pytest-vault-issuer[completion]'" in capsys.readouterr().err


def test_every_extra_that_is_named_is_there() -> None:
    root = Path(__file__).parents[3]
    offered = set(tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    named = {
        extra.strip()
        for path in (root / "pytest_vault_issuer").rglob("*.py")
        for extras in re.findall(r"pytest-vault-issuer\[([a-z, ]+)\]", path.read_text())
        for extra in extras.split(",")
    }
    assert "completion" in named
    assert named <= offered
