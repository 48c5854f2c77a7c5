"""Removes what runs have made on the container engine, once nobody is left who would.

Run as ``python -m pytest_vault_issuer.stack.cleanup RUN`` by a run's keeper, at the run's end however it comes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import VaultIssuerError
from .engine import Engine, Owner
from .run_directory import RunDirectory


def command(run: str) -> list[str]:
    """Return the command that removes everything of a run."""
    return [sys.executable, "-m", __name__, run]


def orphans(engine: Engine) -> list[Owner]:
    """Return the runs of this machine that have something on the engine, and whose keeper is gone."""
    return [owner for owner in engine.owners() if not RunDirectory(owner.directory, 0).answers]


def remove_orphans(engine: Engine) -> dict[str, list[str]]:
    """Remove what killed runs left: their containers, kind clusters and networks, and nothing else.

    :return: names of what was removed, by run.
    :raises StackError: when something cannot be removed.
    """
    return {owner.run: engine.remove(owner.run) for owner in orphans(engine)}


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
