"""Joined sessions: a session uses the stack of another session, the owning one, and cleans up after itself.

If the owning session is a dev stack, its own controller is paused until the joined session ends. The supervisor of the
joined session runs ``python -m pytest_vault_issuer.session.join OWNING JOINED SCALE`` when that session ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import StackError, VaultIssuerError
from ..implementation.apply import RECORD, set_going, stand_still
from ..implementation.process import PROCESS
from ..kube.cleanup import remove_labelled
from ..kube.client import Cluster, Object
from ..kube.ownership import selector
from ..stack import finish
from ..stack.record import CleanupRecord
from ..stack.select import STATE, joined
from ..stack.types import Provider, Stack
from ..supervisor import interpreter
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts
from ..vault.cleanup import remove_created
from ..vault.server import VaultAdmin

#: Of the host's directory: a file for each guest, with the path of the guest's directory.
_GUESTS = "guests"


def join(path: Path, guest: RunDirectory, provider: Provider, scale: float, progress: Callable[[str], None]) -> Stack:
    """Return another run's stack as a guest uses it; the issuer of one that was kept stands still until the guest ends.

    Both would serve the same issuers.

    :param path: the other run's directory.
    :param provider: of the stack, for the session that joins.
    :param scale: of timeouts.
    :raises ConfigurationError: when no run has a stack there.
    :raises StackError, ImplementationError: when that issuer does not stand still.
    """
    stack, host, timeouts = joined(path), RunDirectory(path, 0), Timeouts().scaled(scale)
    told = host.describe()
    kept = told["owner"] == 0
    ours = replace(stack, run=guest.path.name)
    if not kept and stack.disposable and not provider.has_nodes:
        return ours  # it has no pods, and is thrown away soon, with all that is in it
    leaving = interpreter.command(__name__, str(path), guest.path.name, str(scale))
    guest.at_end(leaving, interpreter.environment(), limit=finish.limit(timeouts))
    provider.stop_at_end()
    with host.lock(_GUESTS):
        cluster = _cluster(stack, timeouts)
        for name in _gone(path):
            _remove(cluster, stack, path, name, timeouts)
        host.write(f"{_GUESTS}/{guest.path.name}", str(guest.path))
        if kept:
            still = stand_still(cluster, _applied(path), timeouts)
            if told["processes"].get(PROCESS, 0) is None:
                host.hold(PROCESS, guest.owner)
                still = True
            if still:
                progress(f"vault-issuer: the issuer that runs in {path} stands still meanwhile")
        cluster.close()
    return replace(ours, disposable=False)


def leave(path: Path, name: str, scale: float) -> None:
    """Remove what a guest has made in the cluster, and have a host that is kept be as it was, once the last is gone.

    :raises VaultIssuerError: when that is not possible.
    """
    if not (path / STATE).exists():
        return  # gone before its guest, with all that was in it
    stack, host, timeouts = joined(path), RunDirectory(path, 0), Timeouts().scaled(scale)
    with host.lock(_GUESTS):
        cluster = _cluster(stack, timeouts)
        try:
            _remove(cluster, stack, path, name, timeouts)
        finally:
            # Also where something of the guest is left: its own issuer is not to be missing for that.
            if host.describe()["owner"] == 0 and set(_guests(path)) <= {*_gone(path), name}:
                set_going(cluster, _applied(path))
            cluster.close()


def _cluster(stack: Stack, timeouts: Timeouts) -> Cluster:
    return Cluster(Path(stack.kubernetes.kubeconfig), context=stack.kubernetes.context, timeouts=timeouts)


def _applied(path: Path) -> list[Object]:
    """Return what a run has applied for its issuer; nothing where it has none.

    :raises StackError: when that cannot be read.
    """
    record = path / RECORD
    try:
        return [dict(item) for item in json.loads(record.read_text())] if record.exists() else []
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise StackError(
            f"{record} is cut off or of another version: {error}",
            hint=f"take the stack down and start another: vault-issuer stack down {path}",
        ) from error


def _guests(path: Path) -> list[str]:
    return [entry.name for entry in (path / _GUESTS).glob("vault-issuer-*")]


def _gone(path: Path) -> list[str]:
    """Return the guests that were killed together with their supervisor, so that they left without a word."""
    return [name for name in _guests(path) if not RunDirectory(Path((path / _GUESTS / name).read_text()), 0).answers]


def _remove(cluster: Cluster, stack: Stack, path: Path, name: str, timeouts: Timeouts) -> None:
    """Remove what a guest has made.

    :raises StackError: when something of it is left.
    """
    left = remove_labelled(cluster, selector(name), timeouts)
    created = CleanupRecord(Path(stack.record)).read().created.get(name, []) if stack.record else []
    left += remove_created(VaultAdmin(stack.vault, timeouts), name, created)
    if left:
        raise finish.unremoved(name, left)
    (path / _GUESTS / name).unlink(missing_ok=True)


def main(path: str, name: str, scale: str) -> int:
    """Leave; return the exit status."""
    try:
        leave(Path(path), name, float(scale))
    except VaultIssuerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
