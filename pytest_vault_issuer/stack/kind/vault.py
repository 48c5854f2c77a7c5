"""Vault or OpenBao in containers, with testcontainers: not initialized and with TLS, or in dev mode."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from ...errors import StackError
from ...timeouts import Timeouts, poll
from ...vault.client import VaultServer
from ..certificates import StackAuthority
from ..vault_configuration import configuration
from .engine import Engine, Owner, connect_errors, hint_for

if TYPE_CHECKING:
    from docker.models.containers import Container
    from testcontainers.core.container import DockerContainer

PORT, CLUSTER_PORT = 8200, 8201
#: Directory in the container with the configuration, readable for every user that the entry point may switch to.
_FILES = "/vault-issuer"
#: Directory in memory, writable for every user. The image of HashiCorp has /vault/file for this, that of OpenBao none.
_STORAGE = "/vault-issuer-storage"
#: Prefixes of the environment variables with token and address for dev mode: of Vault, and of OpenBao.
_PREFIXES = ("VAULT", "BAO")
#: Publishes only on loopback: `with_exposed_ports` of testcontainers publishes on all addresses of the machine.
_LOOPBACK: dict[str, Any] = {str(PORT): ("127.0.0.1",)}


class VaultContainers:
    """Starts Vaults on a container network; a :class:`~..types.VaultLauncher`.

    :param network: on which containers reach Vault, and Vault reaches the API server.
    :param vault_image: an image of HashiCorp Vault or OpenBao, or one with the same entry point.
    :param ca_file: the stack's CA; the certificate of :meth:`prepare` is in the same directory.
    :param domain: domain of the certificate; '' for that of the owner.
    """

    def __init__(
        self,
        engine: Engine,
        owner: Owner,
        network: str,
        vault_image: str,
        ca_file: Path,
        timeouts: Timeouts,
        *,
        domain: str = "",
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._network = network
        self._vault_image = vault_image
        self._ca_file = ca_file
        self._timeouts = timeouts
        self._domain = domain or domain_of(owner.directory)

    @staticmethod
    def prepare(authority: StackAuthority, owner: Owner) -> None:
        """Issue the server certificate of all Vaults of the session."""
        authority.server("vault", "127.0.0.1", "localhost", f"*.{domain_of(owner.directory)}")

    def start_vault(self, *, storage: str = "inmem", advertised: str = "") -> VaultServer:
        """Start a Vault that is not initialized, and wait until it answers.

        :param storage: ``inmem`` or ``raft``.
        :param advertised: URL to which other nodes redirect the clients of this Vault; '' for its own URL.
        :raises StackError: with the end of its log.
        """
        name = f"vault-{secrets.token_hex(4)}.{self._domain}"
        internal = f"https://{name}:{PORT}"
        config = configuration(
            name,
            storage,
            _STORAGE,
            host=name,
            listen="0.0.0.0",  # noqa: S104 - in the container
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
        """Start a Vault in dev mode, with the default command of its image: unsealed, in memory, and without TLS.

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
        """Remove a Vault of this session and its storage; do nothing if it is already removed."""
        try:
            self._remove(server)
        except connect_errors() as error:
            raise self._engine.failure(f"the container {server.name} cannot be removed", error) from error

    def _remove(self, server: VaultServer) -> None:
        from docker.errors import NotFound

        with contextlib.suppress(NotFound):
            self._engine.client.containers.get(server.name).remove(force=True, v=True)

    def _container(self, name: str) -> DockerContainer:
        # testcontainers' VaultContainer does not support TLS, and waits two minutes for a container that has ended.
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(self._vault_image, name=name)
        container.with_kwargs(labels=self._owner.labels, network=self._network)
        container.ports = dict(_LOOPBACK)
        # The images use IPC_LOCK only for mlock, which is disabled (disable_mlock).
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
            raise self._engine.failure(f"Vault's container ({self._vault_image}) cannot be started", error) from error
        self.stop_vault(server)
        raise StackError(
            f"Vault ({self._vault_image}) did not answer within {self._timeouts.component_start:g} s, or ended; "
            f"the end of its log:\n{log}",
            hint=hint_for(log, "run the image by hand, or name another one in --vault-issuer-vault-image"),
        )

    def _answering(self, container: Container, server: VaultServer) -> str | None:
        """Wait until Vault answers; return its URL on this machine, or None if it ends or does not answer in time."""
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
    """Disable the reaper of testcontainers, a container that removes other containers: the supervisor does that.

    The reaper would need one more image and the socket of the engine, and does not remove kind clusters.
    """
    from testcontainers.core.config import testcontainers_config

    before = testcontainers_config.ryuk_disabled
    testcontainers_config.ryuk_disabled = True
    try:
        yield
    finally:
        testcontainers_config.ryuk_disabled = before


def domain_of(directory: Path) -> str:
    """Return the domain of the Vaults of a session, given its run directory."""
    return f"{directory.name}.internal"
