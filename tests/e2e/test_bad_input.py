"""The suite rejects bad input at once, with an error that states what to do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SuiteRun

pytest_plugins = ("pytester",)
USAGE = pytest.ExitCode.USAGE_ERROR


@dataclass
class Here:
    """Runs sessions in this process: rejected input starts nothing, and Python needs a second to start."""

    pytester: pytest.Pytester
    monkeypatch: pytest.MonkeyPatch

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> SuiteRun:
        for name, value in (env or {}).items():
            self.monkeypatch.setenv(name, value)
        result = self.pytester.runpytest_inprocess(
            "--pyargs", "vault_issuer_conformance", "-p", "no:cacheprovider", "--vault-issuer-report=report", *arguments
        )
        return SuiteRun(int(result.ret), f"{result.stdout}{result.stderr}", self.pytester.path)

    def write(self, name: str, text: str) -> Path:
        path = self.pytester.path / name
        path.write_text(text)
        return path


@pytest.fixture
def here(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Here:
    for name in [name for name in os.environ if name.startswith("VAULT_ISSUER_VAULT")]:
        monkeypatch.delenv(name)
    return Here(pytester, monkeypatch)


def test_unknown_key_is_refused_with_a_suggestion(here: Here) -> None:
    path = here.write(
        "x.toml", '[implementation]\nname = "x"\nversion = "1"\n[run]\ncomand = ["x"]\n[features]\nall = true\n'
    )
    run = here.run(f"--vault-issuer={path}")
    assert run.status == USAGE
    assert "unknown key 'comand' in [run]" in run.output
    assert "did you mean command?" in run.output


def test_wrong_type_is_refused_by_key(here: Here) -> None:
    path = here.write("x.toml", '[implementation]\nname = "x"\nversion = 1\n[features]\nall = true\n')
    run = here.run(f"--vault-issuer={path}")
    assert run.status == USAGE
    assert "[implementation] version must be a string, got 1" in run.output


def test_file_that_is_not_toml_is_refused(here: Here) -> None:
    run = here.run(f"--vault-issuer={here.write('x.toml', 'name: x')}")
    assert run.status == USAGE
    assert "x.toml is not TOML" in run.output


def test_missing_implementation_file_is_refused(here: Here) -> None:
    run = here.run("--vault-issuer=absent.toml")
    assert run.status == USAGE
    assert "the implementation file absent.toml cannot be read: No such file or directory" in run.output


def test_unknown_built_in_is_refused(here: Here) -> None:
    run = here.run("--vault-issuer=cert-manger")
    assert run.status == USAGE
    assert "--vault-issuer=cert-manger: no such implementation" in run.output
    assert "built in: cert-manager" in run.output


def test_missing_factory_is_refused(here: Here) -> None:
    run = here.run("--vault-issuer=absent_module:factory")
    assert run.status == USAGE
    assert "cannot be imported: No module named 'absent_module'" in run.output


def test_missing_program_is_refused(here: Here, implementation: Any) -> None:
    run = here.run(implementation(["./no-such-controller"]))
    assert run.status == USAGE
    assert "[run] command: the program ./no-such-controller does not exist" in run.output


@pytest.mark.parametrize("key", ["crds", "rbac", "manifests"])
def test_missing_manifest_is_refused_before_anything_starts(here: Here, key: str) -> None:
    text = f'[implementation]\nname = "x"\nversion = "1"\n[run]\n{key} = ["absent.yaml"]\n[features]\nall = true\n'
    run = here.run(f"--vault-issuer={here.write('x.toml', text)}")
    assert run.status == USAGE
    assert f"[run] {key}: {here.pytester.path / 'absent.yaml'} does not exist" in run.output


def test_unknown_feature(here: Here) -> None:
    text = '[implementation]\nname = "x"\nversion = "1"\n[features]\nsupported = ["aprole"]\n'
    run = here.run(f"--vault-issuer={here.write('x.toml', text)}")
    assert run.status == USAGE
    assert "there is no feature 'aprole'" in run.output
    assert "did you mean approle?" in run.output


def test_unknown_area_is_refused(here: Here) -> None:
    run = here.run("--vault-issuer=cert-manager", "--vault-issuer-select=SING")
    assert run.status == USAGE
    assert "there is no area or requirement 'SING'" in run.output
    assert "did you mean SIGN?" in run.output


def test_unknown_provider_is_refused(here: Here) -> None:
    run = here.run("--vault-issuer=cert-manager", "--vault-issuer-stack=minikube")
    assert run.status == USAGE
    assert "--vault-issuer-stack=minikube: no such provider" in run.output


def test_timeout_scale_that_is_not_a_number_is_refused(here: Here) -> None:
    run = here.run("--vault-issuer=cert-manager", env={"VAULT_ISSUER_TIMEOUT_SCALE": "long"})
    assert run.status == USAGE
    assert "--vault-issuer-timeout-scale must be a number, got long" in run.output


def test_suite_without_an_implementation_is_refused(here: Here) -> None:
    run = here.run()
    assert run.status == USAGE
    assert "the conformance suite needs an implementation" in run.output


def test_existing_without_addresses_is_refused(here: Here) -> None:
    run = here.run("--vault-issuer=cert-manager", "--vault-issuer-stack=existing")
    assert run.status == USAGE
    assert "--vault-issuer-stack=existing needs a cluster and a Vault" in run.output


def test_known_failure_of_an_unknown_requirement_is_refused(here: Here) -> None:
    text = (
        '[implementation]\nname = "x"\nversion = "1"\n[features]\nall = true\n[known_failures]\n"VI-SIGN-999" = "x"\n'
    )
    run = here.run(f"--vault-issuer={here.write('x.toml', text)}")
    assert run.status == USAGE
    assert "[known_failures] VI-SIGN-999: the suite has no such requirement" in run.output


def test_controller_that_exits_at_once_ends_the_session(suite: Any, implementation: Any, shared: str) -> None:
    script = "import sys; sys.exit('no route to the moon')"
    run = suite.run(implementation(["python3", "-c", script], name="hasty"), shared, "--vault-issuer-select=TOKEN")
    assert run.status == pytest.ExitCode.TESTS_FAILED
    assert "its process ended by itself (exit status 1)" in run.output
    assert "no route to the moon" in run.output
    assert set(run.outcomes().values()) == {"not-run"}
    assert run.verdict == "incomplete"
    assert run.report["incomplete"] == "the controller did not start"
    assert "no route to the moon" in run.report["implementation"]["failure"]


def test_missing_vault_binary_is_refused(suite: Any, tmp_path: Path) -> None:
    run = suite.run("--vault-issuer=cert-manager", f"--vault-issuer-vault-binary={tmp_path / 'vault'}")
    assert run.status == USAGE
    assert str(tmp_path / "vault") in run.output
