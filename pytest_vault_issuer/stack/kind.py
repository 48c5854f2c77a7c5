"""Provider ``kind``: Vault in a container, Kubernetes in kind, on a container network of the run's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..cluster.api import Cluster
from ..errors import StackError
from ..timeouts import Timeouts
from ..vault.server import VaultAdmin
from . import cleanup
from .certificates import StackAuthority
from .engine import Engine, Owner
from .kind_cluster import KindClusters
from .model import Kubernetes, Stack, crd_manifests
from .preparation import (
    install_contract,
    install_reviewer,
    mount_defaults,
    open_vault,
    refuse_another_run,
    remove_everything,
    remove_reviewer,
)
from .reachability import check_node, check_pods
from .run_directory import RunDirectory
from .vault_container import VaultContainers

NAME = "kind"
#: Vault's modes.
SERVER, DEV = "server", "dev"


@dataclass(frozen=True)
class KindOptions:
    """What the user decides.

    :ivar vault_image: of HashiCorp's Vault or OpenBao.
    :ivar vault_mode: `SERVER`: started sealed, with TLS; `DEV`: as the image does by itself.
    :ivar node_image: '' for kind's own.
    :ivar config: kind's configuration file.
    :ivar cluster: name of a cluster that is there, to be used and left; '' for one of the run's own.
    :ivar mirror: registry in whose place images are pulled; '' for none.
    :ivar bind: address of this machine that containers reach; '' for the network's gateway.
    """

    vault_image: str
    vault_mode: str = SERVER
    node_image: str = ""
    config: Path | None = None
    cluster: str = ""
    mirror: str = ""
    bind: str = ""


class KindProvider:
    """Starts a Vault by testcontainers and a cluster by pytest-kind.

    :param program: kind's path.
    :param crds: directory of cert-manager's CRDs.
    """

    name = NAME

    def __init__(
        self,
        run: RunDirectory,
        engine: Engine,
        program: Path,
        crds: Path,
        options: KindOptions,
        timeouts: Timeouts,
        progress: Callable[[str], None],
        *,
        reason: str,
    ) -> None:
        self._run = run
        self._engine = engine
        self._clusters = KindClusters(run, engine, program, timeouts)
        self._crds = crds
        self._options = options
        self._timeouts = timeouts
        self._progress = progress
        self._reason = reason

    def start(self) -> Stack:
        """Start everything and return it ready; what was made goes with the run, also when this fails.

        :raises StackError: with the log of what failed.
        """
        options, owner = self._options, Owner(self._run.path.name, self._run.path)
        for run, names in cleanup.remove_orphans(self._engine).items():
            self._progress(f"vault-issuer: removed what the killed run {run} had left: {', '.join(names)}")
        for image in (options.vault_image, "" if options.cluster else options.node_image):
            if image:
                self._engine.provide(image, options.mirror)
        self._run.at_end(cleanup.command(owner.run), self._engine.environment)
        self._engine.create_network(owner)
        network = self._network(owner)
        bind = options.bind or self._engine.gateway(network)
        authority = StackAuthority(self._run)
        VaultContainers.prepare(authority, owner)
        vaults = VaultContainers(self._engine, owner, network, options.vault_image, authority.file, self._timeouts)
        # Vault is ready long before the cluster is.
        with ThreadPoolExecutor(1) as background:
            starting = background.submit(self._start_vault, vaults)
            kubernetes = self._kubernetes(owner)
            admin = starting.result()
        check_node(self._engine, self._cluster_name(owner), bind, self._timeouts)
        stack = self._prepare(owner, kubernetes, admin, network=network, bind=bind)
        self._engine.close()
        return stack

    def _cluster_name(self, owner: Owner) -> str:
        return self._options.cluster or owner.run

    def _network(self, owner: Owner) -> str:
        """Return the network that the cluster is on, or is to be on."""
        name = self._options.cluster
        if not name:
            return owner.run
        nodes = self._engine.nodes(name)
        if not nodes:
            raise StackError(
                f"there is no kind cluster named {name}",
                hint="kind get clusters shows those that there are; where none is named, the run makes one",
            )
        return self._engine.network_of(nodes[0])

    def _kubernetes(self, owner: Owner) -> Kubernetes:
        if self._options.cluster:
            return self._clusters.describe(self._options.cluster)
        return self._clusters.create(owner.run, owner.run, image=self._options.node_image, config=self._options.config)

    def _start_vault(self, vaults: VaultContainers) -> VaultAdmin:
        if self._options.vault_mode == DEV:
            return VaultAdmin(vaults.start_dev(), self._timeouts)
        return open_vault(
            vaults.start_vault(),
            self._timeouts,
            which=f"Vault ({self._options.vault_image})",
            hint="name another image in --vault-issuer-vault-image",
        )

    def _prepare(self, owner: Owner, kubernetes: Kubernetes, admin: VaultAdmin, *, network: str, bind: str) -> Stack:
        """Add what tests need to cluster and Vault."""
        ours = not self._options.cluster
        cluster = Cluster(Path(kubernetes.kubeconfig), timeouts=self._timeouts)
        with contextlib.ExitStack() as undo:
            install_contract(cluster, crd_manifests(self._crds), replace=ours)
            if not ours:
                refuse_another_run(cluster)
                undo.callback(remove_reviewer, cluster)
            reviewer_token = install_reviewer(cluster, owner.run)
            mounts = mount_defaults(admin, kubernetes, reviewer_token)
            undo.pop_all()
        components = {"kubernetes": cluster.version, "vault": admin.version}
        cluster.close()
        return Stack(
            provider=NAME,
            reason=self._reason,
            disposable=ours,
            kubernetes=kubernetes,
            vault=admin.server,
            components=components,
            reviewer_token=reviewer_token,
            bind=bind,
            created_mounts=mounts,
            run=owner.run,
            vault_image=self._options.vault_image,
            kind_cluster=self._cluster_name(owner),
            network=network,
        )


def stop(stack: Stack, timeouts: Timeouts) -> None:
    """Remove what was added to a cluster that is not the run's own, the CRDs excepted; the rest goes with the run."""
    if not stack.disposable:
        cluster = Cluster(Path(stack.kubernetes.kubeconfig), timeouts=timeouts)
        remove_everything(cluster, stack.run, timeouts)


def prepare_nodes(
    stack: Stack, run: RunDirectory, program: Path, images: Iterable[str], timeouts: Timeouts, mirror: str
) -> None:
    """Load images into the nodes of a stack's cluster, and see that its pods reach this machine.

    :param program: kind's path.
    :param images: pulled where the engine has them not.
    :param mirror: registry in whose place images are pulled; '' for none.
    :raises StackError: when one cannot be had, or pods do not reach the tests' servers.
    """
    engine = Engine()
    with contextlib.closing(engine):
        clusters = KindClusters(run, engine, program, timeouts)
        for image in images:
            engine.provide(image, mirror)
            clusters.load(stack.kind_cluster, image)
        check_pods(engine, stack.kind_cluster, stack.bind, timeouts)


def launcher(stack: Stack, timeouts: Timeouts) -> VaultContainers:
    """Return what starts further Vaults beside a stack's own."""
    # The certificates are those of the run that the stack belongs to, which another may have joined.
    directory = Path(stack.kubernetes.kubeconfig).parent
    owner = Owner(stack.run, directory)
    return VaultContainers(Engine(), owner, stack.network, stack.vault_image, directory / "pki/ca.pem", timeouts)
