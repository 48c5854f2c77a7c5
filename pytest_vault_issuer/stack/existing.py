"""Provider ``existing``: a Vault and a cluster the user names; what is made there is removed at the end."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..cluster.api import CONFIG_MAPS, Cluster
from ..errors import ConfigurationError
from ..timeouts import Timeouts
from ..vault.server import VaultAdmin, check_existing
from .model import Kubernetes, Stack, VaultServer, crd_manifests
from .preparation import (
    check_reviews,
    install_contract,
    install_reviewer,
    mount_defaults,
    refuse_another_run,
    remove_everything,
    unmount,
)

NAME = "existing"


class ExistingProvider:
    """Uses what is there.

    :param kubeconfig: named by the user; never the ambient one.
    :param vault: with a token that may mount, write policies and create tokens.
    :param url_for_vault: where Vault reaches the API server, default the kubeconfig's server.
    :param crds: directory of cert-manager's CRDs, for a cluster without them.
    :param run: name of this run, the value of the label.
    """

    name = NAME

    def __init__(
        self,
        kubeconfig: Path,
        vault: VaultServer,
        timeouts: Timeouts,
        *,
        run: str,
        reason: str,
        context: str | None = None,
        url_for_vault: str | None = None,
        crds: Path | None = None,
        bind: str = "127.0.0.1",
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._vault = vault
        self._timeouts = timeouts
        self._run = run
        self._reason = reason
        self._url_for_vault = url_for_vault
        self._crds = crds
        self._bind = bind

    def start(self) -> Stack:
        """Check both, add what a test needs, and return them.

        :raises StackError: when one cannot be reached or used.
        :raises ConfigurationError: when the kubeconfig cannot be read.
        """
        check_existing(self._vault, self._timeouts)
        cluster = Cluster(self._kubeconfig, context=self._context, timeouts=self._timeouts)
        version = cluster.version
        admin = VaultAdmin(self._vault, self._timeouts)
        with contextlib.ExitStack() as undo:
            if self._crds is not None:
                # CRDs stay: removing them would remove everybody's certificates.
                install_contract(cluster, crd_manifests(self._crds), replace=False)
            refuse_another_run(cluster)
            undo.callback(remove_everything, cluster, self._run, self._timeouts)
            reviewer_token = install_reviewer(cluster, self._run)
            kubernetes = Kubernetes(
                kubeconfig=str(self._kubeconfig),
                context=self._context,
                url_for_vault=self._url_for_vault or cluster.server,
                ca_pem=_ca_of(cluster),
            )
            mounts = mount_defaults(admin, kubernetes, reviewer_token)
            undo.callback(unmount, admin, mounts)
            check_reviews(admin, kubernetes, reviewer_token)
            undo.pop_all()
        return Stack(
            provider=NAME,
            reason=self._reason,
            disposable=False,
            kubernetes=kubernetes,
            vault=self._vault,
            components={"kubernetes": version, admin.product: admin.version},
            reviewer_token=reviewer_token,
            bind=self._bind,
            created_mounts=mounts,
            run=self._run,
        )


def stop(stack: Stack, timeouts: Timeouts) -> None:
    """Remove everything that :meth:`ExistingProvider.start` added, the CRDs excepted."""
    admin = VaultAdmin(stack.vault, timeouts)
    unmount(admin, stack.created_mounts)
    cluster = Cluster(Path(stack.kubernetes.kubeconfig), context=stack.kubernetes.context, timeouts=timeouts)
    remove_everything(cluster, stack.run, timeouts)


def _ca_of(cluster: Cluster) -> str:
    # Published in every namespace since Kubernetes 1.20; what the kubeconfig trusts may be a front of the server.
    published = cluster.find(CONFIG_MAPS, "kube-root-ca.crt", "default") or {}
    pem = published.get("data", {}).get("ca.crt") or cluster.ca_pem
    if not pem:
        raise ConfigurationError(
            "neither the cluster nor the kubeconfig says which CA the API server has",
            hint="name one in the kubeconfig (certificate-authority-data)",
        )
    return str(pem)
