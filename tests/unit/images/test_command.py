"""The command of tools/images, and how it handles an engine that it did not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from images import engine as engines
from images.command import main
from images.engine import Engine
from images.node.components import _LIBRARY

from pytest_vault_issuer.toolchain.cache import VARIABLE

TOOL = Path(__file__).parents[3] / "tools" / "images"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(engines, "RUN", tmp_path)
    return Engine(tmp_path / "data", lambda _: None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_starts_as_a_directory() -> None:
    shown = subprocess.run([sys.executable, str(TOOL), "--help"], capture_output=True, text=True, check=True, cwd="/")
    assert "engine stop" in shown.stdout


@pytest.mark.parametrize("names", [["vault", "stop"], ["engine", "clean"], ["nothing-of-ours"], []], ids=str)
def test_meaningless_arguments_are_refused(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(names)
    assert "usage" in capsys.readouterr().err


def test_cleaning_removes_archives(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = cache / "images" / "vault-0123456789abcdef"
    made.mkdir(parents=True)
    (made / "image.tar").write_bytes(bytes(2 * 10**6))
    assert main(["clean", "old"]) == 0
    assert "2 MB freed" in capsys.readouterr().err
    assert not made.exists()


def test_stop_without_a_started_engine_does_nothing(engine: Engine) -> None:
    assert not engine.stop()


def test_a_process_that_got_the_number_of_an_engine_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "dockerd.pid").write_text(str(os.getpid()))
    assert not engine.stop()


def test_an_engine_is_stopped_by_its_process_file_and_waited_for(engine: Engine, tmp_path: Path) -> None:
    process_file = tmp_path / "dockerd.pid"
    # Replaces the daemon: it has the same arguments, and ends on a signal.
    command = [sys.executable, "-c", "print(flush=True); input()", f"--pidfile={process_file}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()  # during the start, the kernel shows no arguments
        process_file.write_text(str(daemon.pid))
        assert engine.stop()
        assert daemon.wait() == -signal.SIGTERM


def test_libraries_are_found_in_what_ldd_prints() -> None:
    printed = """/usr/sbin/nft:
\tlinux-vdso.so.1 (0x00007ffd0a9f2000)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f52d7c5e000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f52d7dc9000)
/usr/lib/x86_64-linux-gnu/xtables/libxt_tcp.so:
\tstatically linked
"""
    assert _LIBRARY.findall(printed) == ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
