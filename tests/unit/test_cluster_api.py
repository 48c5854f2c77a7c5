"""What the Kubernetes client does with answers that a real API server gives seldom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from pytest_vault_issuer.cluster.api import NAMESPACES, ApiError, Cluster


@contextmanager
def answering(tmp_path: Path, *statuses: int) -> Iterator[tuple[Cluster, list[str]]]:
    """Give a client whose calls are answered by these statuses, the last one for ever, and the list of its calls."""
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(statuses[min(len(calls), len(statuses) - 1)])
            calls.append(self.path)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                    "users": [{"name": "a", "user": {}}],
                    "current-context": "a",
                }
            )
        )
        cluster = Cluster(kubeconfig)
        yield cluster, calls
        cluster.close()
        server.shutdown()


def test_a_call_that_came_too_early_is_made_again(tmp_path: Path) -> None:
    with answering(tmp_path, 429, 429, 201) as (cluster, calls):
        cluster.create(NAMESPACES, {"metadata": {"name": "a"}})
    assert len(calls) == 3


def test_a_call_is_not_made_for_ever(tmp_path: Path) -> None:
    with answering(tmp_path, 429) as (cluster, _), pytest.raises(ApiError) as raised:
        cluster.create(NAMESPACES, {"metadata": {"name": "a"}})
    assert raised.value.code == 429


def test_other_refusals_are_final(tmp_path: Path) -> None:
    with answering(tmp_path, 503, 201) as (cluster, calls), pytest.raises(ApiError) as raised:
        cluster.create(NAMESPACES, {"metadata": {"name": "a"}})
    assert raised.value.code == 503
    assert len(calls) == 1
