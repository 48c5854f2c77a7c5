"""``vault-issuer judge``: the pytest command that it runs, and the arguments that it rejects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.cli import judge
from pytest_vault_issuer.cli.main import main, parser
from pytest_vault_issuer.report import rerun
from pytest_vault_issuer.report import write as files
from pytest_vault_issuer.report.outcomes import Outcome
from tests.support.sample_report import report

SUITE = ["--pyargs", "vault_issuer_conformance"]
Become = Callable[..., list[str]]


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Become:
    """Run the command and return the arguments of the pytest that replaces it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("VAULT_ISSUER")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(judge, "_processors", lambda: 2)
    started: list[list[str]] = []

    def execv(program: str, words: list[str]) -> None:
        assert (program, words[:3]) == (sys.executable, [sys.executable, "-P", str(judge.RUN_PYTEST)])
        started.append(words[3:])
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)

    def run(*words: str) -> list[str]:
        with pytest.raises(SystemExit):
            main(["judge", *words])
        return started.pop()

    return run


def test_short_way_is_the_suite_with_workers_and_a_report(become: Become) -> None:
    assert become("cert-manager") == [
        *SUITE, "--vault-issuer=cert-manager", "--vault-issuer-report=report", "-n", "4",
    ]  # fmt: skip


@pytest.mark.parametrize(("processors", "workers"), [(1, ["-n", "2"]), (2, ["-n", "4"]), (64, ["-n", "4"])])
def test_workers_follow_the_processors(
    become: Become, monkeypatch: pytest.MonkeyPatch, processors: int, workers: list[str]
) -> None:
    monkeypatch.setattr(judge, "_processors", lambda: processors)
    assert become("cert-manager")[-2:] == workers


@pytest.mark.parametrize(
    ("selected", "workers"),
    [
        (["VI-SIGN-001"], []),
        (["VI-SIGN-001", "VI-SIGN-001"], []),
        (["VI-SIGN-001", "VI-LEAK-001"], ["-n", "2"]),
        (["SIGN"], ["-n", "4"]),
        (["VI-LEAK-001", "SIGN"], ["-n", "4"]),
    ],
    ids=" ".join,
)
def test_each_selected_requirement_has_at_most_one_worker(
    become: Become, monkeypatch: pytest.MonkeyPatch, selected: list[str], workers: list[str]
) -> None:
    report = "--vault-issuer-report=report"
    words = become("x", *(word for name in selected for word in ("--select", name)))
    assert words[words.index(report) + 1 :] == workers
    monkeypatch.setenv("VAULT_ISSUER_SELECT", " ".join(selected))
    assert become("x") == [*SUITE, "--vault-issuer=x", report, *workers]


@pytest.mark.parametrize(
    ("words", "passed_on"),
    [
        (["x", "-k", "chain"], ["-n", "4", "-k", "chain"]),
        (["x", "--vault-issuer-image", "i:1.0"], ["-n", "4", "--vault-issuer-image", "i:1.0"]),
        (["x", "--", "--failed"], ["-n", "4", "--failed"]),
        (["x", "-n", "8"], ["-n", "8"]),
        (["x", "-n0"], ["-n0"]),
        (["x", "--pdb"], ["--pdb"]),
        (["x", "-p", "no:xdist"], ["-p", "no:xdist"]),
        (["x", "--workers", "3"], ["-n", "3"]),
        (["x", "--workers=1", "-x"], ["-x"]),
    ],
    ids=" ".join,
)
def test_other_arguments_reach_pytest(become: Become, words: list[str], passed_on: list[str]) -> None:
    assert become(*words) == [*SUITE, "--vault-issuer=x", "--vault-issuer-report=report", *passed_on]


def test_options_of_the_session_have_short_names(become: Become) -> None:
    words = ["--select", "SIGN", "x", "--select=TLS", "--profile", "core", "--certify", "--report", "out"]
    assert become(*words)[2:-2] == [
        "--vault-issuer=x",
        "--vault-issuer-profile=core",
        "--vault-issuer-select=SIGN",
        "--vault-issuer-select=TLS",
        "--vault-issuer-certify",
        "--vault-issuer-report=out",
    ]


