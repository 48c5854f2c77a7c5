"""The objects of credentials in Kubernetes: Secrets, ServiceAccounts, and the Roles for tokens of ServiceAccounts."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from ..kube import rbac as grants
from ..kube.client import SECRETS, SERVICE_ACCOUNTS, Cluster
from ..timeouts import Timeouts
from .environment import Environment


class CredentialObjects(ABC):
    """Creates the objects of credentials, with unique names.

    :ivar namespace: the namespace of namespaced issuer objects and of their credentials.
    :ivar labels: labels of all objects.
    """

    environment: Environment
    cluster: Cluster
    timeouts: Timeouts
    labels: dict[str, str]
    namespace: str

    @abstractmethod
    def new_name(self, prefix: str) -> str:
        """Return a name for a new object.

        :param prefix: its first word, for readers.
        """

    @abstractmethod
    def remove_later(self, remove: Callable[..., object], *arguments: object) -> None:
        """Register a cleanup for the end; it is only called if the stack outlives the sandbox."""

    def home(self, kind: str) -> str:
        """The namespace of the Secrets and ServiceAccounts of issuer objects of this kind."""
        known = self.environment.kinds.get(kind)
        cluster_scoped = known.cluster_scoped if known else kind == "ClusterIssuer"
        return self.environment.cluster_resource_namespace if cluster_scoped else self.namespace

    def secret(
        self, data: Mapping[str, str | bytes], *, namespace: str, name: str | None = None, secret: bool = True
    ) -> str:
        """Create a Secret and return its name.

        :param secret: whether its values must be redacted everywhere.
        """
        name = name or self.new_name("secret")
        metadata = {"name": name, "namespace": namespace, "labels": self.labels}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": self._encode(data, secret=secret)}
        self.cluster.create(SECRETS, body)
        self.remove_later(self.cluster.delete, SECRETS, name, namespace)
        return name

    def set_secret(self, name: str, namespace: str, data: Mapping[str, str | bytes | None]) -> None:
        """Change keys of a Secret; None removes a key."""
        removed = {key: None for key, value in data.items() if value is None}
        kept = {key: value for key, value in data.items() if value is not None}
        self.cluster.patch(SECRETS, name, namespace, {"data": self._encode(kept) | removed})

    def delete_secret(self, name: str, namespace: str) -> None:
        """Delete a Secret."""
        self.cluster.delete(SECRETS, name, namespace)

    def _encode(self, data: Mapping[str, str | bytes], *, secret: bool = True) -> dict[str, Any]:
        encoded = {}
        for key, value in data.items():
            raw = value.encode() if isinstance(value, str) else value
            if secret:
                self.environment.redactor.add(raw.decode(errors="replace").strip())
            encoded[key] = base64.b64encode(raw).decode()
        return encoded

    def service_account(self, namespace: str, *, name: str | None = None, grant: bool = True) -> str:
        """Create a ServiceAccount and return its name.

        :param grant: whether to give the implementation the documentation's Role for its tokens.
        """
        name = name or self.new_name("account")
        grants.create_service_account(self.cluster, namespace, name, self.labels)
        self.remove_later(self.cluster.delete, SERVICE_ACCOUNTS, name, namespace)
        if grant:
            self.grant_token_requests(namespace, name)
        return name

    def grant_token_requests(self, namespace: str, service_account: str) -> None:
        """Create the documentation's Role and RoleBinding for tokens of a ServiceAccount."""
        self.remove_later(grants.revoke_token_requests, self.cluster, namespace, service_account)
        subject = self.environment.service_account
        grants.grant_token_requests(self.cluster, namespace, service_account, subject, self.labels, self.timeouts)

    def revoke_token_requests(self, namespace: str, service_account: str) -> None:
        """Delete the Role and the RoleBinding."""
        grants.revoke_token_requests(self.cluster, namespace, service_account)
