"""A local server with TLS instead of the publishers' servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vault_issuer.toolchain import fetch
from tests.support.publisher import Publisher, serving


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """Serve a mirror of everything that a test publishes."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetch, "_CHUNK", 1)  # the bytes of an incomplete chunk are lost
    with serving(Publisher(tmp_path)) as publisher:
        monkeypatch.setenv("SSL_CERT_FILE", str(publisher.ca))
        monkeypatch.setenv("VAULT_ISSUER_MIRROR", publisher.url)
        yield publisher
