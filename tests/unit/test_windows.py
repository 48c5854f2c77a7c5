"""The plugin on Windows: the suite does not run there, and importing it must not break other people's pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: What Python has on Linux and macOS only, hidden from the plugin as on Windows.
WINDOWS = """
import ctypes, os, signal, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def no_library(name, *arguments, **options):
    if name is None:
        raise TypeError("LoadLibrary() argument 1 must be str, not None")
    return library(name, *arguments, **options)

import pytest
import filelock, hvac, kubernetes, requests, xdist  # those of others are as they are there
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
library, ctypes.CDLL = ctypes.CDLL, no_library
for name in ("getuid", "geteuid", "getpgid", "killpg", "fork", "setsid", "register_at_fork", "sched_getaffinity"):
    delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGQUIT", "SIGCHLD", "SIGSTOP", "SIGCONT", "SIGALRM"):
    delattr(signal, name)
platform, sys.platform = sys.platform, "win32"
"""


def test_other_tests_run_without_posix(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text("def test_it():\n    assert True\n")
    script = (
        f"{WINDOWS}\nimport pytest_vault_issuer.plugin\n"
        "sys.platform = platform  # pytest itself is that of this system\n"
        "assert not hasattr(pytest_vault_issuer.judge.schedule, 'fcntl')\n"
        "raise SystemExit(pytest.main(['-q', '-p', 'no:cacheprovider']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
