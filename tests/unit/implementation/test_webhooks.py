"""Webhooks of a controller that runs as a process: they are registered by URL when they answer."""

from __future__ import annotations

import base64
import http.server
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError, ImplementationError
from pytest_vault_issuer.implementation.webhooks import WebhookServer, check_reachable, new_webhook_server
from pytest_vault_issuer.stack.local.components import free_ports
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
from pytest_vault_issuer.timeouts import Timeouts
from tests.support.publisher import serving

SERVICE = {"service": {"name": "webhook", "namespace": "mine", "path": "/validate", "port": 443}}


def registration(kind: str = "ValidatingWebhookConfiguration", **config: Any) -> dict[str, Any]:
    webhooks = [{"name": "a.example.test", "clientConfig": config or SERVICE}]
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "mine"}, "webhooks": webhooks}


def converted() -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "issuers.example.test"},
        "spec": {"conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"name": "x"}}}}},
    }


@pytest.fixture
def server(tmp_path: Path) -> WebhookServer:
    return new_webhook_server(RunDirectory(tmp_path / "run", os.getpid()), "127.0.0.1", *free_ports(1))


@pytest.mark.parametrize("kind", ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"])
def test_webhook_of_a_service_is_registered_by_url(server: WebhookServer, kind: str) -> None:
    item = registration(kind)
    (webhook,) = server.registered(item)["webhooks"]
    assert webhook["clientConfig"] == {
        "url": f"https://127.0.0.1:{server.port}/validate",
        "caBundle": base64.b64encode(server.ca_pem.encode()).decode(),
    }
    assert item == registration(kind), "the manifest itself stays as it is"


def test_conversion_webhook_is_registered_by_url(server: WebhookServer) -> None:
    conversion = server.registered(converted())["spec"]["conversion"]
    assert conversion["strategy"] == "Webhook"
    assert conversion["webhook"]["clientConfig"]["url"] == f"https://127.0.0.1:{server.port}/"


@pytest.mark.parametrize(
    "item",
    [
        registration(url="https://example.test/validate", caBundle="…"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"service": "x"}},
        {"apiVersion": "v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"}, "spec": {}},
    ],
    ids=["webhook with a URL", "ConfigMap", "definition without conversion"],
)
def test_object_without_a_service_stays_unchanged(server: WebhookServer, item: dict[str, Any]) -> None:
    assert server.registered(item) == item
    check_reachable([item])


@pytest.mark.parametrize("item", [registration(), converted()], ids=["admission", "conversion"])
def test_webhook_that_no_process_serves_is_refused_before_the_start(item: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_reachable([item])
    assert item["metadata"]["name"] in caught.value.message
    assert "{webhook_port}" in caught.value.hint


def test_key_is_readable_by_the_user_only(server: WebhookServer) -> None:
    assert (server.directory / "tls.key").stat().st_mode & 0o077 == 0
    assert "PRIVATE" not in (server.directory / "tls.crt").read_text()


@contextmanager
def listening(server: WebhookServer, certificates: Path) -> Iterator[None]:
    """Serve as a webhook does: answer 404 to everything except admission requests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "tls.crt", certificates / "tls.key")
    webhook = http.server.HTTPServer((server.host, server.port), Quiet)
    webhook.socket = context.wrap_socket(webhook.socket, server_side=True, do_handshake_on_connect=False)
    with serving(webhook):
        yield


class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name in the base class)
        """Say nothing."""


def test_webhook_has_started_once_it_answers(server: WebhookServer) -> None:
    with listening(server, server.directory):
        server.wait("mine", lambda: "", Timeouts())


def test_webhook_with_another_certificate_does_not_count_as_started(server: WebhookServer, tmp_path: Path) -> None:
    other = new_webhook_server(RunDirectory(tmp_path / "other", os.getpid()), server.host, server.port)
    impatient = Timeouts().scaled(0.02)
    with listening(server, other.directory), pytest.raises(ImplementationError) as caught:
        server.wait("mine", lambda: "", impatient)
    assert "certificate" in caught.value.message.lower()
    assert "{webhook_cert_dir}" in caught.value.hint


def test_webhook_whose_process_ended_is_not_waited_for(server: WebhookServer) -> None:
    with pytest.raises(ImplementationError, match="its process webhook ended by itself"):
        server.wait("mine", lambda: "its process webhook ended by itself", Timeouts())
