"""Each process that can find the disk full reports it at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Suite
from tests.support import small_disk


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a disk with a size, such as ``64k``."""
    if not small_disk.can_be_mounted():
        pytest.skip("not run: only root on Linux can mount a small disk")
    with small_disk.mounted(request.param) as place:
        yield place


@pytest.mark.parametrize(
    ("disk", "who"),
    [("64k", "cannot be written: No space left on device"), ("600k", "etcd ended at once")],
    indirect=["disk"],
    ids=["a file of ours", "etcd"],
)
def test_full_disk_is_reported_at_once(suite: Suite, disk: Path, who: str) -> None:
    run = suite.run("--vault-issuer=cert-manager", "--vault-issuer-select=VI-SIGN-001", env={"TMPDIR": str(disk)})
    assert run.status == 3, run.output
    assert who in run.output
    assert "the disk is full: free some space" in run.output
    assert list(disk.iterdir()) == []
