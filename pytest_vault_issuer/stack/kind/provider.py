"""Provider ``kind``: Vault in a container, Kubernetes in kind, on a container network of the run's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigurationError, StackError
from ...kube.client import Cluster
from ...kube.cluster_info import Kubernetes
from ...supervisor import interpreter
from ...supervisor.run_directory import RunDirectory
from ...timeouts import Timeouts
from ...toolchain.images import NeededImage
from ...vault.server import VaultAdmin
from .. import finish, record
from ..bootstrap import install_contract, install_reviewer, mount_defaults, open_vault
from ..certificates import StackAuthority
from ..record import Whereabouts
from ..types import Stack, crd_manifests
from . import cleanup
from .cluster import KindClusters, check_pytest_kind, find_kind, node_images
from .engine import Engine, Owner
from .reachability import check_node, check_pods
from .vault import VaultContainers, domain_of

if TYPE_CHECKING:
    from docker.models.containers import Container

NAME = "kind"
#: What the nodes' image is for.
NODES = "the nodes of the cluster"
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


def needed_images(options: KindOptions) -> list[NeededImage]:
    """Return the images that a stack is made of.

    :raises ConfigurationError: when kind's configuration cannot be read, or a mirror is named and kind would pull its
        nodes' image past it.
    """
    vault = NeededImage(options.vault_image, "Vault")
    if options.cluster:
        return [vault]
    nodes = [options.node_image] if options.node_image else node_images(options.config)
    if options.mirror and not all(nodes):
        raise ConfigurationError(
            f"kind would pull the image of its nodes from docker.io, not from {options.mirror}",
            hint="name it in --vault-issuer-node-image: each release of kind lists those that it goes with",
        )
    return [vault, *(NeededImage(image, NODES) for image in nodes if image)]


def check(program: Path | None, options: KindOptions, images: Iterable[NeededImage]) -> None:
    """See that everything is there that a run needs and does not build: kind, an engine, the images, a named cluster.

    :param program: kind's path, where the user names it.
    :param images: pulled where the engine has them not.
    :raises ConfigurationError: when a program or package is missing.
    :raises StackError: when no engine answers, an image cannot be had, or there is no such cluster.
    """
    find_kind(program)
    check_pytest_kind()
    with contextlib.closing(Engine()) as engine:
        if options.cluster:
            _nodes(engine, options.cluster)
        for image in images:
            engine.provide(image.image, options.mirror)


def _nodes(engine: Engine, cluster: str) -> list[Container]:
    """Return the nodes of a cluster that was there before. :raises StackError: when there is none."""
    nodes = engine.nodes(cluster)
    if not nodes:
        raise StackError(
            f"there is no kind cluster named {cluster}",
            hint="kind get clusters shows those that there are; where none is named, the run makes one",
        )
    return nodes


class KindProvider:
    """Starts a Vault by testcontainers and a cluster by pytest-kind.

    :param program: kind's path.
    :param crds: directory of cert-manager's CRDs.
    :param scale: of the timeouts.
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
        scale: float = 1.0,
    ) -> None:
        self._run = run
        self._engine = engine
        self._program = program
        self._scale = scale
        self._clusters = KindClusters(run, engine, program, timeouts)
        self._crds = crds
        self._options = options
        self._timeouts = timeouts
        self._progress = progress
        self._reason = reason

    def start(self) -> Stack:
        """Start everything and return it ready; what was made goes with the run, also when this fails.

        What it needs is there: see :func:`check`.

        :raises StackError: with the log of what failed.
        """
        options, owner = self._options, Owner.of(self._run)
        for run, names in cleanup.remove_orphans(self._engine).items():
            self._progress(f"vault-issuer: removed what the killed run {run} had left: {', '.join(names)}")
        remove_at_end(self._run)
        self._engine.create_network(owner)
        network = self._network(owner)
        authority = StackAuthority(self._run)
        VaultContainers.prepare(authority, owner)
        vaults = VaultContainers(self._engine, owner, network, options.vault_image, authority.file, self._timeouts)
        admin = self._start_vault(vaults)
        # Podman gives a network its address with the first container that is on it.
        bind = options.bind or self._engine.gateway(network)
        kubernetes = self._kubernetes(owner)
        check_node(self._engine, self._cluster_name(owner), bind, self._timeouts)
        stack = self._prepare(owner, kubernetes, admin, network=network, bind=bind)
        self._engine.close()
        return stack

    def _cluster_name(self, owner: Owner) -> str:
        return self._options.cluster or owner.run

    def _network(self, owner: Owner) -> str:
        """Return the network that the cluster is on, or is to be on."""
        name = self._options.cluster
        return self._engine.network_of(_nodes(self._engine, name)[0]) if name else owner.run

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
        written = "" if ours else self._begin_record(cluster, owner.run)
        reviewer_token = install_reviewer(cluster, owner.run)
        install_contract(cluster, crd_manifests(self._crds), ours=ours, session=owner.run)
        mounts = mount_defaults(admin, kubernetes, reviewer_token)
        components = {"kubernetes": cluster.version, admin.product: admin.version}
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
            foreign=not ours,
            record=written,
        )

    def _begin_record(self, cluster: Cluster, session: str) -> str:
        """Write what is to be removed from a cluster that is not the run's own; return the record's path."""
        for line in record.notices():
            self._progress(line)
        whereabouts = Whereabouts(
            session=session,
            directory=str(self._run.path),
            server=cluster.server,
            kind_cluster=self._options.cluster,
            kind_binary=str(self._program),
            scale=self._scale,
        )
        written = finish.begin(self._run, whereabouts, self._clusters.kubeconfig, self._timeouts, {})
        cluster.announcing(written.announce_type)
        return str(written.path)


def prepare_nodes(
    stack: Stack, run: RunDirectory, program: Path, images: Iterable[NeededImage], timeouts: Timeouts
) -> None:
    """Load the images that are to be there into the nodes of a stack's cluster, and see that pods reach this machine.

    :param program: kind's path.
    :param images: which the engine has: see :func:`check`.
    :raises StackError: when one cannot be loaded, or pods do not reach the tests' servers.
    """
    engine = Engine()
    with contextlib.closing(engine):
        clusters = KindClusters(run, engine, program, timeouts)
        for image in images:
            if image.in_nodes:
                clusters.load(stack.kind_cluster, image.image)
        check_pods(engine, stack.kind_cluster, stack.bind, timeouts)


def remove_at_end(run: RunDirectory) -> None:
    """Have everything of a run on the engine be removed at its end, however that comes."""
    with contextlib.closing(Engine()) as engine:
        run.at_end(cleanup.command(run.path.name), engine.environment | interpreter.environment())


def launcher(stack: Stack, run: RunDirectory, timeouts: Timeouts) -> VaultContainers:
    """Return what starts further Vaults beside a stack's own.

    :param run: whose they are; the stack may be another's, which it has joined.
    """
    host = Path(stack.kubernetes.kubeconfig).parent
    certificates, owner = host / "pki/ca.pem", Owner.of(run)
    return VaultContainers(
        Engine(), owner, stack.network, stack.vault_image, certificates, timeouts, domain=domain_of(host)
    )
