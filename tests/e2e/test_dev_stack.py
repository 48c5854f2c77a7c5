"""`vault-issuer stack`: a working dev stack that sessions can join, and its complete removal."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.timeouts import poll
from pytest_vault_issuer.toolchain import Toolchain
from tests.e2e.conftest import LIMIT, Suite
from tests.support.processes import processes_of, supervisor_of

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
ISSUERS = "issuers.cert-manager.io,clusterissuers.cert-manager.io"
READY = (
    r'-o=jsonpath={range .items[*]}{.kind} {.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}'
)


class Shell:
    """Runs commands of a user, with a separate temporary directory."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("VAULT_ISSUER_VAULT")}
        self.environment["TMPDIR"] = str(temporary)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", "from pytest_vault_issuer.cli.main import run; run()", *words]

    def run(self, *words: str, status: int = 0) -> str:
        done = subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def up(self, *options: str) -> dict[str, Any]:
        dev_stack: dict[str, Any] = json.loads(self.run("stack", "up", "--timeout-scale=3", "--format=json", *options))
        return dev_stack

    def states(self) -> list[str]:
        return [entry["state"] for entry in json.loads(self.run("stack", "status", "--format=json"))]

    def kubectl(self, kubectl: Path, *words: str) -> str:
        exports = self.run("stack", "env")
        script = f'{exports}\nexec "$0" "$@"'
        done = subprocess.run(
            ["sh", "-c", script, str(kubectl), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def shell() -> Iterator[Shell]:
    temporary = Path(tempfile.mkdtemp(prefix="vi-"))
    shell = Shell(temporary)
    yield shell
    shell.run("stack", "down", "--all")
    shutil.rmtree(temporary)


def test_dev_stack_can_be_used_judged_on_and_removed(shell: Shell, suite: Suite, toolchain: Toolchain) -> None:
    kubectl = toolchain.path("kubectl")
    assert kubectl is not None
    dev_stack = shell.up()
    directory = Path(dev_stack["directory"])
    assert len(dev_stack["issuers"]) >= 12
    listed = shell.kubectl(kubectl, "get", ISSUERS, "--all-namespaces", READY).splitlines()
    assert len(listed) == len(dev_stack["issuers"])
    assert [line for line in listed if not line.endswith(" True")] == []

    shell.kubectl(kubectl, "apply", "-f", dev_stack["sample"])
    shell.kubectl(kubectl, "wait", "--for=condition=Ready", "--timeout=60s", "certificate/try")

    token = Path(dev_stack["vault_token_file"])
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() not in json.dumps(dev_stack) + shell.run("stack", "env") + shell.run("stack", "status")

    joined = suite.run(
        "--vault-issuer=cert-manager",
        "--vault-issuer-select=VI-REQUEST-001",
        f"--vault-issuer-join={directory}",
        "--vault-issuer-timeout-scale=3",
        env={"TMPDIR": str(shell.temporary)},
    )
    assert joined.status == 0, joined.output
    assert "is paused until this session ends" in joined.output
    assert joined.outcomes()["VI-REQUEST-001"] == "passed"
    # The controller of the dev stack is resumed: a new Issuer becomes Ready, too.
    copied = json.loads(shell.kubectl(kubectl, "get", "issuers.cert-manager.io", "vault-approle", "-ojson"))
    manifest = suite.write(
        "late.json",
        json.dumps({**{k: copied[k] for k in ("apiVersion", "kind", "spec")}, "metadata": {"name": "late"}}),
    )
    shell.kubectl(kubectl, "apply", "-f", str(manifest))
    shell.kubectl(kubectl, "wait", "--for=condition=Ready", "--timeout=60s", "issuers.cert-manager.io/late")

    shell.run("stack", "down")
    assert processes_of(directory) == []
    assert list(shell.temporary.iterdir()) == []


def test_printed_commands_of_a_dev_stack_work(shell: Shell) -> None:
    """The commands run in order as printed; the test above joins the dev stack."""
    printed = shell.run("stack", "up", "--timeout-scale=3").partition("In your shell")[2]
    commands = [line for line in re.findall(r"^  (\S.*)$", printed, re.MULTILINE) if not line.startswith("pytest ")]
    programs = [command.split()[0] for command in commands if "=" not in command.split()[0]]
    assert programs == ["export"] * programs.count("export") + [*["kubectl"] * 3, "curl", "vault-issuer"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{shell.environment['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)],
        env=shell.environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "vault-approle" in done.stdout, "the issuers are listed"
    assert '"approle/"' in done.stdout, "so are Vault's auth methods"
    assert shell.states() == []


def test_two_dev_stacks_need_two_names(shell: Shell) -> None:
    bare = shell.up("--implementation=none")
    assert bare["issuers"] == []
    shell.run("stack", "up", "--implementation=none", status=2)  # the name is in use
    shell.up("--implementation=none", "--name=other")
    shell.run("stack", "down", status=2)  # ambiguous name
    shell.run("stack", "down", "other")
    assert shell.states() == ["up"]


def test_killed_stack_up_leaves_nothing(shell: Shell) -> None:
    up = subprocess.Popen(shell.command("stack", "up"), env=shell.environment, stdout=subprocess.DEVNULL)
    directory = poll(lambda: next(shell.temporary.glob("vault-issuer-*/logs/kube-apiserver.log"), None), timeout=120)
    assert directory is not None
    up.kill()
    up.wait()
    assert poll(lambda: None if list(shell.temporary.iterdir()) else True, timeout=60)
    assert poll(lambda: None if processes_of(shell.temporary) else True, timeout=60), processes_of(shell.temporary)


def test_dev_stack_with_a_killed_supervisor_is_removed(shell: Shell) -> None:
    dev_stack = shell.up("--implementation=sample-controller")
    directory = Path(dev_stack["directory"])
    os.kill(supervisor_of(directory), signal.SIGKILL)
    assert poll(lambda: True if shell.states() == ["orphan"] else None, timeout=60)
    assert "orphan" in shell.run("stack", "down")
    assert processes_of(directory) == []
    assert list(shell.temporary.iterdir()) == []


def test_dev_stack_of_a_controller_that_trusts_its_system_trust_store(shell: Shell) -> None:
    """Its issuer objects have no field for the CA of Vault."""
    file = Path(__file__).parents[1] / "mutation/variants/system-trust-store.toml"
    dev_stack = shell.up("--implementation", str(file))
    assert dev_stack["left_out"] == {}
    assert {(issuer["feature"], issuer["ready"]) for issuer in dev_stack["issuers"]} == {
        (feature, "True") for feature in ("token", "approle", "kubernetes-static", "kubernetes-secretless")
    }