def test_environment_names_implementation_and_report(become: Become, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ISSUER", "./mine.toml")
    monkeypatch.setenv("VAULT_ISSUER_REPORT", "out")
    assert become("-x")[2:4] == ["--vault-issuer=./mine.toml", "--vault-issuer-report=out"]


def test_report_option_is_not_passed_twice(become: Become) -> None:
    assert become("x", "--vault-issuer-report=mine")[2:] == [
        "--vault-issuer=x",
        "-n",
        "4",
        "--vault-issuer-report=mine",
    ]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run the command, expect pytest's exit status for a usage error, and return the output."""
    try:
        status: object = main(["judge", *words])
    except SystemExit as left:
        status = left.code
    assert status == pytest.ExitCode.USAGE_ERROR
    return capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["-x"], ["-x", "cert-manager"]], ids=["none", "only options", "not the first"])
@pytest.mark.usefixtures("become")
def test_missing_implementation_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, *words)
    assert "the implementation to judge is missing, or is not the first argument" in error
    assert "hint: run: vault-issuer judge cert-manager" in error


@pytest.mark.parametrize("words", [["x", "--report"], ["x", "--workers=none"], ["x", "--workers", "0"]], ids=" ".join)
@pytest.mark.usefixtures("become")
def test_wrong_option_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "usage: vault-issuer judge [options] IMPLEMENTATION [pytest arguments]" in refused(capsys, *words)


def test_missing_xdist_is_a_usage_error(
    become: Become, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judge, "find_spec", lambda name: None)
    for words in (["x"], ["x", "-n", "2"], ["x", "--workers=2"]):
        error = refused(capsys, *words)
        assert "several workers need the package pytest-xdist" in error
        assert "pip install 'pytest-vault-issuer[all]'" in error
    assert "-n" not in become("x", "--workers", "1")


def test_unknown_implementation_is_a_usage_error_of_pytest(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("vault-issuer")), "judge", "cert-manger", "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --vault-issuer=cert-manger: no such implementation\n  hint: built in: cert-manager" in done.stderr


# -- --failed -------------------------------------------------------------------------------------------------


def written(directory: Path, *outcomes: Outcome, **changes: Any) -> dict[str, Any]:
    made = report(*outcomes, **changes)
    made["reproduction"]["options"] = ["--vault-issuer=./mine.toml", "--vault-issuer-report=report"]
    files.write_all(made, directory)
    return made


def test_failed_repeats_failures_and_errors_with_their_settings(become: Become) -> None:
    made = written(Path("report"), Outcome.FAILED, Outcome.ERROR, Outcome.KNOWN_FAILURE, Outcome.NOT_RUN)
    nodes = [test["nodeid"] for entry in made["requirements"][:2] for test in entry["tests"]]
    selected = rerun.arguments(made, nodes)
    assert become("--failed", "-x") == [*selected, "--vault-issuer-report=report/failed", "-n", "2", "-x"]
    assert selected.count("--pyargs") <= 1
    assert [word for word in selected if word.startswith("--vault-issuer")] == [
        "--vault-issuer=./mine.toml",
        "--vault-issuer-profile=core",
    ]


def test_one_failure_needs_no_workers(become: Become) -> None:
    written(Path("out"), Outcome.FAILED)
    assert become("--failed", "--report", "out")[-1] == "--vault-issuer-report=out/failed"
    assert become("--failed", "--report", "out/report.json")[-1] == "--vault-issuer-report=out/failed"


def test_repetition_is_never_certified(become: Become, monkeypatch: pytest.MonkeyPatch) -> None:
    written(Path("report"), Outcome.FAILED)
    monkeypatch.setenv("VAULT_ISSUER_CERTIFY", "true")
    become("--failed")
    assert os.environ["VAULT_ISSUER_CERTIFY"] == "false"


@pytest.mark.usefixtures("become")
def test_report_without_failures_leaves_nothing_to_repeat(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("report"), Outcome.KNOWN_FAILURE)
    assert main(["judge", "--failed"]) == 0
    assert "nothing failed in the report of" in capsys.readouterr().out


@pytest.mark.usefixtures("become")
def test_missing_report_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "--failed")
    assert "there is no report to repeat: report does not exist\n  hint: judge everything first" in error


@pytest.mark.parametrize(
    ("words", "named"),
    [(["x"], "cannot be combined with x"), (["--select", "SIGN"], "cannot be combined with --select")],
    ids=str,
)
@pytest.mark.usefixtures("become")
def test_repetition_takes_no_other_implementation_and_selection(
    capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    assert named in refused(capsys, "--failed", *words)


def test_options_of_other_commands_are_not_passed_on() -> None:
    with pytest.raises(SystemExit) as left:
        parser().parse_args(["doctor", "-x"])
    assert left.value.code == 2
