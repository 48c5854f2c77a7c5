"""Provider ``existing``: a Vault and a cluster the user names; what is made there is removed at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import ConfigurationError
from ...kube.client import CONFIG_MAPS, Cluster
from ...kube.cluster_info import Kubernetes
from ...options import TOKEN_VARIABLE
from ...supervisor.run_directory import RunDirectory
from ...timeouts import Timeouts
from ...vault.connection import VaultServer
from ...vault.server import VaultAdmin, check_existing
from .. import finish, record
from ..bootstrap import check_reviews, install_contract, install_reviewer, mount_defaults
from ..kubeconfig import private_copy
from ..record import CleanupRecord, Whereabouts
from ..types import Stack, crd_manifests

NAME = "existing"


class ExistingProvider:
    """Uses what is there.

    :param run: whose supervisor removes everything at the end.
    :param kubeconfig: named by the user; never the ambient one.
    :param vault: with a token that may mount, write policies and create tokens.
    :param token_file: the file that has the token, None where the environment does.
    :param url_for_vault: where Vault reaches the API server, default the kubeconfig's server.
    :param crds: directory of cert-manager's CRDs, for a cluster without them.
    :param scale: of the timeouts.
    """

    name = NAME

    def __init__(
        self,
        run: RunDirectory,
        kubeconfig: Path,
        vault: VaultServer,
        timeouts: Timeouts,
        progress: Callable[[str], None],
        *,
        reason: str,
        context: str | None = None,
        token_file: Path | None = None,
        url_for_vault: str | None = None,
        crds: Path | None = None,
        bind: str = "127.0.0.1",
        scale: float = 1.0,
    ) -> None:
        self._run = run
        self._kubeconfig = kubeconfig
        self._context = context
        self._vault = vault
        self._timeouts = timeouts
        self._progress = progress
        self._reason = reason
        self._token_file = token_file
        self._url_for_vault = url_for_vault
        self._crds = crds
        self._bind = bind
        self._scale = scale

    def start(self) -> Stack:
        """Check both, add what a test needs, and return them; whatever was added goes at the session's end.

        :raises StackError: when one cannot be reached or used.
        :raises ConfigurationError: when the kubeconfig cannot be read.
        """
        session = self._run.path.name
        check_existing(self._vault, self._timeouts)
        kubeconfig = private_copy(self._kubeconfig, self._context, self._run.write)
        cluster = Cluster(kubeconfig, timeouts=self._timeouts)
        version = cluster.version
        for line in record.notices():
            self._progress(line)
        written = self._begin_record(cluster.server, kubeconfig)
        cluster.announcing(written.announce_type)
        admin = VaultAdmin(self._vault, self._timeouts, session=session, announce=written.announcer(session))
        reviewer_token = install_reviewer(cluster, session)
        if self._crds is not None:
            install_contract(cluster, crd_manifests(self._crds), ours=False, session=session)
        kubernetes = Kubernetes(
            kubeconfig=str(kubeconfig),
            url_for_vault=self._url_for_vault or cluster.server,
            ca_pem=_ca_of(cluster),
        )
        mounts = mount_defaults(admin, kubernetes, reviewer_token)
        check_reviews(admin, kubernetes, reviewer_token, session)
        cluster.close()
        return Stack(
            provider=NAME,
            reason=self._reason,
            disposable=False,
            foreign=True,
            kubernetes=kubernetes,
            vault=self._vault,
            components={"kubernetes": version, admin.product: admin.version},
            reviewer_token=reviewer_token,
            bind=self._bind,
            created_mounts=mounts,
            run=session,
            record=str(written.path),
        )

    def _begin_record(self, server: str, kubeconfig: Path) -> CleanupRecord:
        whereabouts = Whereabouts(
            session=self._run.path.name,
            directory=str(self._run.path),
            kubeconfig=str(self._kubeconfig.absolute()),
            context=self._context or "",
            server=server,
            vault_addr=self._vault.url,
            vault_ca=str(Path(self._vault.ca_file).absolute()) if self._vault.ca_file else "",
            token_file=str(self._token_file.absolute()) if self._token_file else "",
            scale=self._scale,
        )
        return finish.begin(self._run, whereabouts, kubeconfig, self._timeouts, {TOKEN_VARIABLE: self._vault.token})


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
