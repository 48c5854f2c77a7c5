"""Additional processes of the controller: their description in the implementation file, and their logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.implementation.builtin import without_webhook
from pytest_vault_issuer.implementation.process import filled
from pytest_vault_issuer.implementation.spec import ProcessDescription, RunDescription
from pytest_vault_issuer.implementation.workloads import FileLog
from pytest_vault_issuer.toolchain import COMPONENTS

WEBHOOK = {"name": "webhook", "command": ["./webhook", "--port={webhook_port}"]}


def described(*processes: Any, **run: Any) -> Implementation:
    tables = {"implementation": {"name": "mine", "version": "1"}, "features": {"all": True}}
    return Implementation.from_mapping({**tables, "run": {"processes": list(processes), **run}}, Path("/project"))


def test_process_is_read_from_its_table() -> None:
    run = described({**WEBHOOK, "env": {"A": "b"}, "service_account": "mine/webhook"}).run
    (process,) = run.processes
    assert process == ProcessDescription("webhook", WEBHOOK["command"], {"A": "b"}, "mine/webhook")  # type: ignore[arg-type]
    assert run.uses("webhook_port")
    assert run.programs == ["./webhook"]


@pytest.mark.parametrize(
    ("process", "message"),
    [
        ({"name": "webhook"}, "command is missing"),
        ({"command": ["./webhook"]}, "name cannot be ''"),
        ({**WEBHOOK, "name": "../webhook"}, "name cannot be '../webhook'"),
        ({**WEBHOOK, "service_account": "webhook"}, "[[run.processes]] webhook service_account 'webhook'"),
        ({**WEBHOOK, "image": "x:1"}, "unknown key 'image' in [run.processes]"),
        ({**WEBHOOK, "env": {"A=B": "c"}}, "env 'A=B'"),
        ({**WEBHOOK, "command": ["./webhook", "{prot}"]}, "prot"),
        ("./webhook", "[run] processes must be a list of tables"),
    ],
    ids=["no command", "no name", "bad name", "bad account", "unknown key", "bad variable", "bad placeholder", "text"],
)
def test_mistake_in_a_process_is_named(process: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        described(process)
    assert message in caught.value.message
    assert caught.value.hint


def test_name_of_a_process_is_used_once() -> None:
    with pytest.raises(ConfigurationError, match="name is used twice"):
        described(WEBHOOK, WEBHOOK)


def test_each_use_of_free_port_is_another_port() -> None:
    run = RunDescription(command=["x", "--metrics={free_port}", "--health={free_port}"], env={"P": ":{free_port}"})
    words, env = filled(run, {})
    ports = [word.partition("=")[2] for word in words[1:]] + [env["P"].removeprefix(":")]
    assert len(set(ports)) == 3
    assert all(1024 < int(port) < 65536 for port in ports)


def test_log_is_that_of_every_process(tmp_path: Path) -> None:
    controller, webhook = tmp_path / "controller.log", tmp_path / "webhook.log"
    log = FileLog(controller, webhook)
    assert log.since(log.mark()) == ""
    controller.write_text("one\n")
    mark = log.mark()
    controller.write_text("one\ntwo\n")
    webhook.write_text("three\n")
    assert log.since(mark) == "two\nthree\n"
    assert log.since("") == "one\ntwo\nthree\n"


@pytest.mark.parametrize("release", [c.line for c in COMPONENTS if c.name == "cert-manager"])
def test_each_release_of_cert_manager_has_its_webhook(release: str) -> None:
    built_in = load_implementation(f"cert-manager@{release}")
    assert built_in.run.programs == ["cert-manager-controller", "cert-manager-webhook"]
    assert "admission" in built_in.features
    assert any(c.line == release for c in COMPONENTS if c.name == "cert-manager-webhook")


def test_cert_manager_has_no_webhook_in_a_cluster_of_others() -> None:
    bare = without_webhook(load_implementation("cert-manager"))
    assert bare.run.programs == ["cert-manager-controller"]
    assert bare.run.manifests == []
    assert "admission" not in bare.features
