"""How clients and Vault connect to a Kubernetes API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kubernetes:
    """One Kubernetes API.

    :ivar kubeconfig: path of a kubeconfig with the permissions that the suite needs.
    :ivar context: its context; None for the current one.
    :ivar url_for_vault: URL at which Vault sends TokenReviews to the API server.
    :ivar ca_pem: CA certificate of the API server.
    :ivar audit_log: path of the API server's audit log (JSON lines); None if it cannot be read.
    """

    kubeconfig: str
    url_for_vault: str
    ca_pem: str
    context: str | None = None
    audit_log: str | None = None
