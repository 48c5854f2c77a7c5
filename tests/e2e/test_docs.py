"""The sequence pictures in docs/ match the recorded requests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.reader import user_environment

DOCS = Path(__file__).parents[2] / "docs"
#: Seconds after which a session counts as broken.
LIMIT = 600


def run(directory: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env=user_environment(WIRE=str(directory)),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("implementation", "flows"),
    [("cert-manager", ["-k", "not aws"]), ("sample-controller", ["-k", "aws", "--vault-issuer-profile=extended"])],
    ids=["cert-manager", "sample-controller"],
)
def test_recordings_match_the_wire(tmp_path: Path, shared: str, implementation: str, flows: list[str]) -> None:
    run(tmp_path, str(DOCS / "wire" / "record.py"), f"--vault-issuer={implementation}", shared, *flows)
    recorded = sorted(tmp_path.glob("*.json"))
    assert recorded
    for path in recorded:
        now, before = (json.loads(file.read_text()) for file in (path, DOCS / "wire" / path.name))
        # The picture names the recorded release, and the next release may differ.
        for recording in (now, before):
            assert recording.pop("controller")
            assert recording.pop("stack")
        assert now == before, path.name
