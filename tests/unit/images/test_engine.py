"""The engine that `tools/images` starts is isolated from other engines and from the machine's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from images import engine as engines
from images.builder import Builder
from images.engine import Engine
from images.recipes import RECIPES

from pytest_vault_issuer.errors import ToolchainError


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def engine(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(engines, "RUN", tmp_path / "run")
    (tmp_path / "run").mkdir()
    return Engine(tmp_path / "data", said.append)


@pytest.fixture
def capabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make the kernel report these capabilities of a process."""

    def bounding(those: int) -> None:
        read = Path.read_text
        status = f"Name:\tpython\nCapEff:\t0000000000000000\nCapBnd:\t{those:016x}\nCapAmb:\t0000000000000000\n"

        def answer(path: Path, *arguments: str, **options: str) -> str:
            return status if path == Path("/proc/self/status") else read(path, *arguments, **options)

        monkeypatch.setattr(Path, "read_text", answer)

    return bounding


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands that would start a daemon; run a program instead that ends at once."""
    commands: list[list[str]] = []
    popen = subprocess.Popen

    def start(command: list[str], **options: object) -> object:
        if command[0] == "dockerd":
            commands.append(command)
            command = ["false"]
        return popen(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(engines.subprocess, "Popen", start)
    return commands


ALL = (1 << 41) - 1
WITHOUT = ALL & ~(1 << 24)


# -- the runtime ----------------------------------------------------------------------------------------------


def test_default_runtime_is_used_with_the_capability(
    engine: Engine, capabilities: Callable[[int], None], said: list[str], tmp_path: Path
) -> None:
    capabilities(ALL)
    assert engine._runtime() == {}
    assert list((tmp_path / "run").iterdir()) == []
    assert said == []


def test_other_runtime_is_used_without_the_capability(
    engine: Engine, capabilities: Callable[[int], None], said: list[str], tmp_path: Path
) -> None:
    capabilities(WITHOUT)
    config = engine._runtime()
    wrapper = tmp_path / "run" / "runc-without-sys-resource"
    assert config == {"runtimes": {"vault-issuer": {"path": str(wrapper)}}, "default-runtime": "vault-issuer"}
    assert "CAP_SYS_RESOURCE" in said[0], "it is said why"
    shown = subprocess.run([wrapper, "state"], capture_output=True, text=True, env={"PATH": "/nowhere"})
    assert "runc" in shown.stderr, "it runs, and becomes runc, which is not there"
    assert os.access(wrapper, os.X_OK)


# -- the daemon -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [ALL, WITHOUT], ids=["with the capability", "without"])
def test_the_daemon_has_places_of_its_own(
    engine: Engine, capabilities: Callable[[int], None], started: list[list[str]], tmp_path: Path, there: int
) -> None:
    capabilities(there)
    with pytest.raises(ToolchainError, match="dockerd ended at once"):
        engine._start()
    ((program, *arguments),) = started
    assert program == "dockerd"
    options = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    run, data = tmp_path / "run", tmp_path / "data"
    assert options == {
        "host": f"unix://{run}/docker.sock",
        "config-file": str(run / "daemon.json"),
        "data-root": str(data / "root"),
        "exec-root": str(run / "exec"),
        "pidfile": str(run / "dockerd.pid"),
        "containerd-namespace": "vault-issuer",
        "containerd-plugins-namespace": "vault-issuer-plugins",
    }
    assert ("default-runtime" in json.loads((run / "daemon.json").read_text())) is (there == WITHOUT)


def test_nothing_about_the_machine_is_written(
    engine: Engine, capabilities: Callable[[int], None], started: list[list[str]], tmp_path: Path
) -> None:
    capabilities(WITHOUT)
    opened: list[str] = []
    watching = True

    def note(event: str, arguments: tuple[object, ...]) -> None:
        # An audit hook reports every file that is opened, created, moved or removed. It cannot be removed.
        if watching and (
            (
                event == "open"
                and isinstance(arguments[2], int)
                and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            )
            or event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "os.link", "os.chmod", "os.rmdir")
        ):
            opened.append(str(arguments[0]))

    sys.addaudithook(note)
    with pytest.raises(ToolchainError):
        engine._start()
    watching = False
    outside = [path for path in opened if not path.startswith((str(tmp_path), "/dev/null", "/dev/fd"))]
    assert [path for path in outside if not path.isdigit()] == []
    assert any(path.endswith("daemon.json") for path in opened)


def test_engine_that_was_killed_is_started_again_to_end_its_containers(
    engine: Engine, capabilities: Callable[[int], None], started: list[list[str]], tmp_path: Path
) -> None:
    capabilities(ALL)
    run = tmp_path / "run"
    (run / "network.json").write_text("{}")
    (run / "dockerd.pid").write_text(f"{os.getpid()}\n")  # the number is another process's now
    with pytest.raises(ToolchainError, match="dockerd ended at once"):
        engine.stop()
    assert len(started) == 1
    assert not (run / "dockerd.pid").exists(), "dockerd refuses to start beside it"
    assert (run / "network.json").read_text() == "{}", "the next stop needs it"


def test_engine_that_was_never_started_is_not_started_to_be_stopped(engine: Engine, started: list[list[str]]) -> None:
    assert not engine.stop()
    assert started == []


# -- what it says ---------------------------------------------------------------------------------------------


#: Replaces docker's client: an engine that answers and has no image.
CLIENT = """#!/bin/sh
case "$1" in
  version) echo 20.10 ;;
  load) ;;
  *) exit 1 ;;
esac
"""


def test_steps_are_printed(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "docker"
    client.write_text(CLIENT)
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    builder = Builder(tmp_path / "cache", said.append)
    recipe = RECIPES["busybox"]
    made = builder.store.place("busybox", builder._key(recipe))
    made.mkdir(parents=True)
    docker = builder.engine.ensure()
    assert builder.load("busybox", docker) == recipe.image
    assert said == ["engine: the default one answers", f"busybox: loading {recipe.image} into the engine"]
