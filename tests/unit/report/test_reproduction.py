"""What a report states for repeating its session: options from all sources, files, images; no secrets."""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.options import OPTIONS, TOKEN_VARIABLE, Settings
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report import reproduction
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.toolchain import Toolchain
from tests.support.sample_report import ALL

SAMPLE_CONTROLLER = load_implementation("sample-controller")


def described(settings: Settings, *, stack: Any = None, **run: Any) -> dict[str, Any]:
    return reproduction.describe(["-n", "4"], SAMPLE_CONTROLLER.with_run(**run), settings, [], Toolchain(), stack)


def containers() -> Stack:
    """Replaces a stack: only the image of its Vault matters."""
    stack = object.__new__(Stack)
    object.__setattr__(stack, "vault_image", "hashicorp/vault:1.21.0")
    return stack


def fits(part: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(json.dumps(ALL | {"reproduction": part})), json_report.schema())


def test_option_is_named_for_every_source(tmp_path: Path) -> None:
    settings = Settings.collect(
        {"vault-issuer-certify": "true", "vault-issuer-profile": ["core", "extended"]}.get,
        {"vault_issuer_kubeconfig": "kubeconfig", "vault_issuer_stack": "auto"}.get,
        {"VAULT_ISSUER_TIMEOUT_SCALE": "3", TOKEN_VARIABLE: "canary"},
        base=tmp_path,
    )
    part = described(settings)
    assert set(part["options"]) == {
        "--vault-issuer-certify",
        "--vault-issuer-profile=core",
        "--vault-issuer-profile=extended",
        f"--vault-issuer-kubeconfig={tmp_path / 'kubeconfig'}",
        "--vault-issuer-timeout-scale=3",
    }
    fits(part)


def test_default_options_are_not_named() -> None:
    part = described(Settings())
    assert part["options"] == []
    fits(part)


def test_only_options_of_this_plugin_are_named_and_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--api-key canary-addopts")
    monkeypatch.setenv("VAULT_ISSUER_STACK", "process")
    monkeypatch.setenv("VAULT_ISSUER_KUBERNETES_HOST", "https://user:canary-env@host")
    monkeypatch.setenv("UNRELATED", "canary")
    arguments = ["--pyargs", "vault_issuer_conformance", "--db-url=postgres://user:canary-url@host", "-k", "canary"]
    ours = ["--vault-issuer", "x.toml", "--vault-issuer-certify", "--vault-issuer-kubernetes-host=https://u:canary@h"]
    settings = Settings(stack="process", implementation="https://user:canary@host/x.toml")
    part = reproduction.describe(
        [*arguments, *ours, "canary/test_own.py"],
        SAMPLE_CONTROLLER.with_run(command=["controller", "--token", "canary"]),
        settings,
        [sys.executable, "--token", "canary"],
        Toolchain(),
        None,
    )
    assert "canary" not in json.dumps(part)
    assert part["command"].startswith(
        "pytest --pyargs vault_issuer_conformance --vault-issuer x.toml --vault-issuer-certify "
    )
    assert [word.partition("=")[0] for word in part["options"]] == ["--vault-issuer", "--vault-issuer-stack"]
    assert part["environment"]["VAULT_ISSUER_STACK"] == "process"
    assert part["environment"].keys() == {"VAULT_ISSUER_STACK", "VAULT_ISSUER_KUBERNETES_HOST"}
    fits(part)


def test_command_of_the_controller_has_no_path_of_this_machine() -> None:
    part = reproduction.describe(
        [], SAMPLE_CONTROLLER, Settings(), [sys.executable, "-m", "controller"], Toolchain(), None
    )["implementation"]
    assert part["command"] == SAMPLE_CONTROLLER.run.command
    assert sys.executable not in part["command"]
    assert part["program_sha256"]


def test_files_that_are_gone_do_not_prevent_the_report(tmp_path: Path) -> None:
    """At the end of a session, its program may just be built again."""
    gone = SAMPLE_CONTROLLER.with_run(manifests=[str(tmp_path / "gone.yaml")])
    part = reproduction.describe([], gone, Settings(), [str(tmp_path / "gone")], Toolchain(), None)["implementation"]
    assert (part["program_sha256"], part["manifests_sha256"]) == ("", "")


def test_no_token_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The path of the token's file is named."""
    monkeypatch.setenv(TOKEN_VARIABLE, "canary-token")
    file = tmp_path / "token"
    file.write_text("canary-token")
    part = described(Settings(vault_token_file=file))
    assert part["options"] == [f"--vault-issuer-vault-token-file={file}"]
    assert "canary" not in json.dumps(part)
    assert TOKEN_VARIABLE not in {option.env for option in OPTIONS}


def test_the_file_that_describes_the_implementation(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[implementation]")
    part = described(Settings(implementation=str(file)))
    assert (
        part["implementation"]["file_sha256"]
        == hashlib.sha256(hashlib.sha256(b"[implementation]").digest()).hexdigest()
    )
    assert described(Settings(implementation="sample-controller"))["implementation"]["file_sha256"] == ""


def test_images() -> None:
    settings = Settings(node_image="node:v1.36.3")
    part = described(settings, stack=containers(), image="mine:1.4.0", images=["other:2.0"])
    assert part["images"] == {"vault": "hashicorp/vault:1.21.0", "node": "node:v1.36.3"}
    assert (part["implementation"]["image"], part["implementation"]["images"]) == ("mine:1.4.0", ["other:2.0"])
    fits(part)
    assert described(replace(settings, node_image=""), stack=containers())["images"].keys() == {"vault"}
    assert described(settings)["images"] == {}


@pytest.mark.parametrize("place", [(), ("implementation",), ("images",), ("parts", 0)], ids=str)
def test_the_schema_knows_all_there_is(place: tuple[str | int, ...]) -> None:
    part = described(Settings())
    part["parts"] = [copy.deepcopy(part)]
    fits(part)
    inner: Any = part
    for step in place:
        inner = inner[step]
    inner["more"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        fits(part)
