"""A full disk is said to be one, at once, whoever meets it first."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Suite


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of a size, such as ``64k``."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("not run: only root on Linux can mount a small disk")
    # Not below tmp_path: the path of a socket must be short.
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(
    ("disk", "who"),
    [("64k", "cannot be written: No space left on device"), ("600k", "etcd ended at once")],
    indirect=["disk"],
    ids=["a file of ours", "etcd"],
)
def test_a_full_disk_is_said_at_once(suite: Suite, disk: Path, who: str) -> None:
    run = suite.run("--vault-issuer=cert-manager", "--vault-issuer-select=VI-SIGN-001", env={"TMPDIR": str(disk)})
    assert run.status == 3, run.output
    assert who in run.output
    assert "the disk is full: free some space" in run.output
    assert list(disk.iterdir()) == []
