"""Sets up every stack, from any provider: the CRDs, the token reviewer, and the auth mounts at default paths."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import hvac.exceptions

from ..errors import StackError
from ..kube.client import CLUSTER_ROLE_BINDINGS, NAMESPACES, SERVICE_ACCOUNTS, Cluster, Kubernetes, Object
from ..kube.ownership import LABEL, create_own
from ..timeouts import Timeouts, poll
from ..vault.client import VaultServer
from ..vault.server import VaultAdmin
from ..vault.workspace import VaultWorkspace, configure_kubernetes
from .types import Stack, crd_manifests

REVIEWER = "vault-token-reviewer"
#: Name of the reviewer's ClusterRoleBinding, which names the session that uses the cluster.
REVIEWER_BINDING = f"vault-issuer-{REVIEWER}"
#: Auth methods that are mounted at the paths where a controller expects them by default.
DEFAULT_MOUNTS = ("approle", "cert", "kubernetes")


def complete_stack(
    provider: str,
    reason: str,
    session: str,
    kubernetes: Kubernetes,
    cluster: Cluster,
    crds: Path | None,
    vault: Callable[[], VaultAdmin],
    *,
    foreign: bool,
    **details: Any,
) -> Stack:
    """Set up a cluster and a Vault that are ready, close the cluster's client, and return the stack.

    :param session: name of the session.
    :param crds: directory of cert-manager's CRDs; None installs none.
    :param vault: returns the client of the Vault; called after the cluster is set up.
    :param foreign: whether the cluster existed before the session.
    :param details: further fields of :class:`Stack`.
    :raises StackError: if another session uses the cluster.
    """
    with contextlib.closing(cluster):
        reviewer_token = install_reviewer(cluster, session)
        if crds is not None:
            install_contract(cluster, crd_manifests(crds), ours=not foreign, session=session)
        admin = vault()
        mounts = mount_defaults(admin, kubernetes, reviewer_token)
        return Stack(
            provider=provider,
            reason=reason,
            disposable=not foreign,
            foreign=foreign,
            kubernetes=kubernetes,
            vault=admin.server,
            components={"kubernetes": cluster.version, admin.product: admin.version},
            reviewer_token=reviewer_token,
            created_mounts=mounts,
            namespaces=admin.offers_namespaces,
            run=session,
            **details,
        )


def install_contract(cluster: Cluster, crds: Iterable[Object], *, ours: bool, session: str) -> None:
    """Install CustomResourceDefinitions. In a cluster that existed before, add only those that are missing.

    A cleanup does not remove them from such a cluster, because this would delete all objects of these types.
    """
    labeled = (
        crd if ours else {**crd, "metadata": {**crd["metadata"], "labels": _labels(crd) | {LABEL: session}}}
        for crd in crds
    )
    cluster.install_crds(labeled, replace=ours)


def _labels(item: Object) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def install_reviewer(cluster: Cluster, session: str) -> str:
    """Create the service account with which Vault reviews tokens, and return a token of it.

    It is bound to ``system:auth-delegator``, as the documentation of Vault's Kubernetes auth method requires. Its
    namespace has the name of the session. The binding has the same name in every session. It is created first and
    removed last, so that two sessions cannot share a cluster.

    :raises StackError: if another session uses the cluster, or if an object with one of these names exists.
    """
    labels = {LABEL: session}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": REVIEWER_BINDING, "labels": labels},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:auth-delegator",
        },
        "subjects": [{"kind": "ServiceAccount", "name": REVIEWER, "namespace": session}],
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": session, "labels": labels}}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": REVIEWER, "namespace": session, "labels": labels},
    }
    create_own(cluster, CLUSTER_ROLE_BINDINGS, binding)
    create_own(cluster, NAMESPACES, namespace)
    create_own(cluster, SERVICE_ACCOUNTS, account)
    return cluster.create_token(REVIEWER, session, seconds=24 * 3600)


def open_vault(
    server: VaultServer, timeouts: Timeouts, *, which: str, hint: str, log: Callable[[], str] = lambda: ""
) -> VaultAdmin:
    """Initialize and unseal a new Vault.

    :param which: describes the Vault in the error; :param hint: what to do; :param log: returns the end of its log.
    :raises StackError: if Vault refuses.
    """
    admin = VaultAdmin(server, timeouts)
    try:
        admin.initialize()
        admin.unseal()
    except hvac.exceptions.VaultError as error:
        seen = f"; the end of its log:\n{text}" if (text := log()) else ""
        raise StackError(f"{which} could not be initialized: {error}{seen}", hint=hint) from error
    return admin


def mount_defaults(admin: VaultAdmin, kubernetes: Kubernetes, reviewer_token: str) -> list[str]:
    """Enable the auth methods at their default paths, and return those that did not exist.

    A mount that existed is not configured and not removed.
    """
    created: list[str] = []
    for method in DEFAULT_MOUNTS:
        try:
            admin.enable_auth(method, method)
        except hvac.exceptions.InvalidRequest as error:
            if "already in use" not in str(error):
                raise
            continue
        created.append(method)
    if "kubernetes" in created:
        configure_kubernetes(admin.client, "kubernetes", kubernetes, reviewer_token)
    return created


def check_reviews(admin: VaultAdmin, kubernetes: Kubernetes, reviewer_token: str, session: str) -> None:
    """Check that Vault can review tokens at the cluster's API: log in with the reviewer's own token.

    :raises StackError: if it cannot. Otherwise the tests would blame the controller.
    """
    workspace = VaultWorkspace(admin, kubernetes, reviewer_token)
    refusals: list[hvac.exceptions.VaultError] = []
    with contextlib.closing(workspace):
        role = workspace.kubernetes_role(service_account=REVIEWER, namespace=session)

        def probe() -> bool | None:
            try:
                return bool(workspace.log_in(role, {"role": role.name, "jwt": reviewer_token}))
            except hvac.exceptions.VaultError as error:
                refusals.append(error)
                return None

        # The API server's authorizer may learn of the binding with a delay.
        if not poll(probe, timeout=admin.timeouts.api, interval=0.5):
            raise StackError(
                f"Vault cannot review tokens at the Kubernetes API at {kubernetes.url_for_vault}: {refusals[-1]}",
                hint="set --vault-issuer-kubernetes-host to an address at which Vault reaches the API server",
            )
