"""Joined sessions: a session uses the stack of another session, the owning one, and cleans up after itself.

If the owning session is a dev stack, its own controller is paused until the last joined session ends: both controllers
would serve the same issuer objects. When the joined session ends, its supervisor runs
``python -m pytest_vault_issuer.session.join leave OWNING JOINED TIMEOUT_SCALE``. On a stack that is removed soon,
it runs ``unregister`` instead of ``leave``, and only if the session registered webhooks.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import StackError, VaultIssuerError
from ..implementation.apply import RECORD, pause, resume
from ..implementation.process import PROCESS
from ..kube.cleanup import remove_labeled
from ..kube.client import WEBHOOK_CONFIGURATIONS, Cluster, Object
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

#: In the directory of the owning session: a file for each joined session, with the path of that session's directory.
_JOINED = "joined"
LEAVE, UNREGISTER = "leave", "unregister"


def join(
    path: Path, directory: RunDirectory, provider: Provider, timeout_scale: float, progress: Callable[[str], None]
) -> Stack:
    """Return the stack of an owning session, for the session that joins it.

    :param path: directory of the owning session.
    :param directory: of the session that joins.
    :param provider: of the stack, for the session that joins.
    :param timeout_scale: factor for timeouts.
    :raises ConfigurationError: when no session has a stack there.
    :raises StackError, ImplementationError: when the stack's own controller cannot be paused.
    """
    stack, owning, timeouts = joined(path), RunDirectory(path, 0), Timeouts().scaled(timeout_scale)
    state = owning.describe()
    is_dev_stack = state["owner"] == 0
    ours = replace(stack, run=directory.path.name)
    if not is_dev_stack and stack.disposable and not provider.has_nodes:
        return ours  # it has no pods, and soon goes away with everything in it
    _at_end(LEAVE, path, directory, timeout_scale)
    provider.stop_at_end()
    with owning.lock(_JOINED):
        cluster = _cluster(stack, timeouts)
        for name in _killed(path):
            _remove(cluster, stack, path, name, timeouts)
        owning.write(f"{_JOINED}/{directory.path.name}", str(directory.path))
        if is_dev_stack:
            paused = pause(cluster, _applied(path), timeouts)
            if state["processes"].get(PROCESS, 0) is None:
                owning.pause(PROCESS, directory.owner)
                paused = True
            if paused:
                progress(f"vault-issuer: the controller of the stack in {path} is paused until this session ends")
        cluster.close()
    return replace(ours, disposable=False)


def leave(path: Path, name: str, timeout_scale: float) -> None:
    """Remove what a joined session created in the stack. After the last one, resume the stack's own controller.

    :param path: directory of the owning session.
    :param name: of the joined session.
    :raises VaultIssuerError: when that is not possible.
    """
    stack, owning, timeouts = joined(path), RunDirectory(path, 0), Timeouts().scaled(timeout_scale)
    with owning.lock(_JOINED):
        cluster = _cluster(stack, timeouts)
        try:
            _remove(cluster, stack, path, name, timeouts)
        finally:
            # Even if something of the joined session remains, the stack's own controller has to run again.
            if owning.describe()["owner"] == 0 and set(_joined_sessions(path)) <= {*_killed(path), name}:
                resume(cluster, _applied(path))
            cluster.close()


def unregister_at_end(path: Path, directory: RunDirectory, timeout_scale: float) -> None:
    """Add the exit hook that unregisters the webhooks of a joined session.

    On a stack that is soon thrown away, all other objects of the session do no harm. A registered webhook that no
    longer answers makes the API server refuse the objects of the sessions that join later.
    """
    _at_end(UNREGISTER, path, directory, timeout_scale)


def _at_end(what: str, path: Path, directory: RunDirectory, timeout_scale: float) -> None:
    command = interpreter.command(__name__, what, str(path), directory.path.name, str(timeout_scale))
    limit = finish.limit(Timeouts().scaled(timeout_scale))
    directory.at_end(command, interpreter.environment(), limit=limit)


def unregister(path: Path, name: str, timeout_scale: float) -> None:
    """Delete the webhook configurations that a joined session created.

    :param path: directory of the owning session.
    :param name: of the joined session.
    :raises VaultIssuerError: when that is not possible for one of them; the others are deleted.
    """
    stack, timeouts = joined(path), Timeouts().scaled(timeout_scale)
    with contextlib.closing(_cluster(stack, timeouts)) as cluster:
        if left := remove_labeled(cluster, selector(name), timeouts, types=WEBHOOK_CONFIGURATIONS):
            raise finish.unremoved(name, left)


def _cluster(stack: Stack, timeouts: Timeouts) -> Cluster:
    return Cluster(Path(stack.kubernetes.kubeconfig), context=stack.kubernetes.context, timeouts=timeouts)


def _applied(path: Path) -> list[Object]:
    """Return what a session has applied for its controller; [] if it has none.

    :raises StackError: when the record cannot be read.
    """
    record = path / RECORD
    try:
        return [dict(item) for item in json.loads(record.read_text())] if record.exists() else []
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise StackError(
            f"{record} is incomplete or of another version: {error}",
            hint=f"remove the stack and start another: vault-issuer stack down {path}",
        ) from error


def _joined_sessions(path: Path) -> list[str]:
    return [entry.name for entry in (path / _JOINED).glob("vault-issuer-*")]


def _killed(path: Path) -> list[str]:
    """Return the joined sessions that were killed together with their supervisors, and so have not cleaned up."""
    sessions = _joined_sessions(path)
    return [name for name in sessions if not RunDirectory(Path((path / _JOINED / name).read_text()), 0).answers]


def _remove(cluster: Cluster, stack: Stack, path: Path, name: str, timeouts: Timeouts) -> None:
    """Remove what a joined session created.

    :raises StackError: when something of it remains.
    """
    left = remove_labeled(cluster, selector(name), timeouts)
    created = CleanupRecord(Path(stack.record)).read().created.get(name, []) if stack.record else []
    left += remove_created(VaultAdmin(stack.vault, timeouts), name, created)
    if left:
        raise finish.unremoved(name, left)
    (path / _JOINED / name).unlink(missing_ok=True)


def main(what: str, path: str, name: str, timeout_scale: str) -> int:
    """Leave the stack, or unregister the webhooks there, and return the exit status."""
    if not (Path(path) / STATE).exists():
        return 0  # the owning session ended first, with everything in its stack
    try:
        {LEAVE: leave, UNREGISTER: unregister}[what](Path(path), name, float(timeout_scale))
    except VaultIssuerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
