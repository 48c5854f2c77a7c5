"""Provider ``existing``: a Vault and a cluster that the user names. A session removes what it created there."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ...errors import ConfigurationError
from ...kube.client import CONFIG_MAPS, Cluster, Kubernetes
from ...options import TOKEN_VARIABLE
from ...vault.client import VaultServer
from ...vault.server import VaultAdmin, check_existing
from .. import finish, record
from ..bootstrap import check_reviews, complete_stack
from ..kubeconfig import private_copy
from ..record import CleanupRecord, SessionInfo
from ..types import Provider, Stack

NAME = "existing"
#: Default address of the servers of the tests.
LOOPBACK = "127.0.0.1"


class ExistingProvider(Provider):
    """Uses the Vault and the cluster that the settings name; the cluster gets cert-manager's CRDs if it has none."""

    name: ClassVar[str] = NAME
    has_nodes: ClassVar[bool] = True
    is_local: ClassVar[bool] = False

    def start(self) -> Stack:
        """Check the cluster and Vault, create what tests need there, and return them as a stack.

        It registers the cleanup with the record of what it creates. The nodes pull images themselves.

        :raises StackError: if the cluster or Vault cannot be reached or used.
        :raises ConfigurationError: if the kubeconfig, the token or the CA file cannot be read.
        """
        settings = self._settings
        assert settings.kubeconfig is not None
        session = self._run.path.name
        vault = self._vault()
        check_existing(vault, self._timeouts)
        kubeconfig = private_copy(settings.kubeconfig, settings.kube_context, self._run.write)
        cluster = Cluster(kubeconfig, timeouts=self._timeouts)
        _ = cluster.version  # fails here, before anything is created, if the cluster does not answer
        for line in record.notices():
            self._progress(line)
        written = self._begin_record(settings.kubeconfig, vault, cluster.server, kubeconfig)
        cluster.announcing(written.announce_type)
        admin = VaultAdmin(vault, self._timeouts, session=session, announce=written.announcer(session))
        kubernetes = Kubernetes(
            kubeconfig=str(kubeconfig),
            url_for_vault=settings.kubernetes_host or cluster.server,
            ca_pem=_ca_of(cluster),
        )
        stack = complete_stack(
            NAME,
            self.reason,
            session,
            kubernetes,
            cluster,
            self._toolchain.crds(),
            lambda: admin,
            foreign=True,
            bind=settings.bind or LOOPBACK,
            record=str(written.path),
        )
        check_reviews(admin, kubernetes, stack.reviewer_token, session)
        return stack

    def _vault(self) -> VaultServer:
        settings = self._settings
        if settings.vault_ca_cert is not None and not settings.vault_ca_cert.is_file():
            raise ConfigurationError(
                f"--vault-issuer-vault-ca-cert={settings.vault_ca_cert} does not exist", hint="check the path"
            )
        token = settings.vault_token()
        self._run.redactor.add(token)  # before its first use
        return VaultServer(url=settings.vault_addr.rstrip("/"), ca_file=str(settings.vault_ca_cert or ""), token=token)

    def _begin_record(self, source: Path, vault: VaultServer, server: str, kubeconfig: Path) -> CleanupRecord:
        settings = self._settings
        session_info = SessionInfo(
            session=self._run.path.name,
            directory=str(self._run.path),
            kubeconfig=str(source.absolute()),
            context=settings.kube_context or "",
            server=server,
            vault_addr=vault.url,
            vault_ca=str(Path(vault.ca_file).absolute()) if vault.ca_file else "",
            token_file=str(settings.vault_token_file.absolute()) if settings.vault_token_file else "",
            timeout_scale=settings.timeout_scale,
        )
        return finish.begin(self._run, session_info, kubeconfig, self._timeouts, {TOKEN_VARIABLE: vault.token})


def _ca_of(cluster: Cluster) -> str:
    # Kubernetes 1.20 and later publish it in every namespace. The kubeconfig may trust a proxy in front of the server.
    published = cluster.find(CONFIG_MAPS, "kube-root-ca.crt", "default") or {}
    pem = published.get("data", {}).get("ca.crt") or cluster.ca_pem
    if not pem:
        raise ConfigurationError(
            "the CA of the API server is unknown: neither the cluster nor the kubeconfig contains it",
            hint="add it to the kubeconfig (certificate-authority-data)",
        )
    return str(pem)
