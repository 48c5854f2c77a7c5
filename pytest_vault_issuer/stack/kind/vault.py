"""Vault in containers, by testcontainers: started not initialised with TLS, or in dev mode, whatever image it is."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from ...errors import StackError
from ...timeouts import Timeouts, poll
from ...vault.connection import VaultServer
from ..certificates import StackAuthority
from ..vault_configuration import configuration
from .engine import Engine, Owner, connect_errors, hint_for

if TYPE_CHECKING:
    from docker.models.containers import Container
    from testcontainers.core.container import DockerContainer

PORT, CLUSTER_PORT = 8200, 8201
#: Where in a container what it is configured with lies; readable for whatever user its entry point turns into.
_FILES = "/vault-issuer"
#: Mounted in memory, writable for whatever user the image has: HashiCorp's has /vault/file for that, OpenBao's has not.
_STORAGE = "/vault-issuer-storage"
#: By these an image in dev mode is told its token and address: Vault by the first prefix, OpenBao by the second.
_PREFIXES = ("VAULT", "BAO")
#: Published on loopback alone: testcontainers' own `with_exposed_ports` publishes on every address of the machine.
_LOOPBACK: dict[str, Any] = {str(PORT): ("127.0.0.1",)}


class VaultContainers:
    """Starts Vaults on a run's network; meets :class:`~.model.VaultLauncher`.

    :param network: on which containers reach them and they reach the API server.
    :param image: of HashiCorp's Vault or of OpenBao, or built like one of these.
    :param ca_file: the stack's authority; beside it is what :meth:`prepare` issued.
    :param domain: that its certificate is for; '' for the owner's.
    """

    def __init__(
        self,
        engine: Engine,
        owner: Owner,
        network: str,
        image: str,
        ca_file: Path,
        timeouts: Timeouts,
        *,
        domain: str = "",
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._network = network
        self._image = image
        self._ca_file = ca_file
        self._timeouts = timeouts
        self._domain = domain or domain_of(owner.directory)

    @staticmethod
    def prepare(authority: StackAuthority, owner: Owner) -> None:
        """Issue the certificate that all Vaults of the run serve with."""
        authority.server("vault", "127.0.0.1", "localhost", f"*.{domain_of(owner.directory)}")

    def start_vault(self, *, storage: str = "inmem", advertised: str = "") -> VaultServer:
        """Start a Vault that is not initialised and wait until it answers.

        :param advertised: URL to which other nodes redirect clients of this one; '' for its own.
        :raises StackError: with the end of its log.
        """
        name = f"vault-{secrets.token_hex(4)}.{self._domain}"
        internal = f"https://{name}:{PORT}"
        config = configuration(
            name,
            storage,
            _STORAGE,
            host=name,
            listen="0.0.0.0",  # noqa: S104 - of its own network
            ports=(PORT, CLUSTER_PORT),
            certificates=_FILES,
            advertised=advertised,
        )
        container = self._container(name)
        if storage == "raft":
            container.with_tmpfs_mount(_STORAGE)  # whose mode is 1777
        container.with_command(["server", f"-config={_FILES}/config.json"])
        container.with_copy_into_container(config.encode(), f"{_FILES}/config.json")
        for file in ("vault.pem", "vault-key.pem"):
            container.with_copy_into_container(self._ca_file.with_name(file).read_bytes(), f"{_FILES}/{file}")
        return self._start(container, VaultServer(url="https:", ca_file=str(self._ca_file), name=name), internal)

    def start_dev(self) -> VaultServer:
        """Start a Vault in dev mode, as its image does by itself: unsealed, in memory, and without TLS.

        :raises StackError: with the end of its log.
        """
        name = f"vault-{secrets.token_hex(4)}.{self._domain}"
        token = secrets.token_hex(16)
        server = VaultServer(url="http:", token=token, name=name)
        container = self._container(name)
        for prefix in _PREFIXES:
            container.with_env(f"{prefix}_DEV_ROOT_TOKEN_ID", token)
            container.with_env(f"{prefix}_DEV_LISTEN_ADDRESS", f"0.0.0.0:{PORT}")
        return self._start(container, server, f"http://{name}:{PORT}")

    def stop_vault(self, server: VaultServer) -> None:
        """Kill a Vault of this run, its storage with it; one that is gone already is no error."""
        try:
            self._remove(server)
        except connect_errors() as error:
            raise self._engine.failure(f"the container {server.name} cannot be removed", error) from error

    def _remove(self, server: VaultServer) -> None:
        from docker.errors import NotFound

        with contextlib.suppress(NotFound):
            self._engine.client.containers.get(server.name).remove(force=True, v=True)

    def _container(self, name: str) -> DockerContainer:
        # Not its VaultContainer, which knows no TLS and waits two minutes for a container that has ended.
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(self._image, name=name)
        container.with_kwargs(labels=self._owner.labels, network=self._network)
        container.ports = dict(_LOOPBACK)
        # What images want IPC_LOCK for is turned off: disable_mlock.
        return container.with_env("SKIP_SETCAP", "true")

    def _start(self, container: DockerContainer, server: VaultServer, internal: str) -> VaultServer:
        try:
            with without_reaper():
                container.start()
            container.get_docker_client().client.close()
            wrapped = self._engine.client.containers.get(server.name)
            started = self._answering(wrapped, server)
            if started is not None:
                return VaultServer(
                    url=started,
                    ca_file=server.ca_file,
                    token=server.token,
                    name=server.name,
                    internal_url=internal,
                )
            log = wrapped.logs(tail=20).decode(errors="replace")
        except connect_errors() as error:
            self._remove(server)
            raise self._engine.failure(f"Vault's container ({self._image}) cannot be started", error) from error
        self.stop_vault(server)
        raise StackError(
            f"Vault ({self._image}) did not answer within {self._timeouts.component_start:g} s, or ended; "
            f"the end of its log:\n{log}",
            hint=hint_for(log, "try the image by hand, or name another one in --vault-issuer-vault-image"),
        )

    def _answering(self, container: Container, server: VaultServer) -> str | None:
        """Wait until it answers; return its URL for this machine, None when it ends or does not in time."""
        session = requests.Session()
        session.trust_env = False

        def probe() -> str | None:
            container.reload()
            if container.status in ("exited", "dead"):
                return ""
            bindings = container.attrs["NetworkSettings"]["Ports"].get(f"{PORT}/tcp")
            if not bindings:
                return None
            url = f"{server.url}//127.0.0.1:{bindings[0]['HostPort']}"
            try:
                session.get(f"{url}/v1/sys/health", verify=server.ca_file or True, timeout=5)
            except requests.RequestException:
                return None
            return url

        return poll(probe, timeout=self._timeouts.component_start, interval=0.1) or None


@contextlib.contextmanager
def without_reaper() -> Iterator[None]:
    """Have testcontainers start no container of its own that removes others: the run's supervisor does that.

    Its reaper would be one image more to have, with the engine's socket in it, and knows nothing of clusters.
    """
    from testcontainers.core.config import testcontainers_config

    before = testcontainers_config.ryuk_disabled
    testcontainers_config.ryuk_disabled = True
    try:
        yield
    finally:
        testcontainers_config.ryuk_disabled = before


def domain_of(directory: Path) -> str:
    """Return the domain of the Vaults of a run, by its directory."""
    return f"{directory.name}.internal"
