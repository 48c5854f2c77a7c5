"""Completion in bash, zsh and fish, each on a terminal, with the line that the help prints for it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from pytest_vault_issuer.cli.completion import SHELLS
from pytest_vault_issuer.cli.main import main
from tests.support.missing import not_run

#: If this variable is set, a missing shell is a failure.
REQUIRED = "TEST_SHELLS_REQUIRED"
#: Timeout in seconds for a shell to start and to run the typed line.
LIMIT = 60
PROMPT = "ready> "
#: The other content of each shell's startup file, before and after the line from the help.
AROUND = {
    "bash": ("", f"PS1='{PROMPT}'"),
    "zsh": ("autoload -U compinit && compinit -D", f"PS1='{PROMPT}'"),
    "fish": ("", f"function fish_prompt; echo -n '{PROMPT}'; end"),
}


def typed(shell: str, home: Path, text: str) -> str:
    """Start a shell on a terminal, type when it is ready, and return the terminal's content after the shell has ended.

    :param home: directory with the shell's startup files.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ZDOTDIR", "VAULT_ISSUER_"))}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [shell, "-i"],
        cwd=home,
        env=kept | {"HOME": str(home), "PATH": path, "TERM": "xterm", "TMPDIR": str(home)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        shown, waiting, deadline = b"", True, time.monotonic() + LIMIT
        try:
            while select.select([ours], [], [], max(deadline - time.monotonic(), 0))[0]:
                try:
                    shown += os.read(ours, 4096)
                except OSError:  # the terminal is closed
                    break
                if waiting and PROMPT.encode() in shown:
                    waiting = False
                    os.write(ours, text.encode())
            else:
                pytest.fail(f"{shell} has not left after {LIMIT} s:\n{shown.decode(errors='replace')}")
        finally:
            process.kill()
            os.close(ours)
    return shown.decode(errors="replace")


def lines_of_the_help(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Return, by shell, the startup file below the home directory and the line for it."""
    with pytest.raises(SystemExit):
        main(["completion", "--help"])
    found = re.findall(r"^ *(.*completion (\w+).*\S) +# in ~/([^\s,]+)", capsys.readouterr().out, re.MULTILINE)
    return {shell: (file, line) for line, shell, file in found}


def test_the_help_has_a_line_for_each_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(lines_of_the_help(capsys)) == sorted(SHELLS) == sorted(AROUND)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_what_is_typed(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The test runs the completed command, so that it does not have to parse the terminal's output."""
    if shutil.which(shell) is None:
        not_run(f"no shell: {shell} is not in PATH", REQUIRED)
    file, line = lines_of_the_help(capsys)[shell]
    before, after = AROUND[shell]
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(f"{before}\n{line}\n{after}\n")
    shown = typed(shell, tmp_path, "vault-issuer requi\t--level SHO\t--format=json > answer\nexit\n")
    answer = tmp_path / "answer"
    assert answer.is_file(), shown
    assert answer.read_text(), shown
    assert {entry["level"] for entry in json.loads(answer.read_text())} == {"SHOULD"}
