"""Runs the suite as a user does: pytest in a separate process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.toolchain import Toolchain
from tests.support.reader import user_environment
from tests.support.written_report import load

#: Seconds after which a session counts as broken.
LIMIT = 900


@dataclass
class SuiteRun:
    """The output and the report of a session."""

    status: int
    output: str
    directory: Path

    @property
    def report(self) -> dict[str, Any]:
        """The session's report.json, checked against its schema, with a complete journal."""
        return load(self.directory / "report")

    @property
    def verdict(self) -> str:
        """The verdict of the profile core."""
        return str(self.report["profiles"]["core"]["verdict"])

    def outcomes(self, selected: Collection[str] = ()) -> dict[str, str]:
        """The outcomes of the selected requirements, or of all, by id."""
        entries = self.report["requirements"]
        return {entry["id"]: entry["outcome"] for entry in entries if not selected or entry["id"] in selected}


class Suite:
    """Starts sessions in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def start(
        self, *arguments: str, env: dict[str, str] | None = None, process_group: int | None = None
    ) -> subprocess.Popen[str]:
        """Start a session and return its process; with a `process_group` of 0, in a new process group."""
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pytest",
                "--pyargs",
                "vault_issuer_conformance",
                "-p",
                "no:cacheprovider",
                f"--vault-issuer-report={self.directory / 'report'}",
                *arguments,
            ],
            cwd=self.directory,
            env=user_environment(**(env or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=process_group,
        )

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> SuiteRun:
        """Run a session to its end."""
        with self.start(*arguments, env=env) as process:
            try:
                output, _ = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return SuiteRun(process.returncode, output, self.directory)

    def write(self, name: str, text: str) -> Path:
        """Write a file into the directory of the sessions."""
        path = self.directory / name
        path.write_text(text)
        return path


@pytest.fixture(autouse=True)
def built(toolchain: Toolchain) -> None:
    """Build the components, because every test here needs them."""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


@pytest.fixture(scope="session")
def shared(toolchain: Toolchain) -> Iterator[str]:
    """Return the option that joins a shared stack, for one session at a time, for tests that need no separate stack."""
    run = Session(Settings(stack="process"), SessionKey.new(), print)
    run.stack()
    yield f"--vault-issuer-join={run.directory.path}"
    run.close()


@pytest.fixture(scope="session")
def joining(shared: str) -> dict[str, str]:
    """Return the environment that joins the shared stack, for commands that run as they are written."""
    return {"VAULT_ISSUER_JOIN": shared.partition("=")[2]}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary directory with a short path: the path of a socket must fit into 100 bytes."""
    path = Path(tempfile.mkdtemp(prefix="vi-"))
    yield path
    shutil.rmtree(path)


def typed(*words: str, temporary: Path) -> str:
    """Run the command `vault-issuer` with a directory for temporary files, and return its output."""
    command = str(Path(sys.executable).with_name("vault-issuer"))
    environment = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.run(
        [command, *words], check=True, env=environment, stdout=subprocess.PIPE, text=True, timeout=LIMIT
    ).stdout


#: An implementation file; tests replace parts of it.
IMPLEMENTATION = """
[implementation]
name = "{name}"
version = "0"
[run]
command = {command}
[features]
all = true
"""


@pytest.fixture
def implementation(suite: Suite) -> Any:
    """Write an implementation file for a command and return the option that names it."""

    def write(command: list[str], name: str = "probe") -> str:
        text = IMPLEMENTATION.format(name=name, command=json.dumps(command))
        return f"--vault-issuer={suite.write(name + '.toml', text)}"

    return write


def run_directories(output: str) -> set[str]:
    """Return the run directories that an output names."""
    return set(re.findall(r"/\S*/vault-issuer-[0-9a-f]{12}", output))
