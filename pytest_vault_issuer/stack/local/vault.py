"""Vault as a local process: the toolchain's binary, or a vault or bao binary of the user; not initialized."""

from __future__ import annotations

import secrets
from pathlib import Path

import requests

from ...supervisor.run_directory import RunDirectory
from ...timeouts import Timeouts, poll
from ...vault.client import VaultServer
from ..certificates import StackAuthority
from ..vault_configuration import configuration
from .components import GO_RUNTIME, free_ports, taken

#: Maximum number of starts if another process takes the port.
ATTEMPTS = 5


class VaultProcesses:
    """Starts Vaults in a run directory; a :class:`~..types.VaultLauncher`.

    :param ca_file: the stack's CA; the certificate of :meth:`prepare` is in the same directory.
    :param binary: accepts ``server -config=FILE``.
    """

    def __init__(self, run: RunDirectory, ca_file: Path, binary: Path, timeouts: Timeouts) -> None:
        self._run = run
        self._ca_file = ca_file
        self.binary = binary
        self._timeouts = timeouts

    @staticmethod
    def prepare(authority: StackAuthority) -> None:
        """Issue the server certificate of all Vaults of the session."""
        authority.server("vault", "127.0.0.1", "localhost")

    def start_vault(self, *, storage: str = "inmem", advertised: str = "") -> VaultServer:
        """Start a Vault that is not initialized, and wait until it answers.

        :param storage: ``inmem`` or ``raft``.
        :param advertised: URL to which other nodes redirect the clients of this Vault; '' for its own URL.
        :raises StackError: with the end of its log.
        """
        for _ in range(ATTEMPTS):
            name = f"vault-{secrets.token_hex(4)}"
            server = self._spawn(name, storage, advertised)
            if self._answers(server):
                return server
            if not taken(self._run.log_tail(name)):
                break
        hint = f"run `{self.binary} server` by hand to see its error, or name another binary"
        raise self._run.not_ready(name, "Vault", self._timeouts.component_start, hint)

    def stop_vault(self, server: VaultServer) -> None:
        """Stop a Vault of this session; its storage remains until the session ends."""
        self._run.stop(server.name)

    def _spawn(self, name: str, storage: str, advertised: str) -> VaultServer:
        ports = free_ports(2)
        data = self._run.path / name
        if storage == "raft":
            data.mkdir(mode=0o700)
        config = configuration(
            name,
            storage,
            str(data),
            host="127.0.0.1",
            listen="127.0.0.1",
            ports=ports,
            certificates=str(self._ca_file.parent),
            advertised=advertised,
        )
        path = self._run.write(f"{name}.json", config)
        self._run.spawn(name, [str(self.binary), "server", f"-config={path}"], GO_RUNTIME)
        return VaultServer(url=f"https://127.0.0.1:{ports[0]}", ca_file=str(self._ca_file), name=name)

    def _answers(self, server: VaultServer) -> bool:
        session = requests.Session()
        session.trust_env = False

        def probe() -> bool | None:
            try:
                session.get(f"{server.url}/v1/sys/health", verify=str(self._ca_file), timeout=5)
            except requests.RequestException:
                return False if self._run.returncode(server.name) is not None else None
            return True

        return bool(poll(probe, timeout=self._timeouts.component_start, interval=0.05))
