"""`vault-issuer bench` on real components."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import LIMIT


def test_bench_compares_two_implementations(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from pytest_vault_issuer.cli.main import run; run()", "bench", "cert-manager"]
    options = [
        "sample-controller",
        "--issuers=5",
        "--requests=20",
        "--concurrency=4",
        "--timeout-scale=3",
        "--output=out",
    ]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "out/bench.json").read_text())
    assert (tmp_path / "out/bench.svg").stat().st_size > 0
    assert [result["implementation"].split()[0] for result in data["results"]] == ["cert-manager", "sample-controller"]
    for result in data["results"]:
        issuers, requests = result["issuers"], result["requests"]
        assert (issuers["count"], requests["count"]) == (5, 20)
        # A controller may request a signature again, for example if a conflict prevents a status update.
        assert requests["vault_requests"]["sign"] >= 20, "a signature each"
        assert issuers["vault_requests"]["health"] >= 5
        assert 0 < requests["p50_s"] <= requests["max_s"]
        assert requests["per_second"] > 0
    assert data["comparison"][0]["against"].startswith("cert-manager")
