"""Runs pytest sessions in forks of one process that has imported the suite, so that each session starts seconds
sooner.

``python -m mutation.forks`` reads orders from its standard input and answers on its standard output, one JSON object
per line. :class:`Forks` is its client.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_vault_issuer.requirements.catalogue import SUITE
from pytest_vault_issuer.requirements.features import PROFILES

#: A command that imports everything that a session needs: the modules of all profiles.
COLLECT = [
    *("--pyargs", SUITE, "--vault-issuer=sample-controller", "--collect-only", "-qq", "-p", "no:cacheprovider"),
    *(f"--vault-issuer-profile={profile}" for profile in PROFILES),
]
#: Seconds for a session to end after a request to stop.
GRACE = 60
#: The status of a session that exceeded its limit.
EXPIRED = -1


class Forks:
    """A process that has imported the suite, and whose forks are sessions.

    :param environment: of the process.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", f"{__package__.rpartition('.')[2]}.forks"]
        self._process = subprocess.Popen(
            command,
            cwd=tempfile.gettempdir(),  # without the configuration of this repository
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: list[str], directory: Path, environment: dict[str, str], limit: float) -> str:
        """Run a session and return its output.

        :param directory: working directory of the session.
        :param environment: variables beside those of the process.
        :param limit: seconds after which the session is stopped.
        :raises subprocess.TimeoutExpired: if the session exceeds the limit.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"arguments": arguments, "directory": str(directory), "environment": environment, "limit": limit}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        output = _output(directory)
        assert answer, f"the process whose forks are sessions has ended\n{output}"
        if json.loads(answer)["status"] == EXPIRED:
            raise subprocess.TimeoutExpired(arguments, limit, output)
        return output

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _log(directory: Path) -> Path:
    return directory / "output"


def _output(directory: Path) -> str:
    with contextlib.suppress(OSError):
        return _log(directory).read_text(errors="replace")
    return ""


def _run(order: dict[str, Any]) -> int:
    """Run one session in a fork and return its exit status, or EXPIRED."""
    child = os.fork()
    if child == 0:
        _be_session(order)
    deadline = time.monotonic() + order["limit"]
    stopped = False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return EXPIRED if stopped else os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL if stopped else signal.SIGTERM)
            stopped, deadline = True, time.monotonic() + GRACE
        time.sleep(0.05)


def _be_session(order: dict[str, Any]) -> NoReturn:
    status = 1
    try:
        log = os.open(_log(Path(order["directory"])), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(order["directory"])
        os.environ.update(order["environment"])
        status = int(pytest.main(order["arguments"]))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def serve() -> None:
    """Import the suite, then run one session after the other."""
    with contextlib.redirect_stdout(io.StringIO()):
        status = pytest.main(COLLECT)
    assert status == pytest.ExitCode.OK, f"cannot collect the suite: {status}"
    gc.freeze()  # so that forks share the memory of imported modules
    for line in sys.stdin:
        print(json.dumps({"status": _run(json.loads(line))}), flush=True)


if __name__ == "__main__":
    serve()
