"""The workflows and the composite action of this repository. Their execution on GitHub is not tested here."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.reader import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FILES = [*WORKFLOWS, ROOT / "action.yml"]
#: Including those that users get from this repository.
WITH_ACTIONS = [
    *FILES,
    *(ROOT / "examples").glob("*/.github/workflows/*.yml"),
    ROOT / "pytest_vault_issuer/scaffold/workflows.py",
]
PINNED = re.compile(r"actions/[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+|\./")


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())["jobs"]
    return found


@pytest.mark.parametrize("file", WITH_ACTIONS, ids=lambda file: str(file.relative_to(ROOT)))
def test_actions_are_pinned_by_commit(file: Path) -> None:
    """A tag can move to other code, which would run with the job's credentials."""
    used = re.findall(r"uses: (.*)", file.read_text())
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_commit_in_all_files() -> None:
    commits: dict[str, set[str]] = {}
    for file in WITH_ACTIONS:
        for action, commit in re.findall(r"uses: (actions/\w[\w-]*)[\w/-]*@(\w+)", file.read_text()):
            commits.setdefault(action, set()).add(commit)
    assert {action for action, found in commits.items() if len(found) > 1} == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_script_contains_text_of_an_event(file: Path) -> None:
    """An expression becomes a part of the script: a branch or an input could contain commands."""
    content = yaml.safe_load(file.read_text())
    steps = [step for job in content.get("jobs", {"": content.get("runs")}).values() for step in job["steps"]]
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_jobs_only_read_unless_they_publish(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    assert content["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in content["jobs"].items() if "permissions" in job}
    publishing = {
        "docs.yml": {"publish": {"contents": "write"}},
        "release.yml": {
            "publish": {"id-token": "write"},
            "image": {"contents": "read", "packages": "write"},
            "image-index": {"packages": "write"},
        },
    }
    assert more == publishing.get(file.name, {})


def test_unit_tests_run_on_each_supported_python() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = {version for line in classifiers for version in re.findall(r"Python :: (3\.\d+)", line)}
    matrix = jobs("test.yml")["unit"]["strategy"]["matrix"]
    assert set(matrix["python"]) == supported
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos"}
    (environments,) = re.findall(r"\[testenv:py3\{([\d,]+)\}\]", (ROOT / "tox.ini").read_text())
    assert {f"3.{minor}" for minor in environments.split(",")} == supported


def test_image_runs_the_command_without_root_on_a_supported_python() -> None:
    """The user is a number, which Kubernetes needs to check runAsNonRoot."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    instructions = dict(line.split(maxsplit=1) for line in lines if re.match(r"[A-Z]+ ", line))
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions["USER"])
    assert instructions["ENTRYPOINT"] == '["vault-issuer"]'
    version = re.match(r"python:(3\.\d+)-", instructions["FROM"])
    assert version is not None
    assert version[1] in jobs("test.yml")["unit"]["strategy"]["matrix"]["python"]


def test_image_installs_existing_extras() -> None:
    (extras,) = re.findall(r"ARG EXTRAS=(\S+)", (ROOT / "Dockerfile").read_text())
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)


def test_action_installs_the_suite_of_its_own_commit() -> None:
    """A release of this name may not exist, or may contain other code."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    (install,) = [step["run"] for step in steps if step.get("name") == "Install"]
    assert '"$GITHUB_ACTION_PATH[' in install
    assert "pytest-vault-issuer" not in install


def test_components_stay_in_their_minor_release() -> None:
    """Otherwise Renovate would change the version that the folder's name states."""
    rules = json.loads((ROOT / "renovate.json").read_text())["packageRules"]
    (rule,) = [rule for rule in rules if "pytest_vault_issuer/toolchain/modules/**" in rule.get("matchFileNames", [])]
    assert rule["enabled"] is False
    assert set(rule["matchUpdateTypes"]) == {"major", "minor"}
