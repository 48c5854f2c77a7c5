"""Removes the resources of a session on the container engine, and finds orphaned resources of killed sessions.

The supervisor of a session runs ``python -m pytest_vault_issuer.stack.kind.cleanup RUN`` when the session ends.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from pathlib import Path

from ...errors import VaultIssuerError
from ...supervisor import discovery as runs
from ...supervisor import interpreter
from ...supervisor.discovery import ORPHAN, UNATTRIBUTED, FoundRun, find_run, find_runs
from ...supervisor.identity import RUNS
from ...supervisor.marked import marked
from ...supervisor.run_directory import RunDirectory
from .engine import Engine, Owner

#: Seconds that an engine gets to answer where it is only asked what is left.
_ANSWER = 10.0


def command(run: str) -> list[str]:
    """Return the command that removes everything of a run."""
    return interpreter.command(__name__, run)


def orphans(engine: Engine) -> list[Owner]:
    """Return the sessions with resources on the engine that are proved to be this user's and to have ended."""
    return [owner for owner in engine.owners() if owner.supervisor.is_orphaned and not _answers(owner)]


def unattributed(engine: Engine) -> list[Owner]:
    """Return the runs that have something on the engine, and of which it is proved neither that they are under way
    nor that they are orphans of this user: other users, containers and machines may use the engine too.
    """
    return [
        owner
        for owner in engine.owners()
        if owner.supervisor.standing != RUNS and not owner.supervisor.is_orphaned and not _answers(owner)
    ]


def _answers(owner: Owner) -> bool:
    return RunDirectory(owner.directory, 0).answers


def remove_orphans(engine: Engine) -> dict[str, list[str]]:
    """Remove what killed runs left: containers, kind clusters, networks, and their directories; nothing else.

    :return: what was removed, by run: the names of containers and networks, and the directory.
    :raises StackError: when something cannot be removed.
    """
    removed = {}
    for owner in orphans(engine):
        names = engine.names_of(owner.run)
        found = find_run(owner.directory)
        if found is not None and found.state == ORPHAN:
            runs.remove(found)  # first: what still runs of it may make more
            names.append(str(owner.directory))
        removed[owner.run] = list(dict.fromkeys([*engine.remove(owner.run), *names]))
    return removed


def find_all() -> list[FoundRun]:
    """Return this user's runs, and what there is on the container engine of others than those under way, if one
    answers: of killed runs, and of runs of which that is not known.
    """
    left = _left_on_engine()
    orphans = {run.path: run for run in left if run.state == ORPHAN}
    found = []
    for run in find_runs():
        other = orphans.pop(run.path, None)
        found.append(replace(run, containers=other.containers) if other and run.state == ORPHAN else run)
    # Their directories are gone, or elsewhere than this user's temporary files are now.
    found += [_with_directory(run) for run in orphans.values()]
    return found + [run for run in left if run.state == UNATTRIBUTED]


def _with_directory(run: FoundRun) -> FoundRun:
    there = find_run(run.path) or replace(run, leftovers=marked(run.path))
    return replace(there, containers=run.containers)


def remove(run: FoundRun) -> None:
    """End what runs of it, remove its directory, and what it has left on the container engine.

    :raises StackError: when something cannot be ended or removed.
    """
    try:
        # What a label says is a run's directory has to be one.
        if find_run(run.path) is not None:
            runs.remove(run)
    finally:
        if run.containers:
            with contextlib.closing(Engine()) as engine:
                engine.remove(run.path.name)


def _left_on_engine() -> list[FoundRun]:
    try:
        engine = Engine(_ANSWER)
    except VaultIssuerError:
        return []
    with contextlib.closing(engine):
        left = [
            FoundRun(owner.directory, ORPHAN, containers=tuple(engine.names_of(owner.run))) for owner in orphans(engine)
        ]
        return left + [
            FoundRun(
                owner.directory,
                UNATTRIBUTED,
                containers=tuple(engine.names_of(owner.run)),
                whose=str(owner.supervisor),
                removal=engine.removal_of(owner.run),
            )
            for owner in unattributed(engine)
        ]


def main(run: str) -> int:
    """Remove everything of a run; return the exit status."""
    try:
        Engine().remove(run)
    except VaultIssuerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).name))
