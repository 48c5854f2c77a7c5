"""Sets the Ready condition of each Issuer and ClusterIssuer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from .cluster import Cluster, Object, Resource
from .conditions import condition, set_ready, write_status
from .configuration import InvalidConfigurationError, check, read_issuer, secret_names, service_account_names, vault_of
from .credentials import obtain_token
from .events import record
from .habits import HABITS
from .secret_values import CredentialError
from .tls import connection_context
from .vault import Vault, VaultError
from .watching import Watcher
from .work_queue import TryAgainError, WorkQueue

log = logging.getLogger(__name__)


class IssuerKey(NamedTuple):
    """The key of an issuer object; the namespace of a cluster-scoped one is ''."""

    kind: str
    namespace: str
    name: str


class IssuerController:
    """Reconciles issuer objects when they or their references change, and retries while they are not Ready.

    :param watchers: of the issuer kinds.
    """

    def __init__(
        self,
        cluster: Cluster,
        cluster_resource_namespace: str,
        watchers: list[Watcher],
        secrets: Watcher,
        service_accounts: Watcher,
    ) -> None:
        self.queue: WorkQueue[IssuerKey] = WorkQueue()
        self._cluster = cluster
        self._cluster_resource_namespace = cluster_resource_namespace
        self._watchers = {watcher.resource.kind: watcher for watcher in watchers}
        for watcher in watchers:
            watcher.on_change(self._issuer_changed(watcher.resource))
        secrets.on_change(self._referenced_changed(secret_names))
        service_accounts.on_change(self._referenced_changed(service_account_names))

    def _issuer_changed(self, resource: Resource) -> Callable[[Object | None, Object | None], None]:
        def changed(old: Object | None, new: Object | None) -> None:
            if new is not None and _without_status(old) != _without_status(new):
                self.queue.add(_key(resource, new))

        return changed

    def _referenced_changed(
        self, names: Callable[[dict[str, object]], set[str]]
    ) -> Callable[[Object | None, Object | None], None]:
        """Return a handler that reconciles the issuer objects that refer to a changed object.

        :param names: returns the names of such objects in a Vault configuration.
        """

        def changed(old: Object | None, new: Object | None) -> None:
            metadata = (new or old or {})["metadata"]
            for watcher in self._watchers.values():
                for item in watcher.items():
                    vault = vault_of(item)
                    if vault is None:
                        continue
                    issuer = read_issuer(watcher.resource, item, self._cluster_resource_namespace)
                    if issuer.resource_namespace != metadata["namespace"]:
                        continue
                    if metadata["name"] in names(vault):
                        self.queue.add(_key(watcher.resource, item))

        return changed

    def reconcile(self, key: IssuerKey) -> None:
        """Check an issuer object and write its Ready condition.

        :raises TryAgainError: while Vault or a credential prevents it from being Ready.
        """
        resource = self._watchers[key.kind].resource
        item = self._cluster.find(resource, key.namespace, key.name)
        if item is None or vault_of(item) is None:
            return
        if HABITS.unknown_first and not condition(item, "Ready"):
            self._write(resource, item, "Unknown", "Initializing", "The issuer is new")
        try:
            self._prove(resource, item)
        except InvalidConfigurationError as error:
            self._not_ready(resource, item, "InvalidConfiguration", str(error))
        except (CredentialError, VaultError) as error:
            self._not_ready(resource, item, "VaultError", str(error))
            raise TryAgainError(str(error)) from error
        else:
            self._write(resource, item, "True", "VaultVerified", "Vault verified")

    def _prove(self, resource: Resource, item: Object) -> None:
        """Do everything that signing needs, except the signing.

        :raises InvalidConfigurationError: if the specification cannot work.
        :raises CredentialError: if the credential is missing.
        :raises VaultError: if Vault is unhealthy or refuses the login.
        """
        issuer = read_issuer(resource, item, self._cluster_resource_namespace)
        check(issuer)
        with Vault(issuer, connection_context(self._cluster, issuer)) as vault:
            vault.check_health()
            token = obtain_token(self._cluster, issuer, vault)
            if HABITS.preflight:
                vault.check_permission(issuer.path, token)

    def _not_ready(self, resource: Resource, item: Object, reason: str, message: str) -> None:
        if self._write(resource, item, "False", reason, message):
            record(self._cluster, resource, item, "Warning", reason, message)

    def _write(self, resource: Resource, item: Object, status: str, reason: str, message: str) -> bool:
        generation = item["metadata"]["generation"]
        written = write_status(
            self._cluster,
            resource,
            item,
            lambda latest: set_ready(latest, status, reason, message, generation=generation),
        )
        if written:
            log.info("%s: Ready %s: %s", _key(resource, item), status, message)
        return written


def _key(resource: Resource, item: Object) -> IssuerKey:
    metadata = item["metadata"]
    return IssuerKey(resource.kind, metadata.get("namespace", ""), metadata["name"])


def _without_status(item: Object | None) -> Object | None:
    """Return an issuer object without its status, and without the metadata that a status update changes."""
    if item is None:
        return None
    kept = {key: value for key, value in item.items() if key != "status"}
    kept["metadata"] = {k: v for k, v in item["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return kept
