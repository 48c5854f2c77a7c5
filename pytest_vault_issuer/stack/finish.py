"""Removes what a session has created on somebody's cluster and in their Vault, from its cleanup record.

Run as ``python -m pytest_vault_issuer.stack.finish RECORD [KUBECONFIG]`` by the session's supervisor, at its end
however it comes; by `vault-issuer stack down` where the supervisor was killed too.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..errors import ConfigurationError, StackError, VaultIssuerError
from ..kube.cleanup import remove_labelled
from ..kube.client import CLUSTER_ROLE_BINDINGS, Cluster
from ..kube.ownership import selector
from ..leftovers import Leftover, listed
from ..options import TOKEN_VARIABLE, Settings
from ..supervisor import interpreter
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts
from ..vault.cleanup import remove_created
from ..vault.connection import VaultServer
from ..vault.server import VaultAdmin
from .bootstrap import REVIEWER_BINDING
from .kind.cluster import KindClusters
from .kind.engine import Engine
from .kubeconfig import private_copy
from .record import CleanupRecord, Contents, Whereabouts

#: Seconds in which the processes of a session that was killed are gone: pytest-xdist's workers take up to 15.
_RELEASE = 30.0
#: Calls to the APIs that may each take their whole time before a cleanup is given up.
_SLOW_CALLS = 20


def limit(timeouts: Timeouts) -> float:
    """Return the seconds that a cleanup may take."""
    return _RELEASE + 2 * timeouts.deletion + _SLOW_CALLS * timeouts.api


def command(record: CleanupRecord, kubeconfig: Path | None = None) -> list[str]:
    """Return the command that finishes a session's cleanup; it takes the token from its environment.

    :param kubeconfig: the session's copy.
    """
    return interpreter.command(__name__, str(record.path), *([str(kubeconfig)] if kubeconfig else []))


def begin(
    run: RunDirectory, whereabouts: Whereabouts, kubeconfig: Path, timeouts: Timeouts, env: Mapping[str, str]
) -> CleanupRecord:
    """Write the cleanup record of a session, and have its supervisor finish the cleanup, whatever ends the session.

    :param kubeconfig: the session's copy.
    :param env: with Vault's token; credential plugins of the kubeconfig get the environment of this process too.
    :raises StackError: when the record cannot be written: nothing may be created then.
    """
    record = CleanupRecord.begin(whereabouts)
    run.at_end(command(record, kubeconfig), {**os.environ, **interpreter.environment(), **env}, limit=limit(timeouts))
    record.hold()
    return record


def token_of(whereabouts: Whereabouts) -> str:
    """Return the token for a session's Vault, from the environment or from its file; '' where there is none.

    :raises ConfigurationError: when it cannot be one.
    """
    if os.environ.get(TOKEN_VARIABLE, "").strip():
        return Settings().vault_token()
    file = Path(whereabouts.token_file)
    return Settings(vault_token_file=file).vault_token() if whereabouts.token_file and file.is_file() else ""


def finish(record: CleanupRecord, token: str, kubeconfig: Path | None = None) -> list[Leftover]:
    """Remove what a session has created, and its record where nothing is left.

    Best effort: what fails is reported, and the rest goes on.

    :param token: for its Vault, '' where there is none.
    :param kubeconfig: the session's copy; None makes one of the user's.
    :return: what is left, and why.
    :raises StackError: when the record cannot be read, or the session is under way.
    """
    contents = record.read()
    try:
        claimed = record.claim(_RELEASE)
    except FileNotFoundError:
        return []  # somebody else has finished it
    if not claimed:
        raise StackError(
            f"processes of session {record.session} are still there, or its cleanup is under way",
            hint="wait until they have ended",
        )
    try:
        where = contents.whereabouts
        timeouts = Timeouts().scaled(where.scale)
        sessions = list(dict.fromkeys([where.session, *contents.created]))
        left = _from_vault(contents, sessions, token, timeouts) if where.vault_addr else []
        left += _from_cluster(contents, sessions, kubeconfig, timeouts)
        if not left:
            record.remove()
        return left
    finally:
        record.release()


def _from_vault(contents: Contents, sessions: list[str], token: str, timeouts: Timeouts) -> list[Leftover]:
    where = contents.whereabouts
    if not token:
        return [
            Leftover(
                f"what session {where.session} created in the Vault at {where.vault_addr}",
                "there is no token for it",
                f"{TOKEN_VARIABLE}=… vault-issuer stack down {where.session}",
            )
        ]
    try:
        admin = VaultAdmin(VaultServer(where.vault_addr, where.vault_ca, token), timeouts)
    except OSError as error:  # its CA file is gone
        return [Leftover(f"what session {where.session} created in {where.vault_addr}", str(error), "restore the file")]
    left = []
    for session in sessions:
        left += remove_created(admin, session, contents.created.get(session, []))
    return left


def _from_cluster(
    contents: Contents, sessions: list[str], kubeconfig: Path | None, timeouts: Timeouts
) -> list[Leftover]:
    where = contents.whereabouts
    with _kubeconfig(where, kubeconfig, timeouts) as open_kubeconfig:
        try:
            cluster = Cluster(open_kubeconfig(), timeouts=timeouts)
        except (VaultIssuerError, OSError) as error:
            what = f"what session {where.session} created in the {where.cluster}"
            return [Leftover(what, str(error), f"vault-issuer stack down {where.session}")]
        left = []
        with contextlib.closing(cluster):
            # Its guests' first: the session's own binding says that the cluster is in use.
            for session in reversed(sessions):
                last = (CLUSTER_ROLE_BINDINGS, REVIEWER_BINDING) if session == where.session else None
                left += remove_labelled(cluster, selector(session), timeouts, created=contents.types, last=last)
        return left


@contextlib.contextmanager
def _kubeconfig(where: Whereabouts, given: Path | None, timeouts: Timeouts) -> Iterator[Callable[[], Path]]:
    """Yield what returns the session's copy of the kubeconfig, or makes one that goes at the end."""
    with contextlib.ExitStack() as scratch:

        def find() -> Path:
            if given is not None and given.exists():
                return given
            directory = RunDirectory(Path(scratch.enter_context(tempfile.TemporaryDirectory(prefix="vi-"))), 0)
            if not where.kind_cluster:
                return private_copy(Path(where.kubeconfig), where.context or None, directory.write)
            with contextlib.closing(Engine()) as engine:
                clusters = KindClusters(directory, engine, Path(where.kind_binary), timeouts)
                return Path(clusters.describe(where.kind_cluster).kubeconfig)

        yield find


def unremoved(session: str, left: list[Leftover]) -> StackError:
    """Return the error that lists what a cleanup has left."""
    return StackError(
        f"session {session} is over, and this of it could not be removed:\n{listed(left)}",
        hint=f"remove it by hand, or try again: vault-issuer stack down {session}",
    )


def main(path: str, kubeconfig: str = "") -> int:
    """Finish the cleanup of a record; return the exit status."""
    record = CleanupRecord(Path(path))
    if not record.path.exists():
        return 0
    try:
        where = record.read().whereabouts
        token = ""  # without it, the cluster is cleaned up all the same
        with contextlib.suppress(ConfigurationError):
            token = token_of(where)
        left = finish(record, token, Path(kubeconfig) if kubeconfig else None)
    except VaultIssuerError as error:
        print(error, file=sys.stderr)
        return 1
    if left:
        print(unremoved(record.session, left), file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
