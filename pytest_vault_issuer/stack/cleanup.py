"""Removes what runs have made on the container engine, once nobody is left who would.

Run as ``python -m pytest_vault_issuer.stack.cleanup RUN`` by a run's keeper, at the run's end however it comes.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from pathlib import Path

from ..errors import VaultIssuerError
from . import runs
from .engine import Engine, Owner
from .run_directory import RunDirectory
from .runs import ORPHAN, FoundRun, find_run, find_runs, marked

#: Seconds that an engine gets to answer where it is only asked what is left.
_ANSWER = 10.0


def command(run: str) -> list[str]:
    """Return the command that removes everything of a run."""
    return [sys.executable, "-m", __name__, run]


def orphans(engine: Engine) -> list[Owner]:
    """Return the runs of this machine that have something on the engine, and whose keeper is gone."""
    return [owner for owner in engine.owners() if not RunDirectory(owner.directory, 0).answers]


def remove_orphans(engine: Engine) -> dict[str, list[str]]:
    """Remove what killed runs left: containers, kind clusters, networks, and their directories; nothing else.

    :return: what was removed, by run: the names of containers and networks, and the directory.
    :raises StackError: when something cannot be removed.
    """
    removed = {}
    for owner in orphans(engine):
        found = find_run(owner.directory)
        ours = found is not None and found.state == ORPHAN
        if found is not None and ours:
            runs.remove(found)  # first: what still runs of it may make more
        removed[owner.run] = [*engine.remove(owner.run), *([str(owner.directory)] if ours else [])]
    return removed


def find_all() -> list[FoundRun]:
    """Return this user's runs, and whatever killed ones have left on the container engine, if one answers."""
    left = _left_on_engine()
    found = [replace(run, containers=left.pop(run.path, ())) for run in find_runs()]
    # Their directories are gone, or elsewhere than this user's temporary files are now.
    return found + [
        replace(find_run(path) or FoundRun(path, ORPHAN, leftovers=marked(path)), containers=names)
        for path, names in left.items()
    ]


def remove(run: FoundRun) -> None:
    """End what runs of it, remove its directory, and what it has left on the container engine.

    :raises StackError: when something cannot be ended or removed.
    """
    # What a label says is a run's directory has to be one.
    if find_run(run.path) is not None:
        runs.remove(run)
    if run.containers:
        with contextlib.closing(Engine()) as engine:
            engine.remove(run.path.name)


def _left_on_engine() -> dict[Path, tuple[str, ...]]:
    try:
        engine = Engine(_ANSWER)
    except VaultIssuerError:
        return {}
    with contextlib.closing(engine):
        return {owner.directory: tuple(engine.names_of(owner.run)) for owner in orphans(engine)}


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
