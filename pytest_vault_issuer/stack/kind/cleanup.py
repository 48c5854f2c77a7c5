"""Removes the resources of a session on the container engine, and finds orphaned resources of killed sessions.

The supervisor of a session runs ``python -m pytest_vault_issuer.stack.kind.cleanup RUN`` when the session ends.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...errors import StackError, VaultIssuerError
from ...leftovers import Removed
from ...supervisor import discovery as runs
from ...supervisor import interpreter
from ...supervisor.discovery import KEPT, ORPHAN, UNATTRIBUTED, FoundSession, find_session, find_sessions
from ...supervisor.identity import RUNS
from ...supervisor.marked import marked
from ...supervisor.run_directory import RunDirectory
from .engine import NETWORK, Engine, Owner, connect_errors

#: Seconds for an answer of the engine when resources are only listed.
_ANSWER = 10.0


def command(run: str) -> list[str]:
    """Return the command that removes all resources of a session on the engine."""
    return interpreter.command(__name__, run)


def orphans(engine: Engine) -> list[Owner]:
    """Return the sessions with resources on the engine that are proved to be this user's and to have ended."""
    return [owner for owner in engine.owners() if owner.supervisor.is_orphaned and not _answers(owner)]


def unattributed(engine: Engine) -> list[Owner]:
    """Return the sessions with resources on the engine that are proved neither to be under way nor to be this user's
    and to have ended. Other users, containers and machines may use the same engine.
    """
    return [
        owner
        for owner in engine.owners()
        if owner.supervisor.state != RUNS and not owner.supervisor.is_orphaned and not _answers(owner)
    ]


def _answers(owner: Owner) -> bool:
    return RunDirectory(owner.directory, 0).answers


def remove_orphans(engine: Engine, warn: Callable[[str], None]) -> dict[str, list[str]]:
    """Remove the orphaned resources of killed sessions: containers, kind clusters, networks and run directories.

    :param warn: gets a line for each session whose resources cannot all be removed.
    :return: what was removed, by session: the names of containers and networks, and the directory.
    """
    removed = {}
    for owner in orphans(engine):
        names = engine.names_of(owner.run)
        found = find_session(owner.directory)
        try:
            if found is not None and found.state == ORPHAN:
                runs.remove(found)  # first: its processes may create more
                names.append(str(owner.directory))
            removed[owner.run] = list(dict.fromkeys([*engine.remove(owner.run), *names]))
        except StackError as error:
            warn(str(error))
    return removed


def find_all() -> list[FoundSession]:
    """Return this user's sessions. If a container engine answers, add their orphaned resources on it, and the sessions
    with resources on it whose owner or state is unknown.
    """
    left = _left_on_engine()
    orphans = {run.path: run for run in left if run.state == ORPHAN}
    found = []
    for run in find_sessions():
        other = orphans.pop(run.path, None)
        found.append(replace(run, containers=other.containers) if other and run.state == ORPHAN else run)
    # Their directories are gone, or are not in this user's present directory for temporary files.
    found += [_with_directory(run) for run in orphans.values()]
    return found + [run for run in left if run.state == UNATTRIBUTED]


def _with_directory(run: FoundSession) -> FoundSession:
    there = find_session(run.path) or replace(run, leftovers=marked(run.path))
    return replace(there, containers=run.containers)


def remove(run: FoundSession) -> Removed:
    """End the processes of a session, and remove its directory and its resources on the container engine.

    :return: what was removed.
    :raises StackError: if something cannot be ended or removed.
    """
    removed = Removed()
    running = [name for name, status in run.processes.items() if status is None]
    removed.add("processes", *running, *(str(pid) for pid in run.leftovers))
    # The exit hooks of a stack that is up remove its containers.
    names = _names_on_engine(run.path.name) if run.state == KEPT else run.containers
    removed.add("containers", *(name for name in names if not name.startswith(NETWORK)))
    removed.add("container networks", *(name.removeprefix(NETWORK) for name in names if name.startswith(NETWORK)))
    try:
        # A label may name any directory: it must be a run directory.
        if find_session(run.path) is not None:
            runs.remove(run)
            removed.add("directories", str(run.path))
    finally:
        if run.containers:
            with contextlib.closing(Engine()) as engine:
                engine.remove(run.path.name)
    return removed


def _names_on_engine(run: str) -> tuple[str, ...]:
    try:
        engine = Engine(_ANSWER)
    except VaultIssuerError:  # no engine answers, or the extra kind is not installed
        return ()
    with contextlib.closing(engine), contextlib.suppress(*connect_errors()):
        return tuple(engine.names_of(run))
    return ()


def _left_on_engine() -> list[FoundSession]:
    try:
        engine = Engine(_ANSWER)
    except VaultIssuerError:
        return []
    with contextlib.closing(engine):
        left = [
            FoundSession(owner.directory, ORPHAN, containers=tuple(engine.names_of(owner.run)))
            for owner in orphans(engine)
        ]
        return left + [
            FoundSession(
                owner.directory,
                UNATTRIBUTED,
                containers=tuple(engine.names_of(owner.run)),
                whose=str(owner.supervisor),
                removal=engine.removal_of(owner.run),
            )
            for owner in unattributed(engine)
        ]


def main(run: str) -> int:
    """Remove all resources of a session on the engine; return the exit status."""
    try:
        Engine().remove(run)
    except VaultIssuerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).name))
