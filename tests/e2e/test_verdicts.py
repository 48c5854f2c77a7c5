"""The verdicts on complete implementations: the reference passes, and an idle controller fails everything."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from images import openbao

from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.report import bundle
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import CORE, DOCUMENTED
from pytest_vault_issuer.toolchain import Toolchain
from tests.e2e.conftest import IMPLEMENTATION, LIMIT
from tests.support.reader import WITHOUT_HYPOTHESIS, user_environment
from tests.support.scope import scopes, selecting

#: Runs a controller until the journal of the session contains a test. Arguments: the journal, the controller's command.
MORTAL = """
import pathlib, subprocess, sys, time
journal, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
issuer = subprocess.Popen(command)
while issuer.poll() is None and not (journal.exists() and '"type": "test"' in journal.read_text()):
    time.sleep(0.05)
issuer.kill()
issuer.wait()
sys.exit(7)
"""
RBAC = Path(__file__).parents[2] / "pytest_vault_issuer/implementation/builtin/cert-manager-rbac.yaml"
PAGE = Path(__file__).parents[2] / "docs" / "implementation-file.md"


def test_cert_manager_is_conformant(suite: Any) -> None:
    """The documented profiles are conformant, and exactly its known failures fail."""
    reference = load_implementation("cert-manager")
    asked = Catalogue.load().select(DOCUMENTED)
    known = reference.known_failures.keys() & {requirement.id for requirement in asked}
    profiles = [f"--vault-issuer-profile={profile}" for profile in DOCUMENTED]
    run = suite.run("--vault-issuer=cert-manager", *profiles, "-n4", "--junit-xml=junit.xml")
    assert run.status == 0, run.output
    report = run.report
    verdicts = {name: profile["verdict"] for name, profile in report["profiles"].items()}
    assert verdicts == dict.fromkeys(DOCUMENTED, "conformant"), run.output
    outcomes = run.outcomes()
    not_claimed = {r.id for r in asked if r.feature and r.feature not in reference.features}
    assert {i for i, outcome in outcomes.items() if outcome == "unsupported"} == not_claimed, run.output
    assert {i for i, outcome in outcomes.items() if outcome == "known-failure"} == known
    assert set(outcomes.values()) <= {"passed", "known-failure", "unsupported"}, run.output
    assert outcomes.keys() == {requirement.id for requirement in asked}
    assert report["schema_version"] == 1
    assert report["stack"]["components"].keys() == {"kubernetes", "vault"}
    assert all(entry["tests"] for entry in report["requirements"])
    assert '<property name="requirement" value="VI-HEALTH-003" />' in (suite.directory / "junit.xml").read_text()


@scopes()
def test_openbao_gives_the_same_verdict(suite: Any, selected: tuple[str, ...]) -> None:
    """The file is the complete one in the documentation."""
    binary = Toolchain().path("cert-manager-controller")
    blocks = PAGE.read_text().split("```")
    text = next(block for block in blocks if block.startswith("toml\n[implementation]"))[len("toml\n") :]
    rbac = next(block for block in blocks if block.startswith("yaml\n# rbac.yaml"))[len("yaml\n") :]
    assert "/path/to/cert-manager-controller" in text
    suite.write("rbac.yaml", rbac)
    path = suite.write("my-issuer.toml", text.replace("/path/to/cert-manager-controller", str(binary)))
    workers = "-n2" if selected else "-n4"
    options = [f"--vault-issuer={path}", f"--vault-issuer-vault-binary={openbao.binary()}", workers]
    run = suite.run(*options, *selecting(selected))
    assert run.status == 0, run.output
    assert run.verdict == ("partial" if selected else "conformant")
    judged = (requirement.id for requirement in Catalogue.load().select((CORE,), selected))
    assert set(run.outcomes(tuple(judged)).values()) <= {"passed", "known-failure"}, run.output
    assert run.report["stack"]["components"]["openbao"] == openbao.VERSION


@pytest.mark.parametrize("name", ["cert-manager", "sample-controller"])
def test_openbao_gives_the_same_verdict_in_its_own_namespaces(suite: Any, name: str) -> None:
    binary = f"--vault-issuer-vault-binary={openbao.binary()}"
    area = ("--vault-issuer-profile=extended", "--vault-issuer-select=NAMESPACE")
    run = suite.run(f"--vault-issuer={name}", binary, *area, "-n2")
    assert run.status == 0, run.output
    known = load_implementation(name).known_failures
    asked = Catalogue.load().select(("extended",), ("NAMESPACE",))
    expected = {r.id: "known-failure" if r.id in known else "passed" for r in asked}
    assert expected
    assert run.outcomes(tuple(expected)) == expected, run.output


@scopes()
def test_idle_controller_passes_nothing(
    suite: Any, implementation: Any, shared: str, selected: tuple[str, ...]
) -> None:
    # Many workers, because the tests only wait. Half the timeouts, because they wait for events that never occur.
    workers = ["-n6" if selected else "-n12", "--vault-issuer-timeout-scale=0.5"]
    plugin = ["-p", "tests.support.keep_judging"]
    run = suite.run(
        implementation(["sleep", "3600"], name="idle"),
        shared,
        *workers,
        *plugin,
        *selecting(selected),
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert run.status == pytest.ExitCode.TESTS_FAILED
    assert run.verdict == "non-conformant"
    outcomes = run.outcomes(selected)
    assert {i for i, outcome in outcomes.items() if outcome != "failed"} == set(), run.output
    messages = {test["message"] for entry in run.report["requirements"] for test in entry["tests"]}
    assert all(" within " in message for message in messages), "expected each message to name the time limit"
    assert "it set no condition on its first issuer objects" in run.output


def test_repeat_command_runs_only_the_failed_test(suite: Any) -> None:
    """The ini file names a cert-manager that reads the Secrets of a ClusterIssuer in the wrong namespace."""
    binary = Toolchain().path("cert-manager-controller")
    rbac = RBAC
    (suite.directory / "of a friend").mkdir()
    text = IMPLEMENTATION.format(
        name="misled",
        command=json.dumps(
            [str(binary), "--kubeconfig={kubeconfig}", "--cluster-resource-namespace=default", "--approver=false"]
        ),
    )
    run_table = f'rbac = {json.dumps([str(rbac)])}\nservice_account = "cert-manager/cert-manager"\n[features]'
    suite.write("of a friend/misled.toml", text.replace("[features]", run_table))
    suite.write("pytest.ini", "[pytest]\nvault_issuer = of a friend/misled.toml\nvault_issuer_timeout_scale = 1.5\n")
    run = suite.run("--vault-issuer-select=VI-SCOPE-001", "--vault-issuer-select=VI-SCOPE-002", "-k", "right_namespace")
    assert run.status == pytest.ExitCode.TESTS_FAILED, run.output
    assert {i: o for i, o in run.outcomes().items() if o != "not-run"} == {
        "VI-SCOPE-001": "passed",
        "VI-SCOPE-002": "failed",
    }
    failed = next(entry for entry in run.report["requirements"] if entry["id"] == "VI-SCOPE-002")["tests"][0]
    folder = suite.directory / "report" / "failures" / bundle.slug("VI-SCOPE-002", failed["nodeid"])
    command = re.findall("```sh\n(.*)\n```", (folder / "README.md").read_text())[0]
    assert command in unescape((suite.directory / "report" / "report.html").read_text())
    repeated = subprocess.run(
        ["sh", "-c", command],
        cwd=suite.directory,
        env=user_environment(PYTEST_ADDOPTS=" ".join(["-v", *WITHOUT_HYPOTHESIS])),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert repeated.returncode == pytest.ExitCode.TESTS_FAILED, repeated.stdout + repeated.stderr
    ran = re.findall(r"^\S*::(\S+) (?:PASSED|FAILED|ERROR|SKIPPED)", repeated.stdout, re.MULTILINE)
    assert ran == [failed["nodeid"].partition("::")[2]], repeated.stdout


def test_killed_controller_ends_the_session(suite: Any, implementation: Any, shared: str) -> None:
    """The controller works when the session starts, and is killed after the first test."""
    binary = Toolchain().path("cert-manager-controller")
    journal = suite.directory / "report" / "report.jsonl"
    option = implementation(
        ["python3", "-c", MORTAL, str(journal), str(binary), "--kubeconfig={kubeconfig}", "--approver=false"],
        name="mortal",
    )
    rbac = json.dumps([str(RBAC)])
    file = suite.directory / "mortal.toml"
    text = file.read_text().replace(
        "[features]", f'rbac = {rbac}\nservice_account = "cert-manager/cert-manager"\n[features]'
    )
    file.write_text(text)
    run = suite.run(option, shared, "--vault-issuer-select=SIGN", "--vault-issuer-select=REQUEST")
    assert run.status == pytest.ExitCode.TESTS_FAILED
    assert "its process ended by itself (exit status 7)" in run.output
    assert "not-run" in run.outcomes().values()
    assert run.verdict == "incomplete"
    assert run.report["incomplete"] == "the controller stopped"
