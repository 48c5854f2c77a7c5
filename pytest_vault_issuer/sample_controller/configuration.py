"""Reads and checks the Vault configuration of an issuer object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .cluster import Object, Resource
from .habits import HABITS
from .shapes import secret_namespace

#: The authentication methods: fields of ``auth``.
METHODS = ("tokenSecretRef", "appRole", "kubernetes", "clientCertificate", "aws")


class InvalidConfigurationError(Exception):
    """The specification cannot work with any Vault and any cluster."""


@dataclass(frozen=True)
class Issuer:
    """The configuration of an issuer object.

    :ivar namespace: of the issuer object, '' if it is cluster-scoped.
    :ivar resource_namespace: of its Secrets and service accounts.
    :ivar vault: ``spec.vault``.
    """

    namespace: str
    name: str
    resource_namespace: str
    vault: dict[str, Any]

    @property
    def server(self) -> str:
        """The URL of Vault, as configured."""
        return str(self.vault.get("server") or "")

    @property
    def path(self) -> str:
        """The sign endpoint, without ``/v1``."""
        return str(self.vault.get("path") or "")

    @property
    def auth(self) -> dict[str, Any]:
        """The authentication block."""
        return self.vault.get("auth") or {}

    @property
    def audience(self) -> str:
        """The documented audience of this issuer object."""
        if self.namespace:
            return f"vault://{self.namespace}/{self.name}"
        return f"vault://{self.name}"


def vault_of(item: Object) -> dict[str, Any] | None:
    """Return the Vault configuration of an issuer object, None if it is of another type."""
    vault: dict[str, Any] | None = item.get("spec", {}).get("vault")
    return vault


def read_issuer(resource: Resource, item: Object, cluster_resource_namespace: str) -> Issuer:
    """Return the configuration of an issuer object of type Vault."""
    metadata = item["metadata"]
    if resource.namespaced:
        namespace = resource_namespace = metadata["namespace"]
    else:
        namespace = ""
        resource_namespace = secret_namespace(item, cluster_resource_namespace)
    return Issuer(namespace, metadata["name"], resource_namespace, vault_of(item) or {})


def check(issuer: Issuer) -> None:
    """Check everything that the specification alone shows.

    :raises InvalidConfigurationError: with what is wrong.
    """
    _check_server(issuer.server)
    _require(issuer.path, "path is empty")
    _check_segments(issuer.path, "path")
    if HABITS.sign_paths_only and issuer.path.strip("/").split("/")[-2:-1] != ["sign"]:
        raise InvalidConfigurationError("path is not a sign endpoint, which ends in sign/ROLE")
    _check_connection(issuer.vault)
    methods = [method for method in METHODS if issuer.auth.get(method) is not None]
    if not methods:
        raise InvalidConfigurationError("auth has no authentication method")
    if len(methods) > 1:
        raise InvalidConfigurationError(f"auth has more than one authentication method: {', '.join(methods)}")
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
        raise InvalidConfigurationError("server must be a URL with http or https")


def _check_connection(vault: dict[str, Any]) -> None:
    certificate = vault.get("clientCertSecretRef")
    key = vault.get("clientKeySecretRef")
    if (certificate is None) != (key is None):
        raise InvalidConfigurationError("clientCertSecretRef and clientKeySecretRef must be set together")
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
        raise InvalidConfigurationError("auth.kubernetes has both secretRef and serviceAccountRef")
    if secret:
        _require(secret.get("name"), "auth.kubernetes.secretRef.name is empty")
    elif account:
        _require(account.get("name"), "auth.kubernetes.serviceAccountRef.name is empty")
    else:
        raise InvalidConfigurationError("auth.kubernetes has neither secretRef nor serviceAccountRef")


def _check_client_certificate(server: str, client_certificate: dict[str, Any]) -> None:
    _check_segments(client_certificate.get("mountPath") or "", "auth.clientCertificate.mountPath")
    if urlsplit(server).scheme != "https":
        raise InvalidConfigurationError("auth.clientCertificate needs a server with https")


def _check_aws(issuer: Issuer, aws: dict[str, Any]) -> None:
    _check_segments(aws.get("mountPath") or "", "auth.aws.mountPath")
    _require(aws.get("role"), "auth.aws.role is empty")
    account = aws.get("serviceAccountRef")
    if not account and not issuer.namespace:
        return  # the sample controller's own identity
    if not account:
        raise InvalidConfigurationError("auth.aws has no serviceAccountRef, and an Issuer has no other AWS identity")
    _require(account.get("name"), "auth.aws.serviceAccountRef.name is empty")
    _require(aws.get("iamRoleArn"), "auth.aws.iamRoleArn is empty")


def _check_segments(path: str, field: str) -> None:
    """Refuse a path with a segment that leads to its parent."""
    if ".." in path.split("/"):
        raise InvalidConfigurationError(f"{field} has a segment '..'")


def _require(value: str | None, problem: str) -> None:
    if not value or not value.strip():
        raise InvalidConfigurationError(problem)


def secret_names(vault: dict[str, Any]) -> set[str]:
    """Return the names of the Secrets in a Vault configuration."""
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
    """Return the names of the service accounts in a Vault configuration."""
    auth = vault.get("auth") or {}
    references = [
        (auth.get("kubernetes") or {}).get("serviceAccountRef"),
        (auth.get("aws") or {}).get("serviceAccountRef"),
    ]
    return {reference["name"] for reference in references if reference and reference.get("name")}
