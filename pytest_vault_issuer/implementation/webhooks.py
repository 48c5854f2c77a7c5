"""Admission and conversion webhooks of a controller that runs as a process: registered by URL, as envtest does.

A cluster without nodes has no Services. So each reference to a Service becomes a URL on this machine, with the CA that
issued the certificate of the process. See
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook.
"""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..certificates import Authority
from ..errors import ConfigurationError, ImplementationError
from ..kube.client import Object
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts, poll

REGISTRATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
#: Placeholder of the port that a webhook must listen on. If it is used, a process serves the webhooks.
PORT = "webhook_port"
#: Seconds for one attempt to reach the webhook.
_TRY = 5.0
_CERTIFICATES = "webhook"


@dataclass(frozen=True)
class WebhookServer:
    """Where a process of the implementation serves its webhooks.

    :ivar host: address at which the API server reaches it.
    :ivar ca_pem: CA of its certificate.
    :ivar directory: contains ``tls.crt`` and ``tls.key``.
    """

    host: str
    port: int
    ca_pem: str
    directory: Path

    def registered(self, item: Object) -> Object:
        """Return a webhook configuration or a CustomResourceDefinition with URLs instead of Services.

        Other objects are returned unchanged.
        """
        changed = deepcopy(item)
        for config in _client_configs(changed):
            service = config.pop("service", None)
            if service is not None:
                path = str(service.get("path") or "/")
                config["url"] = f"https://{self.host}:{self.port}{path if path.startswith('/') else f'/{path}'}"
                config["caBundle"] = base64.b64encode(self.ca_pem.encode()).decode()
        return changed

    def wait(self, name: str, ended: Callable[[], str], timeouts: Timeouts) -> None:
        """Wait until the webhook answers.

        :param name: name of the implementation.
        :param ended: describes how its processes ended, '' while they run.
        :raises ImplementationError: if it does not answer in time.
        """
        context = ssl.create_default_context(cadata=self.ca_pem)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        seen = ["no attempt was made"]

        def probe() -> str | None:
            if message := ended():
                return message
            try:
                opener.open(f"https://{self.host}:{self.port}/", timeout=_TRY).close()
            except urllib.error.HTTPError:
                pass  # any status proves that it serves; only admission requests get 200
            except OSError as error:
                seen[0] = str(getattr(error, "reason", error))
                return None
            return ""

        result = poll(probe, timeout=timeouts.implementation_start, interval=0.05)
        if result != "":
            raise ImplementationError(
                f"{name} did not become ready: "
                + (
                    result
                    or f"its webhook did not answer at {self.host}:{self.port} within "
                    f"{timeouts.implementation_start:g} s: {seen[0]}"
                ),
                hint=f"let it listen on {{{PORT}}} with tls.crt and tls.key of {{webhook_cert_dir}}",
            )


def new_webhook_server(run: RunDirectory, host: str, port: int) -> WebhookServer:
    """Create a CA and a certificate for the webhooks of a session; only the user can read the key."""
    authority = Authority("pytest-vault-issuer webhook CA")
    certificate = authority.issue(*dict.fromkeys((host, "127.0.0.1", "localhost")))
    directory = run.write(f"{_CERTIFICATES}/tls.crt", certificate.certificate_chain_pem).parent
    run.write(f"{_CERTIFICATES}/tls.key", certificate.key_pem)
    run.write(f"{_CERTIFICATES}/ca.crt", authority.pem)
    return WebhookServer(host, port, authority.pem, directory)


def is_registration(item: Object) -> bool:
    """Whether an object registers admission webhooks."""
    return item.get("kind") in REGISTRATIONS


def check_reachable(objects: Iterable[Object]) -> None:
    """Check that no webhook is behind a Service, for a cluster without nodes.

    :raises ConfigurationError: if there is one; the message names the first.
    """
    for item in objects:
        if any("service" in config for config in _client_configs(item)):
            raise ConfigurationError(
                f"the {item['kind']} {item['metadata']['name']} refers to a Service, "
                "but the controller runs as a process",
                hint=f"let [run] command or a process of [[run.processes]] listen on {{{PORT}}}, with the certificate "
                "in {webhook_cert_dir}; then its webhooks are registered by URL",
            )


def _client_configs(item: Object) -> Iterator[dict[str, Any]]:
    """Yield each ``clientConfig`` of a webhook configuration or of a CustomResourceDefinition."""
    if is_registration(item):
        found = [webhook.get("clientConfig") for webhook in item.get("webhooks") or []]
    elif item.get("kind") == "CustomResourceDefinition":
        conversion = (item.get("spec") or {}).get("conversion") or {}
        found = [(conversion.get("webhook") or {}).get("clientConfig")]
    else:
        found = []
    yield from (config for config in found if isinstance(config, dict))
