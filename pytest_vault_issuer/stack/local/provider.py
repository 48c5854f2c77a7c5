"""Provider ``process``: everything as local processes on loopback, TLS everywhere, nothing left behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...errors import StackError
from ...kube.client import Cluster
from ...supervisor.run_directory import RunDirectory
from ...timeouts import Timeouts
from ...toolchain import Binaries
from ...vault.server import VaultAdmin
from ..bootstrap import install_contract, install_reviewer, mount_defaults, open_vault
from ..certificates import StackAuthority
from ..types import Stack, crd_manifests
from .kubernetes import KubernetesProcesses
from .vault import VaultProcesses

NAME = "process"


class ProcessProvider:
    """Starts etcd, kube-apiserver, kube-controller-manager and Vault from binaries.

    :param reason: why this provider was chosen, for people.
    """

    name = NAME

    def __init__(self, run: RunDirectory, binaries: Binaries, timeouts: Timeouts, *, reason: str) -> None:
        self._run = run
        self._binaries = binaries
        self._timeouts = timeouts
        self._reason = reason

    def start(self) -> Stack:
        """Start everything and return it ready.

        :raises StackError: with the log of the component that failed.
        """
        if self._binaries.crds is None:
            raise StackError("cert-manager's CRDs are not there", hint="run: vault-issuer toolchain build cert-manager")
        authority = StackAuthority(self._run)
        VaultProcesses.prepare(authority)
        control_plane = KubernetesProcesses(self._run, authority, self._binaries, self._timeouts)
        vaults = VaultProcesses(self._run, authority.file, self._binaries.vault, self._timeouts)
        control_plane.spawn()
        # Vault is ready long before the API server is: set it up in the meantime.
        with ThreadPoolExecutor(1) as background:
            starting = background.submit(self._start_vault, vaults)
            kubernetes = control_plane.wait()
            cluster = Cluster(Path(kubernetes.kubeconfig), timeouts=self._timeouts)
            install_contract(cluster, crd_manifests(self._binaries.crds), ours=True, session=self._run.path.name)
            reviewer_token = install_reviewer(cluster, self._run.path.name)
            admin = starting.result()
        mounts = mount_defaults(admin, kubernetes, reviewer_token)
        components = {"kubernetes": cluster.version, admin.product: admin.version}
        cluster.close()
        return Stack(
            provider=NAME,
            reason=self._reason,
            disposable=True,
            kubernetes=kubernetes,
            vault=admin.server,
            components=components,
            reviewer_token=reviewer_token,
            run=self._run.path.name,
            created_mounts=mounts,
            vault_binary=str(self._binaries.vault),
        )

    def _start_vault(self, vaults: VaultProcesses) -> VaultAdmin:
        server = vaults.start_vault()
        return open_vault(
            server,
            self._timeouts,
            which="Vault",
            hint="name another binary with --vault-issuer-vault-binary",
            log=lambda: self._run.log_tail(server.name),
        )
