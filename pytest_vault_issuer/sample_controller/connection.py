"""How to reach the Kubernetes API: from a kubeconfig of plain fields, or from a pod."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

#: What Kubernetes mounts into a pod.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: Fields of a kubeconfig that need no client library: the others run programs, or hold keys that a file must hold.
PLAIN = {"server", "certificate-authority", "client-certificate", "client-key", "token"}


class ConnectionSettingsError(Exception):
    """The API server cannot be reached with what the kubeconfig or the pod says."""


@dataclass(frozen=True)
class Connection:
    """The address of an API server, and credentials.

    :ivar ssl_ca_cert: path of its CA; None for the system's.
    :ivar token_file: path of a token that is replaced before it expires; '' for none.
    """

    host: str
    ssl_ca_cert: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    token: str = field(default="", repr=False)
    token_file: str = ""

    def auth_settings(self) -> dict[str, dict[str, str]]:
        """Return the header with the token."""
        token = Path(self.token_file).read_text().strip() if self.token_file else self.token
        return {"BearerToken": {"value": f"Bearer {token}"}} if token else {}


def read_kubeconfig(path: str) -> Connection:
    """Return the connection of a kubeconfig's current context.

    :raises ConnectionSettingsError: if it cannot be read, or has fields that are not plain.
    """
    try:
        config = yaml.safe_load(Path(path).read_text())
        context = _named(config, "context", config["current-context"])
        cluster, user = _named(config, "cluster", context["cluster"]), _named(config, "user", context["user"])
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise ConnectionSettingsError(f"the kubeconfig {path} cannot be read: {error}") from error
    if other := (cluster.keys() | user.keys()) - PLAIN:
        raise ConnectionSettingsError(f"the kubeconfig {path} has fields that are not supported: {sorted(other)}")
    return Connection(
        str(cluster["server"]).rstrip("/"),
        cluster.get("certificate-authority"),
        user.get("client-certificate"),
        user.get("client-key"),
        user.get("token", ""),
    )


def of_pod() -> Connection:
    """Return the connection of a pod, with the token of its service account.

    :raises ConnectionSettingsError: outside of a pod.
    """
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    token = SERVICE_ACCOUNT / "token"
    if not (host and port and token.exists()):
        raise ConnectionSettingsError("this is not a pod: name a kubeconfig (--kubeconfig)")
    address = f"[{host}]" if ":" in host else host
    return Connection(f"https://{address}:{port}", str(SERVICE_ACCOUNT / "ca.crt"), token_file=str(token))


def _named(config: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    for entry in config[f"{kind}s"]:
        if entry["name"] == name:
            found: dict[str, Any] = entry[kind]
            return found
    raise LookupError(f"it has no {kind} {name}")
