"""A failing session prints and writes no secret."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.support.reader import user_environment

TEST = """
from pathlib import Path

from pytest_vault_issuer import requirement


@requirement("VI-TOKEN-001")
def test_failing_test_with_a_token(vault_issuer_sandbox):
    auth = vault_issuer_sandbox.approle("Issuer")
    issuer = vault_issuer_sandbox.ready_issuer("Issuer", auth)
    vault_issuer_sandbox.issued(issuer)
    credential = auth.credential
    tokens = [exchange.token for exchange in vault_issuer_sandbox.proxy.exchanges if exchange.token]
    Path("secrets.txt").write_text("\\n".join([credential, *tokens]))
    print("printed:", credential)
    assert credential == "something else", f"the credential is {credential}, the tokens {tokens}"
"""


def test_a_failure_shows_evidence_without_secrets(suite: Any, shared: str) -> None:
    suite.write("test_leaky.py", TEST)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_leaky.py", "--showlocals"]
    options = ["--vault-issuer=cert-manager", shared, "--vault-issuer-report=report", "--junit-xml=junit.xml"]
    run = subprocess.run(
        [*command, *options], cwd=suite.directory, env=user_environment(), capture_output=True, text=True
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    secrets = (suite.directory / "secrets.txt").read_text().split()
    assert len(secrets) >= 3
    written = [path for path in (suite.directory / "report").rglob("*") if path.is_file()]
    names = {path.name for path in written}
    assert {"report.json", "report.jsonl", "report.html", "report.md", "report.yaml", "evidence.json"} <= names
    files = [*written, suite.directory / "junit.xml"]
    everything = "".join([run.stdout, run.stderr, *(path.read_text() for path in files)])
    assert [secret for secret in secrets if secret in everything] == []
    for shown in ("requests to Vault", "/login", "issuers and requests", "Ready=True", "<secret "):
        assert shown in run.stdout, f"{shown!r} is part of the evidence"
