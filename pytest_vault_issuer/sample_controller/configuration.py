"""What an issuer's specification says of Vault, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .cluster import Object, Resource
from .habits import HABITS

#: The ways of authenticating, by the field of ``auth`` that holds each.
METHODS = ("tokenSecretRef", "appRole", "kubernetes", "clientCertificate", "aws")


class InvalidConfigurationError(Exception):
    """The specification cannot work, whatever Vault and the cluster are like."""


@dataclass(frozen=True)
class Issuer:
    """An issuer as its specification describes it.

    :ivar namespace: its own, '' for a cluster-scoped one.
    :ivar resource_namespace: where its Secrets and service accounts are.
    :ivar vault: ``spec.vault``.
    """

    namespace: str
    name: str
    resource_namespace: str
    vault: dict[str, Any]

    @property
    def server(self) -> str:
        """The URL of Vault, as it is written."""
        return str(self.vault.get("server") or "")

    @property
    def path(self) -> str:
        """Where Vault signs, without ``/v1``."""
        return str(self.vault.get("path") or "")

    @property
    def auth(self) -> dict[str, Any]:
        """How to authenticate."""
        return self.vault.get("auth") or {}

    @property
    def audience(self) -> str:
        """The audience that is this issuer's own."""
        if self.namespace:
            return f"vault://{self.namespace}/{self.name}"
        return f"vault://{self.name}"


def vault_of(item: Object) -> dict[str, Any] | None:
    """Return the Vault configuration of an issuer object, None when the issuer is of another type."""
    vault: dict[str, Any] | None = item.get("spec", {}).get("vault")
    return vault


def read_issuer(resource: Resource, item: Object, cluster_resource_namespace: str) -> Issuer:
    """Return what an issuer object with a Vault configuration says."""
    metadata = item["metadata"]
    if resource.namespaced:
        namespace = resource_namespace = metadata["namespace"]
    else:
        namespace = ""
        resource_namespace = cluster_resource_namespace
    return Issuer(namespace, metadata["name"], resource_namespace, vault_of(item) or {})


def check(issuer: Issuer) -> None:
    """Check all that can be known from the specification alone.

    :raises InvalidConfigurationError: saying what is wrong.
    """
    _check_server(issuer.server)
    _require(issuer.path, "path is empty")
    _check_segments(issuer.path, "path")
    if HABITS.sign_paths_only and issuer.path.strip("/").split("/")[-2:-1] != ["sign"]:
        raise InvalidConfigurationError("path is not a sign endpoint, which ends in sign/ROLE")
    _check_connection(issuer.vault)
    methods = [method for method in METHODS if issuer.auth.get(method) is not None]
    if not methods:
        raise InvalidConfigurationError("auth names no way of authenticating")
    if len(methods) > 1:
        raise InvalidConfigurationError(f"auth names more than one way of authenticating: {', '.join(methods)}")
    method = issuer.auth[methods[0]]
    if methods[0] == "tokenSecretRef":
        _require(method.get("name"), "auth.tokenSecretRef.name is empty")
    elif methods[0] == "appRole":
        _check_app_role(method)
    elif methods[0] == "kubernetes":
        _check_kubernetes(method)
    elif methods[0] == "clientCertificate":
        _check_client_certificate(issuer.server, method)
    else:
        _check_aws(issuer, method)


def _check_server(server: str) -> None:
    _require(server, "server is empty")
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidConfigurationError("server is no URL of http or https")


def _check_connection(vault: dict[str, Any]) -> None:
    certificate = vault.get("clientCertSecretRef")
    key = vault.get("clientKeySecretRef")
    if (certificate is None) != (key is None):
        raise InvalidConfigurationError("clientCertSecretRef and clientKeySecretRef go together")
    for field in ("caBundleSecretRef", "clientCertSecretRef", "clientKeySecretRef"):
        reference = vault.get(field)
        if reference is not None:
            _require(reference.get("name"), f"{field}.name is empty")


def _check_app_role(app_role: dict[str, Any]) -> None:
    _check_segments(app_role.get("path") or "", "auth.appRole.path")
    _require(app_role.get("roleId"), "auth.appRole.roleId is empty")
    reference = app_role.get("secretRef") or {}
    _require(reference.get("name"), "auth.appRole.secretRef.name is empty")
    _require(reference.get("key"), "auth.appRole.secretRef.key is empty")


def _check_kubernetes(kubernetes: dict[str, Any]) -> None:
    _check_segments(kubernetes.get("mountPath") or "", "auth.kubernetes.mountPath")
    _require(kubernetes.get("role"), "auth.kubernetes.role is empty")
    secret = kubernetes.get("secretRef")
    account = kubernetes.get("serviceAccountRef")
    if secret and account:
        raise InvalidConfigurationError("auth.kubernetes names both secretRef and serviceAccountRef")
    if secret:
        _require(secret.get("name"), "auth.kubernetes.secretRef.name is empty")
    elif account:
        _require(account.get("name"), "auth.kubernetes.serviceAccountRef.name is empty")
    else:
        raise InvalidConfigurationError("auth.kubernetes names neither secretRef nor serviceAccountRef")


def _check_client_certificate(server: str, client_certificate: dict[str, Any]) -> None:
    _check_segments(client_certificate.get("mountPath") or "", "auth.clientCertificate.mountPath")
    if urlsplit(server).scheme != "https":
        raise InvalidConfigurationError("auth.clientCertificate needs a server of https")


def _check_aws(issuer: Issuer, aws: dict[str, Any]) -> None:
    _check_segments(aws.get("mountPath") or "", "auth.aws.mountPath")
    _require(aws.get("role"), "auth.aws.role is empty")
    account = aws.get("serviceAccountRef")
    if not account and not issuer.namespace:
        return  # the sample controller's own identity
    if not account:
        raise InvalidConfigurationError("auth.aws names no serviceAccountRef, and an Issuer has no other AWS identity")
    _require(account.get("name"), "auth.aws.serviceAccountRef.name is empty")
    _require(aws.get("iamRoleArn"), "auth.aws.iamRoleArn is empty")


def _check_segments(path: str, field: str) -> None:
    """Refuse a path that would lead out of the place it is appended to."""
    if ".." in path.split("/"):
        raise InvalidConfigurationError(f"{field} has a segment '..'")


def _require(value: str | None, problem: str) -> None:
    if not value or not value.strip():
        raise InvalidConfigurationError(problem)


def secret_names(vault: dict[str, Any]) -> set[str]:
    """Return the names of the Secrets that a Vault configuration refers to."""
    auth = vault.get("auth") or {}
    references = [
        vault.get("caBundleSecretRef"),
        vault.get("clientCertSecretRef"),
        vault.get("clientKeySecretRef"),
        auth.get("tokenSecretRef"),
        (auth.get("appRole") or {}).get("secretRef"),
        (auth.get("kubernetes") or {}).get("secretRef"),
    ]
    names = [reference.get("name") for reference in references if reference]
    names.append((auth.get("clientCertificate") or {}).get("secretName"))
    return {name for name in names if name}


def service_account_names(vault: dict[str, Any]) -> set[str]:
    """Return the names of the service accounts that a Vault configuration refers to."""
    auth = vault.get("auth") or {}
    references = [
        (auth.get("kubernetes") or {}).get("serviceAccountRef"),
        (auth.get("aws") or {}).get("serviceAccountRef"),
    ]
    return {reference["name"] for reference in references if reference and reference.get("name")}
