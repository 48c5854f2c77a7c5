"""What every stack gets, whoever provides it: the CRDs, the token reviewer, and the default auth mounts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import hvac.exceptions

from ..errors import StackError
from ..kube.client import CLUSTER_ROLE_BINDINGS, NAMESPACES, SERVICE_ACCOUNTS, Cluster, Object
from ..kube.cluster_info import Kubernetes
from ..kube.ownership import LABEL, create_own
from ..timeouts import Timeouts, poll
from ..vault.connection import VaultServer
from ..vault.server import VaultAdmin
from ..vault.workspace import VaultWorkspace, configure_kubernetes

REVIEWER = "vault-token-reviewer"
#: The ClusterRoleBinding of the reviewer: which session uses a cluster.
REVIEWER_BINDING = f"vault-issuer-{REVIEWER}"
#: The auth methods mounted where a Vault issuer looks for them by default.
DEFAULT_MOUNTS = ("approle", "cert", "kubernetes")


def install_contract(cluster: Cluster, crds: Iterable[Object], *, ours: bool, session: str) -> None:
    """Install CustomResourceDefinitions; somebody else's cluster keeps those that it has.

    They stay in somebody else's cluster: to remove them would remove everybody's objects.
    """
    labelled = (
        crd if ours else {**crd, "metadata": {**crd["metadata"], "labels": _labels(crd) | {LABEL: session}}}
        for crd in crds
    )
    cluster.install_crds(labelled, replace=ours)


def _labels(item: Object) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def install_reviewer(cluster: Cluster, session: str) -> str:
    """Create the service account that Vault reviews tokens with and return a token of it.

    It is bound to ``system:auth-delegator``, as Vault's documentation of the
    Kubernetes auth method asks for. Its namespace has the session's name. The binding has the same name for every
    session: it comes first and goes last, so that two sessions do not share a cluster.

    :raises StackError: when another session uses the cluster, or something of these names is there.
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
    """See that Vault can ask the cluster whose a token is: have the reviewer itself log in.

    :raises StackError: when it cannot; without this, issuers would be blamed for it.
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

        # The API server may take a moment to know that the reviewer may review.
        if not poll(probe, timeout=admin.timeouts.api, interval=0.5):
            raise StackError(
                f"Vault cannot ask the Kubernetes API at {kubernetes.url_for_vault} whose a token is: {refusals[-1]}",
                hint="name in --vault-issuer-kubernetes-host an address at which Vault reaches the API server",
            )
