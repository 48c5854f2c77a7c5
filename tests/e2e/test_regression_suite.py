"""The example of a regression suite: a team's tests with the plugin's fixtures, run by the commands of its README."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vault_issuer.kube import Cluster
from pytest_vault_issuer.kube.client import CLUSTER_ROLE_BINDINGS
from pytest_vault_issuer.stack.bootstrap import REVIEWER_BINDING
from pytest_vault_issuer.toolchain import Toolchain
from tests.e2e.conftest import typed
from tests.support.reader import LIMIT, ROOT, Reader, Tables, commands_of, user_environment

EXAMPLE = ROOT / "examples/regression-suite"
README = EXAMPLE / "README.md"
#: The number of the team's tests.
PASSED = r"\b10 passed"
TABLES = Tables(
    instead={
        "--vault-issuer-vault-version=1.19": (
            "--vault-issuer-vault-version=1.21",
            "another is built for minutes; this one is there",
        ),
        "--vault-issuer=cert-manager@1.20": ("--vault-issuer=cert-manager@1.21", "the same"),
        "VAULT_ISSUER_VAULT_TOKEN=...": ('VAULT_ISSUER_VAULT_TOKEN="$(cat {token_file})"', "the token is not printed"),
        "https://vault.staging.example.com:8200": ("{vault}", "a Vault on this machine stands for theirs"),
    }
)


@pytest.fixture
def team(tmp_path: Path, temporary: Path) -> Reader:
    """A team with a copy outside of this project."""
    directory = Path(shutil.copytree(EXAMPLE, tmp_path / "suite"))
    # The package is installed.
    return Reader(directory, user_environment(PIP_NO_INDEX="1", TMPDIR=str(temporary)), TABLES)


def test_regression_suite_passes_before_an_upgrade(team: Reader, toolchain: Toolchain) -> None:
    here, upgrades, _ = commands_of(README)
    vault = toolchain.path("vault")
    assert vault is not None
    (team.directory / "next").mkdir()
    (team.directory / "next/vault").symlink_to(vault)
    shown = team.run_block(here)
    assert len(re.findall(PASSED, shown)) == 1, shown
    assert "profile" not in shown.splitlines()[-1]
    shown = team.run_block(upgrades)
    assert len(re.findall(PASSED, shown)) == len(upgrades) == 3, shown


@pytest.fixture
def staging(team: Reader, temporary: Path) -> Iterator[Reader]:
    """The same team with a running Vault, cluster and cert-manager."""
    up = json.loads(typed("stack", "up", "--timeout-scale=3", "--format=json", temporary=temporary))
    # Its binding marks the stack as used by a session.
    Cluster(Path(up["kubeconfig"])).delete(CLUSTER_ROLE_BINDINGS, REVIEWER_BINDING)
    (team.directory / "staging.kubeconfig").symlink_to(up["kubeconfig"])
    (team.directory / "staging-ca.pem").symlink_to(up["vault_ca"])
    team.paths |= {"token_file": up["vault_token_file"], "vault": up["vault_addr"]}
    yield team
    typed("stack", "down", "--all", temporary=temporary)


def test_regression_suite_passes_against_staging(staging: Reader) -> None:
    *_, commands = commands_of(README)
    shown = staging.run_block(commands)
    assert re.search(PASSED, shown), shown
    assert "stack existing" in shown


def test_tables_name_only_commands_of_the_page() -> None:
    TABLES.check([README])


def test_regression_suite_catches_a_policy_that_allows_too_much(team: Reader) -> None:
    policy = team.directory / "vault/policy.hcl"
    policy.write_text(policy.read_text().replace("/sign/web", "/*"))
    run = subprocess.run(
        ["pytest", "test_vault.py"],
        cwd=team.directory,
        env=team.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    failed = set(re.findall(r"^FAILED test_vault.py::(\w+)", run.stdout, re.MULTILINE))
    assert failed == {"test_other_roles_of_our_pki_are_closed", "test_roles_cannot_be_changed"}
