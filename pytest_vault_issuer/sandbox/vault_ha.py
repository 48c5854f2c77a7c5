"""A Vault cluster of a test: an active node and standbys with shared storage, each behind its own proxy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..errors import StackError
from ..proxy.server import Proxy
from ..timeouts import SLOW_MACHINE, poll
from ..vault import VaultAdmin


@dataclass(frozen=True)
class VaultNode:
    """One node of a Vault cluster.

    :ivar proxy: the proxy in front of it, at the address that the node advertises and that other nodes redirect to.
    """

    admin: VaultAdmin
    proxy: Proxy


class VaultCluster:
    """Vaults that share raft storage; created by :meth:`~.sandbox.Sandbox.new_vault_cluster`.

    :param nodes: running, not initialized.
    :param stop: kills a Vault.
    :ivar nodes: the nodes that were not killed.
    """

    def __init__(self, nodes: Sequence[VaultNode], *, stop: Callable[[VaultAdmin], None]) -> None:
        self.nodes = list(nodes)
        self._stop = stop

    def form(self) -> None:
        """Initialize one node, join the others, unseal all, and wait until one is active and the rest are standbys."""
        first, *others = (node.admin for node in self.nodes)
        first.initialize()
        first.unseal()
        first.wait_health(200)
        with ThreadPoolExecutor(len(others)) as pool:
            for joined in [pool.submit(other.join_raft, first.server) for other in others]:
                joined.result()

    @property
    def active(self) -> VaultNode:
        """The active node.

        :raises StackError: if there is none.
        """
        found = self._find_active()
        if found is None:
            states = ", ".join(str(node.admin.health) for node in self.nodes)
            raise StackError(
                f"expected an active node in the Vault cluster, saw the health statuses {states}", hint=SLOW_MACHINE
            )
        return found

    @property
    def standbys(self) -> list[VaultNode]:
        """The nodes that are not active."""
        active = self.active
        return [node for node in self.nodes if node is not active]

    def step_down(self) -> VaultNode:
        """Ask the active node to step down, and return it without waiting for the next active node."""
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
        """Wait until one node is active and all nodes know it.

        :param former: a node that stepped down; it does not count.
        :raises StackError: if the nodes do not agree within the `component_start` timeout.
        """

        def probe() -> bool | None:
            active = self._find_active()
            if active is None or active is former:
                return None
            return True if {node.admin.leader for node in self.nodes} == {active.proxy.url} else None

        limit = self.nodes[0].admin.timeouts.component_start
        # An election takes seconds, and each look is up to three calls per node.
        if not poll(probe, timeout=limit, interval=0.2):
            raise StackError(
                f"expected the nodes of the Vault cluster to agree on an active node within {limit:g} s",
                hint=SLOW_MACHINE,
            )

    def _find_active(self) -> VaultNode | None:
        return next((node for node in self.nodes if node.admin.health == 200), None)
