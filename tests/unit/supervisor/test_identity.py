"""The identity of a process is unique, so that only resources of ended sessions are removed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_vault_issuer.supervisor.identity import ENDED, RUNS, UNKNOWN, Identity

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def test_process_that_runs(process: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(process.pid)
    assert (identity.state, identity.is_ours, identity.is_orphaned) == (RUNS, True, False)


def test_process_that_has_ended(process: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identity.state == ENDED, "a zombie does nothing more"
    process.wait()
    assert (identity.state, identity.is_orphaned) == (ENDED, True)


def test_process_id_that_another_has_by_now(process: subprocess.Popen[bytes]) -> None:
    identity = replace(Identity.of(process.pid), start="1")
    assert identity.is_orphaned


def ended() -> Identity:
    with subprocess.Popen(["sleep", "1000"]) as process:
        identity = Identity.of(process.pid)
        process.kill()
    return identity


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start", ""),
        *((field, value) for field in ("boot", "pid_namespace") for value in ("", "other")),
        *(("pid", value) for value in ("", "1" * 5000, "-1", "\u0664" * 300, "other")),
    ],
)
def test_end_of_an_invisible_process_is_not_proved(field: str, value: str) -> None:
    identity = replace(ended(), **{field: value})
    assert (identity.state, identity.is_orphaned) == (UNKNOWN, False)


@pytest.mark.parametrize("field", ["uid", "mount_namespace", "host"])
@pytest.mark.parametrize("value", ["", "12345"])
def test_process_of_others_is_not_an_orphan(field: str, value: str) -> None:
    identity = replace(ended(), **{field: value})
    assert (identity.state, identity.is_ours, identity.is_orphaned) == (ENDED, False, False)


def test_labels() -> None:
    identity = Identity.of(os.getpid())
    assert "" not in identity.labels.values()
    assert Identity.from_labels({**identity.labels, "other": "x"}) == identity
    assert Identity.from_labels({}).state == UNKNOWN
    assert str(identity) == f"process {os.getpid()} of user {os.getuid()} on host {identity.host}"


def test_labels_of_others_cannot_speak_to_a_terminal() -> None:
    written = Identity.from_labels({"vault-issuer.test/host": "\x1b]52;c;aGk=\x07evil\r\n" + "x" * 1000})
    assert written.host.startswith("]52;c;aGk=evilx")
    assert str(written).isprintable()
    assert len(str(written)) < 400


@pytest.mark.parametrize("options", [["--pid", "--fork"], ["--pid", "--fork", "--mount-proc"]])
def test_other_pid_namespace_proves_nothing(options: list[str], process: subprocess.Popen[bytes]) -> None:
    """Also if its /proc belongs to the outer namespace, as with ``unshare --pid`` alone."""
    if os.geteuid() != 0:
        pytest.skip("not run: only root can make a PID namespace")
    code = """
import os, sys
from pytest_vault_issuer.supervisor.identity import Identity
theirs = Identity(*sys.argv[1:])
own = Identity.of(os.getpid())
print(theirs.state, theirs.is_orphaned, own.is_orphaned, *own.labels.values())
"""
    ours = list(Identity.of(process.pid).labels.values())
    done = subprocess.run(
        ["unshare", *options, sys.executable, "-c", code, *ours],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    state, orphaned, own, *inside = done.stdout.split()
    assert (state, orphaned, own) == (UNKNOWN, "False", "False")
    assert Identity(*inside).state == UNKNOWN
