"""From an issuer's ``auth`` to a Vault token: reads the credential where the issuer keeps it, and logs in with it."""

from __future__ import annotations

import base64
from typing import Any

from .cluster import SECRETS, Cluster, ClusterError
from .configuration import Issuer
from .vault import Vault

#: Seconds that a requested service account token lives: the shortest that Kubernetes grants.
TOKEN_SECONDS = 600


class CredentialError(Exception):
    """A credential is not there, or is of no use; the message may be shown to people."""


def obtain_token(cluster: Cluster, issuer: Issuer, vault: Vault) -> str:
    """Return a Vault token for an issuer: the stored one, or that of a new login.

    :raises CredentialError: when the credential is missing.
    :raises VaultError: when Vault does not accept it.
    """
    if issuer.auth.get("tokenSecretRef"):
        token = _stored_token(cluster, issuer, issuer.auth["tokenSecretRef"])
    elif issuer.auth.get("appRole"):
        token = _log_in_with_app_role(cluster, issuer, issuer.auth["appRole"], vault)
    else:
        token = _log_in_with_service_account(cluster, issuer, issuer.auth["kubernetes"], vault)
    if not token.isascii() or not token.isprintable():
        raise CredentialError("Vault's token has characters that no token has")
    return token


def _stored_token(cluster: Cluster, issuer: Issuer, reference: dict[str, Any]) -> str:
    key = reference.get("key") or "token"
    return read_secret(cluster, issuer.resource_namespace, reference["name"], key).strip()


def _log_in_with_app_role(cluster: Cluster, issuer: Issuer, app_role: dict[str, Any], vault: Vault) -> str:
    reference = app_role["secretRef"]
    secret_id = read_secret(cluster, issuer.resource_namespace, reference["name"], reference["key"])
    mount = (app_role.get("path") or "approle").strip("/")
    credentials = {"role_id": app_role["roleId"].strip(), "secret_id": secret_id.strip()}
    return vault.log_in(f"/v1/auth/{mount}/login", credentials)


def _log_in_with_service_account(cluster: Cluster, issuer: Issuer, kubernetes: dict[str, Any], vault: Vault) -> str:
    reference = kubernetes.get("secretRef")
    if reference:
        jwt = read_secret(cluster, issuer.resource_namespace, reference["name"], reference.get("key") or "token")
    else:
        jwt = _request_token(cluster, issuer, kubernetes["serviceAccountRef"])
    mount = (kubernetes.get("mountPath") or "/v1/auth/kubernetes").strip("/")
    return vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})


def _request_token(cluster: Cluster, issuer: Issuer, reference: dict[str, Any]) -> str:
    """Request a token of a service account that is good for this issuer."""
    audiences = [*(reference.get("audiences") or []), issuer.audience, issuer.server]
    try:
        return cluster.create_token(issuer.resource_namespace, reference["name"], audiences, TOKEN_SECONDS)
    except ClusterError as error:
        raise CredentialError(f"no token for the service account {reference['name']}: {error}") from error


def read_secret(cluster: Cluster, namespace: str, name: str, key: str) -> str:
    """Return a text of a Secret as it is now.

    :raises CredentialError: when the Secret or the key is missing, or the value is empty or no text.
    """
    secret = cluster.find(SECRETS, namespace, name)
    if secret is None:
        raise CredentialError(f"the Secret {namespace}/{name} does not exist")
    encoded = (secret.get("data") or {}).get(key)
    if encoded is None:
        raise CredentialError(f"the Secret {namespace}/{name} has no key {key!r}")
    try:
        value = base64.b64decode(encoded).decode()
    except UnicodeDecodeError:
        raise CredentialError(f"the key {key!r} of the Secret {namespace}/{name} holds no text") from None
    if not value.strip():
        raise CredentialError(f"the key {key!r} of the Secret {namespace}/{name} is empty")
    return value
