"""Provider ``process``: Vault and Kubernetes as local processes on loopback, with TLS; nothing outlives the session."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from ...errors import NotRunnable
from ...kube.client import Cluster
from ...options import Settings
from ...toolchain import CRDS, KUBERNETES, Binaries, origins, resolve
from ...vault.server import VaultAdmin
from ..bootstrap import complete_stack, open_vault
from ..certificates import StackAuthority
from ..types import Provider, Stack
from .control_plane import LocalControlPlane
from .kubernetes import KubernetesProcesses
from .vault import VaultProcesses

NAME = "process"


def needed_binaries(settings: Settings) -> list[str]:
    """Return the names of the toolchain's binaries that a stack of these settings needs."""
    given = _given(settings)
    return [name for name in (*KUBERNETES, "vault", CRDS) if name not in given]


def _given(settings: Settings) -> list[str]:
    """Return the names of the binaries that the user provides."""
    directory = settings.kubernetes_binaries
    given = [name for name in KUBERNETES if directory and (directory / name).is_file()]
    return [*given, "vault"] if settings.vault_binary else given


class ProcessProvider(Provider):
    """Starts etcd, kube-apiserver, kube-controller-manager and Vault from binaries."""

    name: ClassVar[str] = NAME
    has_nodes: ClassVar[bool] = False
    is_local: ClassVar[bool] = True

    def binaries(self) -> list[str]:
        """Return the names of those that the user does not provide."""
        return needed_binaries(self._settings)

    def given(self) -> dict[str, str]:
        """Return the binaries that the user provides."""
        return dict.fromkeys(_given(self._settings), "named by you")

    def start(self) -> Stack:
        """Start the processes and return the stack when it is ready.

        :raises ToolchainError: if a binary is not built.
        :raises ConfigurationError: if a binary of the user cannot be executed.
        :raises StackError: with the log of the component that failed.
        """
        settings = self._settings
        binaries = resolve(self._toolchain, kubernetes_dir=settings.kubernetes_binaries, vault=settings.vault_binary)
        authority = StackAuthority(self._run)
        VaultProcesses.prepare(authority)
        control_plane = KubernetesProcesses(self._run, authority, binaries, self._timeouts)
        control_plane.spawn()
        # Vault is ready long before the API server: set it up in parallel.
        with ThreadPoolExecutor(2) as background:
            starting = background.submit(self._start_vault, authority, binaries)
            identifying = background.submit(origins, self._toolchain, binaries)
            kubernetes = control_plane.wait()
            return complete_stack(
                NAME,
                self.reason,
                self._run.path.name,
                kubernetes,
                Cluster(Path(kubernetes.kubeconfig), timeouts=self._timeouts),
                binaries.crds,
                starting.result,
                foreign=False,
                vault_binary=str(binaries.vault),
                origins=identifying.result(),
            )

    def _start_vault(self, authority: StackAuthority, binaries: Binaries) -> VaultAdmin:
        server = VaultProcesses(self._run, authority.file, binaries.vault, self._timeouts).start_vault()
        return open_vault(
            server,
            self._timeouts,
            which="Vault",
            hint="name another binary with --vault-issuer-vault-binary",
            log=lambda: self._run.log_tail(server.name),
        )

    def launcher(self, stack: Stack) -> VaultProcesses:
        """Return a launcher that starts the stack's Vault binary."""
        return VaultProcesses(self._run, Path(stack.vault.ca_file), Path(stack.vault_binary), self._timeouts)

    def control_plane(self, stack: Stack) -> LocalControlPlane:
        """Return the control plane of the session's own stack.

        :raises NotRunnable: if the stack belongs to another session.
        """
        if self._settings.join is not None:
            raise NotRunnable(
                "the API server belongs to the session that this one joins", hint="run without --vault-issuer-join"
            )
        return LocalControlPlane(self._run, Path(stack.kubernetes.kubeconfig), self._timeouts)
