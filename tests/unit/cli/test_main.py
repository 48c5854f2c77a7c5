"""The command's exit statuses and output streams."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vault_issuer import __version__
from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.cli.progress import Progress
from pytest_vault_issuer.errors import ImplementationError
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.toolchain import BINARIES, COMPONENTS, Toolchain


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VAULT_ISSUER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, str]]:
    assert main(["requirements", "--format", "json", *options]) == 0
    entries: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return entries


@pytest.mark.parametrize("words", [["init", "--directory=--"], ["stack", "up", "--name=--"], ["judge", "--report=--"]])
def test_two_dashes_are_no_value(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code in (2, 4)
    assert f"argument {words[-1][:-3]}: expected one argument" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"vault-issuer {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["toolchain"], ["toolchain", "build", "--nonsense"]])
def test_wrong_usage_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: vault-issuer" in capsys.readouterr().err


def test_status_of_an_empty_cache(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toolchain", "status", "--format", "json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["cache"] == str(cache)
    assert {name for component in status["components"] for name in component["binaries"]} == set(BINARIES)
    assert not any(component["built"] for component in status["components"])
    assert main(["toolchain", "status"]) == 0
    assert capsys.readouterr().out.count(": not there\n") == len(COMPONENTS)
    assert not cache.exists(), "looking makes nothing"


@pytest.mark.usefixtures("cache")
def test_status_for_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toolchain", "status", "--format", "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| component | version | default | state | programs |"
    assert len(lines) == 2 + len(COMPONENTS)


SCRIPT = "from pytest_vault_issuer.cli.main import run; run()"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([sys.executable, "-c", SCRIPT, "requirements"], stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lost_output_keeps_the_exit_status(unbuffered: str) -> None:
    """What a script decides by must not depend on `| head -1`."""
    problem = "from pytest_vault_issuer.cli import main; main.main = lambda: print('no') or 1; main.run()"
    ours, theirs = os.pipe()
    os.close(ours)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run([sys.executable, "-c", problem], stdout=theirs, stderr=subprocess.PIPE, env=environment)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors")
def test_closed_standard_streams_change_no_exit_status() -> None:
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" requirements <&- >&- 2>&-', sys.executable, SCRIPT])
    assert done.returncode == 0


def test_progress_that_cannot_be_written_does_not_end_the_work() -> None:
    """As the standard error of `vault-issuer stack up 2>&1 | head -1`."""

    class Lost(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Progress(Lost()) as progress:
        progress("a line")


def test_clean_of_nothing(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toolchain", "clean"]) == 0
    assert capsys.readouterr().out == f"0 MB freed in {cache}\n"


@pytest.mark.usefixtures("cache")
def test_an_unknown_component_is_an_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toolchain", "build", "valt"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vault-issuer: there is no component 'valt'\n")
    assert "did you mean vault?" in captured.err


@pytest.mark.usefixtures("cache")
def test_a_full_disk_ends_the_build_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("go") is None:
        pytest.skip("no Go on the PATH")
    monkeypatch.delenv("VAULT_ISSUER_GO", raising=False)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    assert main(["toolchain", "build"]) == 2
    error = capsys.readouterr().err
    assert "1 MB of free disk" in error
    assert "hint: " in error


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(self: Toolchain, *_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Toolchain, "build", interrupted)
    assert main(["toolchain", "build"]) == 130
    assert capsys.readouterr().err == "vault-issuer: interrupted\n"


def test_ctrl_c_during_the_imports_is_one_line(tmp_path: Path) -> None:
    """The first import of a command interrupts it."""
    interrupt = (
        "import sys, os, signal\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'pytest_vault_issuer.cli.doctor': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    )
    done = subprocess.run([sys.executable, "-c", interrupt + SCRIPT, "doctor"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "vault-issuer: interrupted\n")


def test_errors_of_the_suite_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Toolchain) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Toolchain, "status", broken)
    with pytest.raises(ZeroDivisionError):
        main(["toolchain", "status"])


def test_text_of_others_in_an_error_is_shown_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Toolchain) -> None:
        raise ImplementationError("it said \x1b]52;c;ZXZpbA==\x07\n::error::x")

    monkeypatch.setattr(Toolchain, "status", broken)
    assert main(["toolchain", "status"]) == 2
    assert capsys.readouterr().err == "vault-issuer: it said \\x1b]52;c;ZXZpbA==\\x07\n\\x3a:error::x\n"


COMMANDS_THAT_LOOK = [["toolchain", "status"], ["toolchain", "build"], ["toolchain", "clean"], ["doctor"]]


@pytest.mark.parametrize("arguments", COMMANDS_THAT_LOOK, ids=" ".join)
def test_user_without_a_home_gets_an_error(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("VAULT_ISSUER_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("vault-issuer: the user's cache directory is unknown")
    assert "set HOME, or set VAULT_ISSUER_CACHE to a directory" in error


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a directory that even root cannot write")
@pytest.mark.parametrize("cache", ["/sys/kernel", "/sys/kernel/vault-issuer", "/dev/null/vault-issuer"])
def test_a_cache_that_cannot_be_written_is_an_error_with_a_hint(
    cache: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAULT_ISSUER_CACHE", cache)
    assert main(["toolchain", "build"]) == 2
    error = capsys.readouterr().err
    assert cache in error
    assert "VAULT_ISSUER_CACHE" in error


def test_a_file_that_fails_is_an_error_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Toolchain) -> None:
        Path("/dev/null/x").read_text()

    monkeypatch.setattr(Toolchain, "status", broken)
    assert main(["toolchain", "status"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("vault-issuer: toolchain: Not a directory: /dev/null/x\n  hint: ")


def test_all_requirements_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert [entry["id"] for entry in listed(capsys)] == Catalogue.load().ids


def test_requirements_are_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = listed(capsys, "--area", "SIGN", "--area", "TLS", "--level", "MUST", "--profile", "core")
    assert {entry["area"] for entry in chosen} == {"SIGN", "TLS"}
    assert {entry["level"] for entry in chosen} == {"MUST"}
    assert {entry["profile"] for entry in chosen} == {"core"}


def test_an_unknown_area_is_an_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["requirements", "--area", "SIGNS"]) == 2
    assert "did you mean SIGN?" in capsys.readouterr().err


def test_requirements_for_people_and_for_pages(capsys: pytest.CaptureFixture[str]) -> None:
    first = Catalogue.load().requirements[0]
    assert main(["requirements"]) == 0
    assert first.statement in capsys.readouterr().out
    assert main(["requirements", "--format", "markdown"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[2].startswith(f"| {first.id} | {first.level} | {first.statement}")
    assert len(rows) == 2 + len(Catalogue.load().requirements)
