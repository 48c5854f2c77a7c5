"""`vault-issuer stack`: its output, selection and errors. tests/e2e tests real stacks."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vault_issuer.cli import stack
from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.devstack import DevStack, IssuerObject, load
from pytest_vault_issuer.devstack.state import FILE
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.leftovers import Removed
from pytest_vault_issuer.stack.kind import cleanup
from pytest_vault_issuer.supervisor.discovery import FoundSession
from pytest_vault_issuer.supervisor.run_directory import RunDirectory

TOKEN = "hvs.secret"


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, short_directory: Path) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(short_directory))
    return short_directory


@pytest.fixture
def kept(temporary: Path) -> Iterator[Callable[[str], DevStack]]:
    """Create kept run directories, each with a process and the file of a dev stack."""
    made = []

    def make(name: str) -> DevStack:
        run = RunDirectory(temporary / f"vault-issuer-{len(made):012x}", os.getpid())
        run.open()
        made.append(run)
        run.spawn("implementation", ["sleep", "1000"])
        dev_stack = DevStack(
            name=name,
            directory=str(run.path),
            implementation="my-issuer 1.0",
            approves=True,
            components={"vault": "1.21.0"},
            started="2026-01-01T00:00:00+00:00",
            vault_addr="https://127.0.0.1:8200",
            vault_ca=str(run.path / "ca.pem"),
            vault_token_file=str(run.write("vault token", TOKEN)),
            vault_header_file=str(run.write("vault header", f"X-Vault-Token: {TOKEN}")),
            kubeconfig=str(run.path / "kubeconfig"),
            kubectl="/some where/bin",
            namespace="dev-stack",
            pki_sign_path="pki/sign/role",
            sample=str(run.path / "certificate.yaml"),
            issuers=[IssuerObject("Issuer", "vault-token", "dev-stack", "token", "True", "verified")],
            left_out={"aws": "no local STS"},
        )
        run.write(FILE, dev_stack.to_json())
        run.keep()
        return dev_stack

    yield make
    for run in made:
        if run.exists:
            run.close()


Make = Callable[[str], DevStack]


def test_dev_stack_is_read_as_written(kept: Make) -> None:
    dev_stack = kept("one")
    assert load(Path(dev_stack.directory)) == dev_stack


def test_exports_are_shell(kept: Make) -> None:
    dev_stack = kept("one")
    script = "\n".join([*dev_stack.exports, 'printf "%s\\n" "$VAULT_ADDR" "$VAULT_TOKEN" "$KUBECONFIG" "$PATH"'])
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.stdout.splitlines() == [
        dev_stack.vault_addr,
        TOKEN,
        dev_stack.kubeconfig,
        f"{os.environ['PATH']}:/some where/bin",
    ]


def test_env_prints_the_chosen_stack(kept: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "env"]) == 2
    assert "vault-issuer stack up" in capsys.readouterr().err
    one = kept("one")
    assert main(["stack", "env"]) == 0
    assert capsys.readouterr().out.splitlines() == one.exports
    two = kept("two")
    assert main(["stack", "env"]) == 2
    assert "name one of: one, two" in capsys.readouterr().err
    for name in ("two", two.directory):
        assert main(["stack", "env", name]) == 0
        assert capsys.readouterr().out.splitlines() == two.exports
    assert main(["stack", "env", "three"]) == 2
    assert "no stack named three is up" in capsys.readouterr().err


def test_status_lists_stacks_and_orphans(kept: Make, temporary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "status"]) == 0
    assert capsys.readouterr().out == "no stack is up; start one: vault-issuer stack up\n"
    dev_stack = kept("one")
    orphan = temporary / "vault-issuer-ffffffffffff"
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    assert main(["stack", "status"]) == 0
    printed = capsys.readouterr().out
    assert f"one   up      my-issuer 1.0, since 2026-01-01T00:00:00+00:00  {dev_stack.directory}" in printed
    assert "orphan  0 processes" in printed
    assert main(["stack", "status", "--format", "json"]) == 0
    listed = {entry["state"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["up"]["dev-stack"]["name"] == "one"
    assert listed["up"]["processes"] == {"implementation": None}
    assert main(["stack", "status", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("| name | state | what | directory |\n|---|---|---|---|\n")


def test_status_shows_ended_and_paused_controllers(kept: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDirectory(Path(kept("one").directory), 0)
    run.pause("implementation", os.getpid())
    main(["stack", "status"])
    assert "paused for a joined session" in capsys.readouterr().out
    run.resume("implementation", os.getpid())
    run.stop("implementation")
    main(["stack", "status"])
    assert "up (implementation ended)" in capsys.readouterr().out


def test_down_removes_one_stack_and_orphans(kept: Make, temporary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = kept("one"), kept("two")
    orphan = temporary / "vault-issuer-ffffffffffff"
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    (temporary / "vault-issuer-notes").mkdir()
    assert main(["stack", "down"]) == 2
    assert orphan.exists(), "nothing is done where it is not clear what"
    assert main(["stack", "down", "one"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "removed one (up)",
        "  processes: 1 (implementation)",
        f"  directories: 1 ({one.directory})",
        f"removed {orphan.name} (orphan)",
        f"  directories: 1 ({orphan})",
    ]
    assert {path.name for path in temporary.iterdir()} == {Path(two.directory).name, "vault-issuer-notes"}
    assert main(["stack", "down", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "directory": two.directory,
            "name": "two",
            "state": "up",
            "containers": [],
            "removed": {"processes": ["implementation"], "directories": [two.directory]},
            "kept": {},
        }
    ]
    assert main(["stack", "down"]) == 0
    assert capsys.readouterr().out == "no stack is up, and there are no orphaned resources\n"


def test_down_removes_all_stacks(kept: Make, temporary: Path) -> None:
    kept("one")
    kept("two")
    assert main(["stack", "down", "one", "--all"]) == 2
    assert main(["stack", "down", "--all"]) == 0
    assert list(temporary.iterdir()) == []


def test_down_removes_the_other_stacks_if_one_fails(
    kept: Make, temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = kept("one")
    kept("two")
    RunDirectory(Path(one.directory), os.getpid()).at_end(["sh", "-c", "echo this is protected >&2; exit 1"])
    assert main(["stack", "down", "--all"]) == 2
    printed = capsys.readouterr()
    assert "this is protected" in printed.err
    assert "removed two (up)" in printed.out
    assert "removed one" not in printed.out
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [ConfigurationError("containers need docker, which is not installed"), PermissionError(13, "not permitted")],
    ids=["no client of the engine", "no permission"],
)
def test_down_removes_the_other_stacks_whatever_error_one_has(
    kept: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    one = kept("one")
    kept("two")
    remove = cleanup.remove

    def refuse(session: FoundSession) -> Removed:
        if str(session.path) == one.directory:
            raise error
        return remove(session)

    monkeypatch.setattr(cleanup, "remove", refuse)
    assert main(["stack", "down", "--all"]) == 2
    printed = capsys.readouterr()
    assert "not installed" in printed.err or "not permitted" in printed.err
    assert "removed two (up)" in printed.out


def test_down_leaves_a_running_session_alone(temporary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDirectory(temporary / "vault-issuer-000000000000", os.getpid())
    run.open()
    try:
        assert main(["stack", "down", str(run.path)]) == 2
        assert f"of process {os.getpid()}" in capsys.readouterr().err
        assert main(["stack", "down", "--all"]) == 0
        assert run.exists
        main(["stack", "status"])
        assert f"under way  of process {os.getpid()}" in capsys.readouterr().out
    finally:
        run.close()


def test_up_refuses_a_taken_or_invalid_name(kept: Make, capsys: pytest.CaptureFixture[str]) -> None:
    kept("one")
    assert main(["stack", "up", "--name", "one"]) == 2
    assert "is up already" in capsys.readouterr().err
    assert main(["stack", "up", "--name", "../x"]) == 2
    assert "is not a valid name" in capsys.readouterr().err


def test_up_refuses_an_empty_implementation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "up", "--implementation="]) == 2
    assert "--implementation is empty" in capsys.readouterr().err


def test_up_that_fails_leaves_nothing(temporary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "up"]) == 2  # there is no Go to build anything
    assert "hint: " in capsys.readouterr().err
    assert list(temporary.iterdir()) == []
    assert main(["stack", "up", "--implementation", "cert-manger"]) == 2
    assert "no such implementation" in capsys.readouterr().err


def test_up_prints_next_steps_without_credentials(kept: Make) -> None:
    dev_stack = kept("one")
    printed = "\n".join(stack._up_pretty(dev_stack))
    assert TOKEN not in printed
    (curl,) = [line for line in printed.splitlines() if "curl" in line]
    assert "VAULT_TOKEN" not in curl, "every user of the machine sees the arguments of a command"
    assert f"@{dev_stack.vault_header_file}" in shlex.split(curl)
    for line in dev_stack.exports:
        assert line in printed
    assert "Issuer  dev-stack  vault-token  True" in printed
    assert "left out: aws, no local STS" in printed
    assert f"--vault-issuer-join={dev_stack.directory}" in printed
    assert "vault-issuer stack down one" in printed
    page = "\n".join(stack._up_markdown(dev_stack))
    assert "| Issuer | dev-stack | vault-token | True | verified |" in page
    bare = "\n".join(stack._up_pretty(replace(dev_stack, name="dev-stack", implementation="", issuers=[], sample="")))
    assert "no controller" in bare
    assert "pauses" not in bare
    assert shlex.split(bare.splitlines()[-2]) == ["vault-issuer", "stack", "down"]
