"""The engine that `tools/images` starts leaves the machine as it was, also if it was killed.

It runs in namespaces of its own: no interface, firewall rule, mount or process of the machine is touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from images.builder import Builder
from images.recipes import RECIPES

from pytest_vault_issuer.toolchain import to_stderr
from tests.support import missing
from tests.support.containers import REQUIRED

#: Seconds: the engine starts three times.
LIMIT = 400
TOOLS = Path(__file__).parents[2] / "tools"
#: Arguments: a directory, the archive and the name of an image, and whether the engine is stopped or killed.
TRIES = """
import os, signal, subprocess, sys
from pathlib import Path
from images import engine, network
from images.docker import Docker

directory, archive, image, ending = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
engine.RUN = directory / "run"
ours = engine.Engine(directory / "data", print)

def state():
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(directory) in line]
    running = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and named(entry)]
    rules = [line for line in subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
             .splitlines() if not line.startswith(("#", "*", "COMMIT", ":")) or line.startswith(":DOCKER")]
    return {"links": network.links(), "rules": rules, "mounts": mounts, "processes": running}

def named(entry):
    try:
        words = (entry / "cmdline").read_bytes()
    except OSError:
        return False
    return str(directory).encode() in words and entry.name != str(os.getpid()) or b"sleep\\0001234" in words

def docker(*words):
    environment = {**os.environ, "DOCKER_HOST": ours.docker.address}
    subprocess.run(["docker", *words], env=environment, check=True, stdout=subprocess.DEVNULL)

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
before = state()
ours._start()
docker("load", "--input", archive)
docker("network", "create", "one")
docker("run", "--detach", "--network=one", image, "sleep", "1234")
during = state()
assert len(during["links"]) == 4 and len(during["processes"]) >= 3 and during["mounts"], during
if ending == "killed":
    number = int((engine.RUN / "dockerd.pid").read_text())
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
assert ours.stop()
after = state()
assert after == before, (before, after)
assert not engine.RUN.exists()
assert not ours.stop()
print("AS BEFORE")
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short path, because that of a socket must fit into 100 bytes."""
    path = Path(tempfile.mkdtemp(prefix="vi-"))
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_engine_leaves_the_machine_as_it_was(directory: Path, ending: str) -> None:
    if os.getuid() != 0 or shutil.which("dockerd") is None:
        missing.not_run("not run: only root can start an engine, and dockerd must be installed", REQUIRED)
    archive = Builder(None, to_stderr).archive("busybox")
    isolated = [
        "unshare",
        "--net",
        "--mount",
        "--propagation=private",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]
    script = f'{sys.executable} -c "$0" "$@"; exit $?'  # a shell as the first process, which reaps orphans
    done = subprocess.run(
        [*isolated, "bash", "-c", script, TRIES, str(directory), str(archive), RECIPES["busybox"].image, ending],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TOOLS, TOOLS.parent)))},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert "AS BEFORE" in done.stdout, done.stdout + done.stderr
