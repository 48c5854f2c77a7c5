"""The runtime for machines without CAP_SYS_RESOURCE: runc gets a spec that does not request this capability."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from images import runtime_without_capability as runtime

SETS = ("bounding", "effective", "permitted")


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands of exec, and continue in this process."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda _, command: commands.append(command))
    return commands


def process() -> dict[str, object]:
    return {"args": ["x"], "capabilities": {name: ["CAP_CHOWN", "CAP_SYS_RESOURCE"] for name in SETS}}


@pytest.mark.parametrize(
    "option", [["--bundle", "{}"], ["--bundle={}"], ["-b", "{}"]], ids=["apart", "joined", "short"]
)
@pytest.mark.parametrize("command", ["create", "run"])
def test_a_container_is_started_without_it(
    command: str, option: list[str], tmp_path: Path, became: list[list[str]]
) -> None:
    spec = tmp_path / "config.json"
    spec.write_text(json.dumps({"process": process(), "hostname": "h"}))
    arguments = ["--root", "/r", command, *(part.format(tmp_path) for part in option), "id"]
    runtime.main(arguments)
    changed = json.loads(spec.read_text())
    assert changed["process"]["capabilities"] == {name: ["CAP_CHOWN"] for name in SETS}
    assert (changed["process"]["args"], changed["hostname"]) == (["x"], "h")
    assert became == [["runc", *arguments]]


def test_a_process_in_a_container_is_started_without_it(tmp_path: Path, became: list[list[str]]) -> None:
    spec = tmp_path / "process.json"
    spec.write_text(json.dumps(process()))
    runtime.main(["exec", "--process", str(spec), "id"])
    assert json.loads(spec.read_text())["capabilities"]["effective"] == ["CAP_CHOWN"]
    assert len(became) == 1


@pytest.mark.parametrize("command", [["state", "id"], ["delete", "--force", "id"], ["exec", "id", "true"]])
def test_other_commands_are_passed_on(command: list[str], became: list[list[str]]) -> None:
    runtime.main(command)
    assert became == [["runc", *command]]
