"""Obtains a Vault token for an issuer object: reads its credential and logs in."""

from __future__ import annotations

from typing import Any

from .aws import STS_AUDIENCE, assume_role, login_data, own_identity, region_of
from .cluster import Cluster, ClusterError
from .configuration import Issuer
from .secret_values import CredentialError, read_secret
from .tls import read_client_certificate, tls_context
from .vault import Vault

#: Lifetime of a requested service account token in seconds: the shortest that Kubernetes grants.
TOKEN_SECONDS = 600


def obtain_token(cluster: Cluster, issuer: Issuer, vault: Vault) -> str:
    """Return a Vault token for an issuer object: the stored one, or that of a new login.

    :raises CredentialError: if the credential is missing.
    :raises VaultError: if Vault does not accept it.
    """
    if issuer.auth.get("tokenSecretRef"):
        token = _stored_token(cluster, issuer, issuer.auth["tokenSecretRef"])
    elif issuer.auth.get("appRole"):
        token = _log_in_with_app_role(cluster, issuer, issuer.auth["appRole"], vault)
    elif issuer.auth.get("clientCertificate") is not None:
        token = _log_in_with_client_certificate(cluster, issuer, issuer.auth["clientCertificate"], vault)
    elif issuer.auth.get("kubernetes"):
        token = _log_in_with_service_account(cluster, issuer, issuer.auth["kubernetes"], vault)
    else:
        token = _log_in_with_aws(cluster, issuer, issuer.auth["aws"], vault)
    if not token.isascii() or not token.isprintable():
        raise CredentialError("Vault's token has invalid characters")
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


def _log_in_with_client_certificate(
    cluster: Cluster, issuer: Issuer, client_certificate: dict[str, Any], vault: Vault
) -> str:
    mount = (client_certificate.get("mountPath") or "/v1/auth/cert").strip("/")
    name = client_certificate.get("name")
    credentials = {"name": name} if name else {}
    secret = client_certificate.get("secretName")
    if not secret:
        # The connection may present a certificate.
        return vault.log_in(f"/{mount}/login", credentials)
    certificate = {"name": secret, "key": "tls.crt"}
    key = {"name": secret, "key": "tls.key"}
    client = read_client_certificate(cluster, issuer.resource_namespace, certificate, key)
    with Vault(issuer, tls_context(cluster, issuer, client)) as presenting:
        return presenting.log_in(f"/{mount}/login", credentials)


def _log_in_with_service_account(cluster: Cluster, issuer: Issuer, kubernetes: dict[str, Any], vault: Vault) -> str:
    reference = kubernetes.get("secretRef")
    if reference:
        key = reference.get("key") or "token"
        jwt = read_secret(cluster, issuer.resource_namespace, reference["name"], key).strip()
    else:
        jwt = _request_token(cluster, issuer, kubernetes["serviceAccountRef"])
    mount = (kubernetes.get("mountPath") or "/v1/auth/kubernetes").strip("/")
    return vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})


def _log_in_with_aws(cluster: Cluster, issuer: Issuer, aws: dict[str, Any], vault: Vault) -> str:
    mount = (aws.get("mountPath") or "/v1/auth/aws").strip("/")
    region = region_of(aws.get("region"))
    if not aws.get("serviceAccountRef"):
        own = login_data(own_identity(), region, aws.get("vaultHeaderValue"))
        return vault.log_in(f"/{mount}/login", own | {"role": aws["role"]})
    web_identity = _request_token_for_sts(cluster, issuer, aws["serviceAccountRef"])
    identity = assume_role(aws["iamRoleArn"], web_identity, region)
    signed = login_data(identity, region, aws.get("vaultHeaderValue"))
    return vault.log_in(f"/{mount}/login", {"role": aws["role"]} | signed)


def _request_token(cluster: Cluster, issuer: Issuer, reference: dict[str, Any]) -> str:
    """Request a service account token for this issuer object."""
    audiences = [*(reference.get("audiences") or []), issuer.audience, issuer.server]
    try:
        return cluster.create_token(issuer.resource_namespace, reference["name"], audiences, TOKEN_SECONDS)
    except ClusterError as error:
        raise CredentialError(f"no token for the service account {reference['name']}: {error}") from error


def _request_token_for_sts(cluster: Cluster, issuer: Issuer, account: dict[str, Any]) -> str:
    """Request a service account token that STS accepts."""
    wanted = [STS_AUDIENCE, *(account.get("audiences") or [])]
    try:
        return cluster.create_token(issuer.resource_namespace, account["name"], wanted, TOKEN_SECONDS)
    except ClusterError as error:
        raise CredentialError(f"no token of {account['name']} for AWS STS: {error}") from error
