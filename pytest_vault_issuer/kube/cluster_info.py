"""How clients, and Vault, reach one Kubernetes API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kubernetes:
    """One Kubernetes API.

    :ivar kubeconfig: path of a kubeconfig with the rights the suite needs.
    :ivar context: its context, None for the current one.
    :ivar url_for_vault: where Vault reaches the API server for TokenReviews.
    :ivar ca_pem: the API server's CA.
    :ivar audit_log: path of the API server's audit log (JSON lines), None where it cannot be read.
    """

    kubeconfig: str
    url_for_vault: str
    ca_pem: str
    context: str | None = None
    audit_log: str | None = None
