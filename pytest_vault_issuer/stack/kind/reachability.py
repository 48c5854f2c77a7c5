"""Checks, from a node and from the network namespace of a pod, that containers reach the servers of this process."""

from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING

from ...errors import StackError
from ...timeouts import Timeouts, poll
from .engine import Engine, connect_errors

if TYPE_CHECKING:
    from docker.models.containers import Container


def check_node(engine: Engine, cluster: str, bind: str, timeouts: Timeouts) -> None:
    """Check that the first node of a cluster reaches this machine at an address.

    :raises StackError: if it does not.
    """
    node = engine.nodes(cluster)[0]
    _check(engine, node, [], bind, timeouts, f"the node {node.name}")


def check_pods(engine: Engine, cluster: str, bind: str, timeouts: Timeouts) -> None:
    """Check that the pods of a cluster reach this machine at an address, from the network namespace of a running pod.

    The program of the check is one of the node, so that the pod needs none.

    :raises StackError: if it does not, or if no pod gets a network namespace.
    """
    found = poll(lambda: _namespace(engine, cluster), timeout=timeouts.component_start, interval=0.5)
    if found is None:
        raise StackError(
            f"no pod of the cluster {cluster} has a network namespace: cannot check that pods reach the proxy",
            hint="see why the pods do not start: kubectl get pods --all-namespaces",
        )
    node, name = found
    _check(engine, node, ["ip", "netns", "exec", name], bind, timeouts, f"a pod on the node {node.name}")


def _namespace(engine: Engine, cluster: str) -> tuple[Container, str] | None:
    """Return a node and the network namespace of a pod on it; every kind cluster starts some pods itself."""
    for node in engine.nodes(cluster):
        _, listing = engine.run_in(node, ["ip", "netns", "list"])
        for line in listing.splitlines():
            if line.startswith("cni-"):
                return node, line.split()[0]
    return None


def _check(engine: Engine, node: Container, inside: list[str], bind: str, timeouts: Timeouts, who: str) -> None:
    with socket.create_server((bind, 0)) as server:
        port = server.getsockname()[1]
        limit = max(1, math.ceil(timeouts.route))
        try:
            status, output = engine.run_in(
                node, [*inside, "timeout", str(limit), "bash", "-c", f"exec 3<>/dev/tcp/{bind}/{port}"]
            )
        except connect_errors() as error:
            raise engine.failure(f"no command can run in the node {node.name}", error) from error
    if status != 0:
        reason = (
            "no answer" if status == 124 else output.strip().splitlines()[-1] if output.strip() else f"status {status}"
        )
        raise StackError(
            f"{who} does not reach this machine at {bind}: {reason}",
            hint="let the firewall accept connections from the container networks, "
            "or name an address that pods reach in --vault-issuer-bind",
        )
