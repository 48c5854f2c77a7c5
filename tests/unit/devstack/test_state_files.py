"""State files that are empty, truncated or of another version: `stack down` still works, and joining reports a clear
error."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.devstack import load
from pytest_vault_issuer.devstack.state import FILE
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.kube.client import Kubernetes
from pytest_vault_issuer.stack.select import STATE, joined
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
from pytest_vault_issuer.toolchain import Origin
from pytest_vault_issuer.vault.client import VaultServer

STACK = asdict(
    Stack("process", "asked for", True, Kubernetes("/k", "https://k", ""), VaultServer("https://v"), {}, "token")
)
BROKEN = {
    "empty": b"",
    "cut off": json.dumps(STACK)[:-20].encode(),
    "not an object": b"[]",
    "not UTF-8": b"\xff\xfe",
    "null": b"null",
    "nested too deeply": b"[" * 100_000,
}
OTHER_VERSIONS = {
    "a field more": {**STACK, "future": 1},
    "a field less": {key: value for key, value in STACK.items() if key != "vault"},
    "another type": {**STACK, "kubernetes": "/kubeconfig"},
    "another type inside": {**STACK, "vault": {"url": 8200}},
    "another type of a field": {**STACK, "created_mounts": "approle"},
}
FILES = BROKEN | {name: json.dumps(data).encode() for name, data in OTHER_VERSIONS.items()}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_joining_a_stack_whose_file_is_broken_is_an_error_with_a_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"--vault-issuer-join={tmp_path}: stack.json is incomplete") as raised:
        joined(tmp_path)
    assert f"vault-issuer stack down {tmp_path}" in raised.value.hint


def test_a_stack_file_of_this_version_is_read(tmp_path: Path) -> None:
    (tmp_path / STATE).write_text(json.dumps(STACK))
    assert asdict(joined(tmp_path)) == STACK


def test_joined_session_knows_the_binaries_of_the_stack(tmp_path: Path) -> None:
    origin = Origin("vault", "build", "v1.21.0", "github.com/hashicorp/vault@v1.21.0", "a" * 64, True)
    (tmp_path / STATE).write_text(json.dumps({**STACK, "origins": [asdict(origin)]}))
    assert joined(tmp_path).origins == [origin]


def test_stack_file_of_a_version_without_origins_is_read(tmp_path: Path) -> None:
    (tmp_path / STATE).write_text(json.dumps({key: value for key, value in STACK.items() if key != "origins"}))
    assert joined(tmp_path).origins == []


@pytest.mark.parametrize(
    "content", [*BROKEN.values(), b'{"name": 3}', b'{"version": 9, "title": "mine"}'], ids=[*BROKEN, "number", "newer"]
)
def test_kept_stack_with_a_broken_file_is_listed_and_removed(
    content: bytes, short_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_directory))
    run = RunDirectory(short_directory / "vault-issuer-0123456789ab", os.getpid())
    run.open()
    run.write(FILE, content)
    run.keep()
    assert load(run.path) is None
    assert main(["stack", "status"]) == 0
    assert str(run.path) in capsys.readouterr().out
    assert main(["stack", "env"]) == 2
    assert main(["stack", "down", str(run.path)]) == 0
    assert not run.exists


@pytest.mark.parametrize(
    "change", [{"future": {"a": 1}}, {"issuers": [{"kind": "Issuer", "new": True}, 3]}, {"components": []}]
)
def test_a_kept_stack_of_another_version_is_used_by_its_name(
    change: dict[str, object],
    short_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_directory))
    run = RunDirectory(short_directory / "vault-issuer-0123456789ab", os.getpid())
    run.open()
    run.write(FILE, json.dumps({"name": "mine", "vault_addr": "https://127.0.0.1:8200", **change}))
    run.keep()
    assert main(["stack", "env", "mine"]) == 0
    assert "export VAULT_ADDR=https://127.0.0.1:8200" in capsys.readouterr().out
    assert main(["stack", "down", "mine"]) == 0
    assert not run.exists
