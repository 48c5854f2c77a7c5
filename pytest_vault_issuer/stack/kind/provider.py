"""Provider ``kind``: Vault in a container and Kubernetes in kind, on a container network of the session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...errors import ConfigurationError, StackError, ToolchainError, VaultIssuerError
from ...kube.client import Cluster, Kubernetes
from ...options import Settings
from ...supervisor import interpreter
from ...toolchain import Origin
from ...toolchain.images import NeededImage
from ...toolchain.sources import of_image
from ...vault.server import VaultAdmin
from .. import finish, record
from ..bootstrap import complete_stack, open_vault
from ..certificates import StackAuthority
from ..record import SessionInfo
from ..types import Provider, Stack
from . import cleanup
from .cluster import KindClusters, check_pytest_kind, find_program, node_images
from .engine import Engine, Owner
from .reachability import check_node, check_pods
from .vault import VaultContainers, domain_of

if TYPE_CHECKING:
    from docker.models.containers import Container

NAME = "kind"
#: Purpose of the node image.
NODES = "the nodes of the cluster"
#: Value of ``--vault-issuer-vault-mode`` that starts Vault with the default command of its image.
DEV = "dev"


def find_engine(settings: Settings) -> str | None:
    """Return the address of the container engine; None if the engine or kind is missing."""
    try:
        find_program("kind", settings.kind_binary)
        with contextlib.closing(Engine()) as engine:
            return engine.address
    except VaultIssuerError:
        return None


def _nodes(engine: Engine, cluster: str) -> list[Container]:
    """Return the nodes of an existing cluster. :raises StackError: if there is no such cluster."""
    nodes = engine.nodes(cluster)
    if not nodes:
        raise StackError(
            f"there is no kind cluster named {cluster}",
            hint="list the clusters: kind get clusters; without a name, the session creates one",
        )
    return nodes


def _origins(engine: Engine, cluster: str, vault_image: str) -> list[Origin]:
    """Return the images of the nodes and of Vault. The engine knows the digests of those that it pulled."""
    node_image = str(_nodes(engine, cluster)[0].attrs["Config"]["Image"])
    images = {"kubernetes": node_image, "vault": vault_image}
    return [of_image(name, image, engine.digest(image)) for name, image in images.items()]


class KindProvider(Provider):
    """Starts a Vault with testcontainers and a cluster with pytest-kind."""

    name: ClassVar[str] = NAME
    has_nodes: ClassVar[bool] = True
    is_local: ClassVar[bool] = False

    def given(self) -> dict[str, str]:
        """Return the images of the stack."""
        settings = self._settings
        nodes = f"of the kind cluster {settings.kind_cluster}" if settings.kind_cluster else settings.node_image
        return {"vault": settings.vault_image, "kubernetes": nodes or "image that kind chooses"}

    def images(self, controller: Iterable[str]) -> list[NeededImage]:
        """Return the images of the stack, unless the session joins one, and those of the controller.

        :raises ConfigurationError: if kind's configuration cannot be read, or if kind would pull the node image
            without the mirror.
        """
        stack = self._stack_images() if self._settings.join is None else []
        return [*stack, *(NeededImage(image, "the controller", in_nodes=True) for image in controller)]

    def _stack_images(self) -> list[NeededImage]:
        settings = self._settings
        vault = NeededImage(settings.vault_image, "Vault")
        if settings.kind_cluster:
            return [vault]
        nodes = [settings.node_image] if settings.node_image else node_images(settings.kind_config)
        if settings.registry_mirror and not all(nodes):
            raise ConfigurationError(
                f"kind would pull the image of its nodes from docker.io, not from {settings.registry_mirror}",
                hint="name the image in --vault-issuer-node-image: the release notes of kind list its node images",
            )
        return [vault, *(NeededImage(image, NODES) for image in nodes if image)]

    def check(self, images: Iterable[NeededImage]) -> None:
        """Check that kind, an engine, the images and the named cluster exist.

        A joined session whose controller needs no image uses none of them.

        :raises ConfigurationError: if a program or package is missing.
        :raises StackError: if no engine answers, an image cannot be pulled, or the named cluster does not exist.
        """
        if not (images := list(images)):
            return
        find_program("kind", self._settings.kind_binary)
        check_pytest_kind()
        with contextlib.closing(Engine()) as engine:
            if self._settings.kind_cluster:
                _nodes(engine, self._settings.kind_cluster)
            for image in images:
                engine.provide(image.image, self._settings.registry_mirror)

    def start(self) -> Stack:
        """Start the containers and return the stack when it is ready.

        The supervisor removes everything at the session's end, also if the start fails.

        :raises ToolchainError: if the CRDs are not built.
        :raises StackError: with the log of the component that failed.
        """
        settings = self._settings
        crds = self._toolchain.crds()
        if crds is None:
            raise ToolchainError("cert-manager's CRDs are not built", hint="run: vault-issuer toolchain build")
        program = find_program("kind", settings.kind_binary)
        with contextlib.closing(Engine()) as engine:
            owner = Owner.of(self._run)
            for run, names in cleanup.remove_orphans(
                engine, lambda line: self._progress(f"vault-issuer: {line}")
            ).items():
                self._progress(
                    f"vault-issuer: removed orphaned resources of the killed session {run}: {', '.join(names)}"
                )
            self.stop_at_end()
            engine.create_network(owner)
            network = engine.network_of(_nodes(engine, settings.kind_cluster)[0]) if self._is_foreign else owner.run
            authority = StackAuthority(self._run)
            VaultContainers.prepare(authority, owner)
            vaults = VaultContainers(engine, owner, network, settings.vault_image, authority.file, self._timeouts)
            admin = self._start_vault(vaults)
            # Podman assigns a network's address when its first container starts.
            bind = settings.bind or engine.gateway(network)
            clusters = KindClusters(self._run, engine, program, self._timeouts)
            kubernetes = self._kubernetes(clusters, owner)
            name = settings.kind_cluster or owner.run
            check_node(engine, name, bind, self._timeouts)
            cluster = Cluster(Path(kubernetes.kubeconfig), timeouts=self._timeouts)
            written = self._begin_record(cluster, clusters.kubeconfig, program) if self._is_foreign else ""
            return complete_stack(
                NAME,
                self.reason,
                owner.run,
                kubernetes,
                cluster,
                crds,
                lambda: admin,
                foreign=self._is_foreign,
                bind=bind,
                vault_image=settings.vault_image,
                kind_cluster=name,
                network=network,
                record=written,
                origins=_origins(engine, name, settings.vault_image),
            )

    @property
    def _is_foreign(self) -> bool:
        return bool(self._settings.kind_cluster)

    def _kubernetes(self, clusters: KindClusters, owner: Owner) -> Kubernetes:
        settings = self._settings
        if self._is_foreign:
            return clusters.describe(settings.kind_cluster)
        return clusters.create(owner.run, owner.run, node_image=settings.node_image, kind_config=settings.kind_config)

    def _start_vault(self, vaults: VaultContainers) -> VaultAdmin:
        if self._settings.vault_mode == DEV:
            return VaultAdmin(vaults.start_dev(), self._timeouts)
        return open_vault(
            vaults.start_vault(),
            self._timeouts,
            which=f"Vault ({self._settings.vault_image})",
            hint="name another image in --vault-issuer-vault-image",
        )

    def _begin_record(self, cluster: Cluster, kubeconfig: Path, program: Path) -> str:
        """Begin the cleanup record for an existing cluster; return its path."""
        for line in record.notices():
            self._progress(line)
        session_info = SessionInfo(
            session=self._run.path.name,
            directory=str(self._run.path),
            server=cluster.server,
            kind_cluster=self._settings.kind_cluster,
            kind_binary=str(program),
            timeout_scale=self._settings.timeout_scale,
        )
        written = finish.begin(self._run, session_info, kubeconfig, self._timeouts, {})
        cluster.announcing(written.announce_type)
        return str(written.path)

    def prepare(self, stack: Stack, images: Iterable[NeededImage]) -> None:
        """Load the controller's images into the nodes, and check that pods reach this machine.

        :param images: which the engine has: see :meth:`check`.
        :raises StackError: if an image cannot be loaded, or if pods cannot reach the servers of the tests.
        """
        program = find_program("kind", self._settings.kind_binary)
        with contextlib.closing(Engine()) as engine:
            clusters = KindClusters(self._run, engine, program, self._timeouts)
            for image in images:
                if image.in_nodes:
                    clusters.load(stack.kind_cluster, image.image)
            check_pods(engine, stack.kind_cluster, stack.bind, self._timeouts)

    def launcher(self, stack: Stack) -> VaultContainers:
        """Return a launcher that starts the stack's Vault image on the stack's network."""
        directory = Path(stack.kubernetes.kubeconfig).parent  # of the owning session
        return VaultContainers(
            Engine(),
            Owner.of(self._run),
            stack.network,
            stack.vault_image,
            directory / "pki/ca.pem",
            self._timeouts,
            domain=domain_of(directory),
        )

    def stop_at_end(self) -> None:
        """Tell the supervisor to remove the session's containers, cluster and network at its end."""
        with contextlib.closing(Engine()) as engine:
            self._run.at_end(cleanup.command(self._run.path.name), engine.environment | interpreter.environment())
