"""However a run ends, nothing of it stays; and runs do not meet."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.timeouts import poll
from tests.e2e.conftest import typed
from tests.processes import processes_of
from tests.written_report import journal

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")


def run_directory_of(temporary: Path) -> Path | None:
    return next(temporary.glob("vault-issuer-*"), None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_run_that_is_ended_by_a_signal(suite: Any, temporary: Path, number: int, workers: str) -> None:
    process = suite.start(
        "--vault-issuer=cert-manager", "--vault-issuer-select=SIGN", workers, env={"TMPDIR": str(temporary)}
    )

    def in_mid_run() -> Path | None:
        directory = run_directory_of(temporary)
        return directory if directory and (directory / "implementation.json").exists() else None

    directory = poll(in_mid_run, timeout=120)
    assert directory is not None, process.communicate()[0]
    assert any("kube-apiserver" in line for line in processes_of(directory))
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    gone = poll(lambda: None if processes_of(directory) or list(temporary.iterdir()) else True, timeout=60)
    assert gone, f"left: {processes_of(directory)} {list(temporary.iterdir())}"
    told = [line["type"] for line in journal(suite.directory / "report")]
    assert told[0] == "run"
    assert "end" not in told
    assert not (suite.directory / "report/report.json").exists()


def test_two_runs_side_by_side(suite: Any, tmp_path: Path, temporary: Path) -> None:
    from tests.e2e.conftest import Suite

    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        runs.append(
            Suite(tmp_path / name).start(
                "--vault-issuer=cert-manager",
                "--vault-issuer-select=APPROLE",
                "--vault-issuer-select=SCOPE",
                "-n2",
                env={"TMPDIR": str(temporary)},
            )
        )
    for process in runs:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
    assert list(temporary.iterdir()) == []


def test_a_stack_that_is_to_stay_is_joined_and_taken_down(suite: Any, temporary: Path) -> None:
    environment = {"TMPDIR": str(temporary)}
    one = ("--vault-issuer=cert-manager", "--vault-issuer-select=VI-SIGN-001")
    run = suite.run(*one, "--vault-issuer-stack=process", "--vault-issuer-keep-stack", env=environment)
    assert run.status == 0, run.output
    directory = run_directory_of(temporary)
    assert directory is not None
    assert f"vault-issuer stack down {directory}" in run.output
    assert any("kube-apiserver" in line for line in processes_of(directory))
    joined = suite.run(*one, f"--vault-issuer-join={directory}", env=environment)
    assert joined.status == 0, joined.output
    typed("stack", "down", str(directory), temporary=temporary)
    assert processes_of(directory) == []
    assert list(temporary.iterdir()) == []
