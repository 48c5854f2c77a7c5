"""What every stack gets, whoever provides it: the CRDs, the token reviewer, and the default auth mounts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import hvac.exceptions

from ..cluster.api import (
    CLUSTER_ROLE_BINDINGS,
    CRDS,
    NAMESPACES,
    SERVICE_ACCOUNTS,
    Cluster,
    Object,
)
from ..cluster.removal import remove_labelled
from ..errors import StackError
from ..timeouts import Timeouts, poll
from ..vault.server import VaultAdmin
from ..vault.workspace import VaultWorkspace, configure_kubernetes, enable_auth
from .model import Kubernetes, VaultServer

#: On everything this project creates in a cluster; its value names the run.
LABEL = "vault-issuer.test/run"
SYSTEM_NAMESPACE = "vault-issuer-system"
REVIEWER = "vault-token-reviewer"
#: The auth methods mounted where a Vault issuer looks for them by default.
DEFAULT_MOUNTS = ("approle", "cert", "kubernetes")


def install_contract(cluster: Cluster, crds: list[Object], *, replace: bool) -> None:
    """Install cert-manager.io's CRDs; where some are installed already, only if `replace`."""
    missing = [crd for crd in crds if replace or cluster.find(CRDS, crd["metadata"]["name"]) is None]
    cluster.install_crds(missing)


def install_reviewer(cluster: Cluster, run: str) -> str:
    """Create the service account that Vault reviews tokens with and return a token of it.

    It is bound to ``system:auth-delegator``, as Vault's documentation of the
    Kubernetes auth method asks for.
    """
    labels = {LABEL: run}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE, "labels": labels}}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": REVIEWER, "namespace": SYSTEM_NAMESPACE, "labels": labels},
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"vault-issuer-{REVIEWER}", "labels": labels},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:auth-delegator",
        },
        "subjects": [{"kind": "ServiceAccount", "name": REVIEWER, "namespace": SYSTEM_NAMESPACE}],
    }
    cluster.apply(NAMESPACES, namespace)
    cluster.apply(SERVICE_ACCOUNTS, account)
    cluster.apply(CLUSTER_ROLE_BINDINGS, binding)
    return cluster.create_token(REVIEWER, SYSTEM_NAMESPACE, seconds=24 * 3600)


def remove_reviewer(cluster: Cluster) -> None:
    """Remove what :func:`install_reviewer` created."""
    cluster.delete(CLUSTER_ROLE_BINDINGS, f"vault-issuer-{REVIEWER}")
    cluster.delete(NAMESPACES, SYSTEM_NAMESPACE)


def refuse_another_run(cluster: Cluster) -> None:
    """See that no other run uses the cluster, or has been cut off there.

    :raises StackError: when one has.
    """
    owner = (cluster.find(NAMESPACES, SYSTEM_NAMESPACE) or {}).get("metadata", {}).get("labels", {}).get(LABEL)
    if owner is not None:
        raise StackError(
            f"the namespace {SYSTEM_NAMESPACE} exists: run {owner} uses this cluster or was cut off",
            hint=f"wait for it, or: kubectl delete namespace {SYSTEM_NAMESPACE}",
        )


def remove_everything(cluster: Cluster, run: str, timeouts: Timeouts) -> None:
    """Remove everything that a run created in a cluster, the CRDs excepted, and wait until it is gone.

    :raises StackError: when something cannot be deleted in time.
    """
    remove_reviewer(cluster)
    remove_labelled(cluster, f"{LABEL}={run}", timeouts)


def open_vault(
    server: VaultServer, timeouts: Timeouts, *, which: str, hint: str, log: Callable[[], str] = lambda: ""
) -> VaultAdmin:
    """Initialise and unseal a Vault that was just started.

    :param which: what it is, :param hint: what to do, :param log: gives the end of its log; all for the error.
    :raises StackError: when it refuses, as one that is no Vault of ours does.
    """
    admin = VaultAdmin(server, timeouts)
    try:
        admin.initialise()
        admin.unseal()
    except hvac.exceptions.VaultError as error:
        seen = f"; the end of its log:\n{text}" if (text := log()) else ""
        raise StackError(f"{which} could not be initialised: {error}{seen}", hint=hint) from error
    return admin


def mount_defaults(admin: VaultAdmin, kubernetes: Kubernetes, reviewer_token: str) -> list[str]:
    """Enable the auth methods at their default paths and return those that were not there before.

    A mount that exists is somebody's: it is neither configured nor removed.
    """
    created: list[str] = []
    with contextlib.ExitStack() as undo:
        undo.callback(unmount, admin, created)
        for method in DEFAULT_MOUNTS:
            try:
                enable_auth(admin.client, method, method)
            except hvac.exceptions.InvalidRequest as error:
                if "already in use" not in str(error):
                    raise
                continue
            created.append(method)
        if "kubernetes" in created:
            configure_kubernetes(admin.client, "kubernetes", kubernetes, reviewer_token)
        undo.pop_all()
    return created


def unmount(admin: VaultAdmin, mounts: Iterable[str]) -> None:
    """Disable auth methods that :func:`mount_defaults` has enabled."""
    for mount in mounts:
        admin.client.sys.disable_auth_method(mount)


def check_reviews(admin: VaultAdmin, kubernetes: Kubernetes, reviewer_token: str) -> None:
    """See that Vault can ask the cluster whose a token is: have the reviewer itself log in.

    :raises StackError: when it cannot; without this, issuers would be blamed for it.
    """
    workspace = VaultWorkspace(admin, kubernetes, reviewer_token)
    refusals: list[hvac.exceptions.VaultError] = []
    with contextlib.closing(workspace):
        role = workspace.kubernetes_role(service_account=REVIEWER, namespace=SYSTEM_NAMESPACE)

        def probe() -> bool | None:
            try:
                return bool(workspace.log_in(role, {"role": role.name, "jwt": reviewer_token}))
            except hvac.exceptions.VaultError as error:
                refusals.append(error)
                return None

        # The API server may take a moment to know that the reviewer may review.
        if not poll(probe, timeout=admin.timeouts.api, interval=0.5):
            raise StackError(
                f"Vault cannot ask the Kubernetes API at {kubernetes.url_for_vault} whose a token is: {refusals[-1]}",
                hint="name in --vault-issuer-kubernetes-host an address at which Vault reaches the API server",
            )
