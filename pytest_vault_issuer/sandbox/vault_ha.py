"""A test's own Vaults with shared storage: an active node and standbys, each behind a proxy of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..errors import StackError
from ..proxy import Proxy
from ..timeouts import poll
from ..vault import VaultAdmin


@dataclass(frozen=True)
class VaultNode:
    """One Vault of a cluster.

    :ivar proxy: in front of it, at the address that the node advertises: redirects of other nodes lead there.
    """

    admin: VaultAdmin
    proxy: Proxy


class VaultCluster:
    """Vaults that share raft storage; made by :meth:`~.sandbox.Sandbox.new_vault_cluster`.

    :param nodes: started, not initialised.
    :param stop: kills a Vault.
    :ivar nodes: those that were not killed.
    """

    def __init__(self, nodes: Sequence[VaultNode], *, stop: Callable[[VaultAdmin], None]) -> None:
        self.nodes = list(nodes)
        self._stop = stop

    def form(self) -> None:
        """Initialise one node, let the others join, unseal all, and wait until they are active and standby."""
        first, *others = (node.admin for node in self.nodes)
        first.initialise()
        first.unseal()
        first.wait_health(200)
        with ThreadPoolExecutor(len(others)) as pool:
            for joined in [pool.submit(other.join_raft, first.server) for other in others]:
                joined.result()

    @property
    def active(self) -> VaultNode:
        """The active node.

        :raises StackError: when there is none.
        """
        found = self._find_active()
        if found is None:
            states = ", ".join(str(node.admin.health) for node in self.nodes)
            raise StackError(f"no node of the Vault cluster is active; their health is {states}")
        return found

    @property
    def standbys(self) -> list[VaultNode]:
        """The nodes that are not active."""
        active = self.active
        return [node for node in self.nodes if node is not active]

    def step_down(self) -> VaultNode:
        """Ask the active node to step down and return it; that another takes over is not waited for."""
        leaving = self.active
        leaving.admin.step_down()
        return leaving

    def kill_active(self) -> None:
        """Kill the active node: connections to it are refused from now on."""
        lost = self.active
        self.nodes.remove(lost)
        self._stop(lost.admin)
        lost.proxy.close()

    def wait_settled(self, *, former: VaultNode | None = None) -> None:
        """Wait until one node is active and all others know it.

        :param former: a node that stepped down, which does not count.
        :raises StackError: when that is not so within the `component_start` timeout.
        """

        def probe() -> bool | None:
            active = self._find_active()
            if active is None or active is former:
                return None
            return True if {node.admin.leader for node in self.nodes} == {active.proxy.url} else None

        if not poll(probe, timeout=self.nodes[0].admin.timeouts.component_start, interval=0.05):
            raise StackError("the nodes of the Vault cluster did not agree on an active one")

    def _find_active(self) -> VaultNode | None:
        return next((node for node in self.nodes if node.admin.health == 200), None)
