"""Removes what a session created in an existing cluster and an existing Vault, as its cleanup record states.

The supervisor of the session runs ``python -m pytest_vault_issuer.stack.finish RECORD [KUBECONFIG]`` at its end. If the
supervisor is killed too, `vault-issuer stack down` does the same.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..errors import ConfigurationError, StackError, VaultIssuerError
from ..kube.cleanup import remove_labeled
from ..kube.client import CLUSTER_ROLE_BINDINGS, Cluster
from ..kube.ownership import selector
from ..leftovers import Leftover, Removed, listed
from ..options import TOKEN_VARIABLE, Settings
from ..supervisor import interpreter
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts
from ..vault.cleanup import remove_created
from ..vault.client import VaultServer
from ..vault.server import VaultAdmin
from .bootstrap import REVIEWER_BINDING
from .kind.cluster import KindClusters
from .kind.engine import Engine
from .kubeconfig import private_copy
from .record import CleanupRecord, Contents, SessionInfo

#: Seconds after which the processes of a killed session have ended: pytest-xdist's workers take up to 15.
_RELEASE = 30.0
#: Number of API calls that may each take their whole timeout before the cleanup is stopped.
_SLOW_CALLS = 20


def limit(timeouts: Timeouts) -> float:
    """Return the seconds that a cleanup may take."""
    return _RELEASE + 2 * timeouts.deletion + _SLOW_CALLS * timeouts.api


def command(record: CleanupRecord, kubeconfig: Path | None = None) -> list[str]:
    """Return the command that finishes a session's cleanup; it reads the token from its environment.

    :param kubeconfig: the session's copy.
    """
    return interpreter.command(__name__, str(record.path), *([str(kubeconfig)] if kubeconfig else []))


def begin(
    run: RunDirectory, session_info: SessionInfo, kubeconfig: Path, timeouts: Timeouts, env: Mapping[str, str]
) -> CleanupRecord:
    """Write the cleanup record of a session, and register the cleanup with its supervisor as an exit hook.

    :param kubeconfig: the session's copy.
    :param env: with Vault's token; it is added to the environment of this process, which credential plugins of the
        kubeconfig may need.
    :raises StackError: if the record cannot be written; the session must then create nothing.
    """
    record = CleanupRecord.begin(session_info)
    run.at_end(command(record, kubeconfig), {**os.environ, **interpreter.environment(), **env}, limit=limit(timeouts))
    record.hold()
    return record


def token_of(session_info: SessionInfo) -> str:
    """Return the token for a session's Vault, from the environment or from its file; '' if there is none.

    :raises ConfigurationError: if the text cannot be a token.
    """
    if os.environ.get(TOKEN_VARIABLE, "").strip():
        return Settings().vault_token()
    file = Path(session_info.token_file)
    return Settings(vault_token_file=file).vault_token() if session_info.token_file and file.is_file() else ""


def finish(
    record: CleanupRecord, token: str, kubeconfig: Path | None = None, removed: Removed | None = None
) -> list[Leftover]:
    """Remove what a session created, and its record if nothing is left.

    If one step fails, the others still run.

    :param token: for the session's Vault; '' if there is none.
    :param kubeconfig: the session's copy; None makes a copy of the user's kubeconfig.
    :param removed: receives what was removed.
    :return: what is left, and why.
    :raises StackError: if the record cannot be read, or if the session is under way.
    """
    removed = removed or Removed()
    contents = record.read()
    try:
        claimed = record.claim(_RELEASE)
    except FileNotFoundError:
        return []  # another process has finished it
    if not claimed:
        raise StackError(
            f"processes of session {record.session} are still running, or another process cleans up after it",
            hint="wait until they end",
        )
    try:
        where = contents.session_info
        timeouts = Timeouts().scaled(where.timeout_scale)
        sessions = list(dict.fromkeys([where.session, *contents.created]))
        left = _from_vault(contents, sessions, token, timeouts, removed) if where.vault_addr else []
        left += _from_cluster(contents, sessions, kubeconfig, timeouts, removed)
        if not left:
            record.remove()
        return left
    finally:
        record.release()


def _from_vault(
    contents: Contents, sessions: list[str], token: str, timeouts: Timeouts, removed: Removed
) -> list[Leftover]:
    where = contents.session_info
    if not token:
        return [
            Leftover(
                f"what session {where.session} created in the Vault at {where.vault_addr}",
                "there is no token for this Vault",
                f"{TOKEN_VARIABLE}=… vault-issuer stack down {where.session}",
            )
        ]
    if where.vault_ca and not Path(where.vault_ca).is_file():
        return [
            Leftover(
                f"what session {where.session} created in the Vault at {where.vault_addr}",
                f"the file of its CA certificate is gone: {where.vault_ca}",
                f"vault-issuer stack down {where.session}    # after the file is restored",
            )
        ]
    admin = VaultAdmin(VaultServer(where.vault_addr, where.vault_ca, token), timeouts)
    left = []
    for session in sessions:
        left += remove_created(admin, session, contents.created.get(session, []), removed)
    return left


def _from_cluster(
    contents: Contents, sessions: list[str], kubeconfig: Path | None, timeouts: Timeouts, removed: Removed
) -> list[Leftover]:
    where = contents.session_info
    with _kubeconfig(where, kubeconfig, timeouts) as open_kubeconfig:
        try:
            cluster = Cluster(open_kubeconfig(), timeouts=timeouts)
        except (VaultIssuerError, OSError) as error:
            what = f"what session {where.session} created in the {where.cluster}"
            return [Leftover(what, str(error), f"vault-issuer stack down {where.session}")]
        left = []
        with contextlib.closing(cluster):
            # Joined sessions first: the binding of the session itself states that the cluster is in use.
            for session in reversed(sessions):
                last = (CLUSTER_ROLE_BINDINGS, REVIEWER_BINDING) if session == where.session else None
                left += remove_labeled(
                    cluster, selector(session), timeouts, created=contents.types, last=last, removed=removed
                )
        return left


@contextlib.contextmanager
def _kubeconfig(where: SessionInfo, given: Path | None, timeouts: Timeouts) -> Iterator[Callable[[], Path]]:
    """Yield a function that returns the session's copy of the kubeconfig, or a new copy that is removed at the end."""
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
    """Return the error that lists what a cleanup could not remove."""
    return StackError(
        f"the cleanup of session {session} could not remove everything:\n{listed(left)}",
        hint=f"remove the rest by hand, or try again: vault-issuer stack down {session}",
    )


def main(path: str, kubeconfig: str = "") -> int:
    """Finish the cleanup of a record; return the exit status."""
    record = CleanupRecord(Path(path))
    if not record.path.exists():
        return 0
    try:
        where = record.read().session_info
        token = ""  # without a token, the cluster is cleaned up nevertheless
        with contextlib.suppress(ConfigurationError):
            token = token_of(where)
        removed = Removed()
        left = finish(record, token, Path(kubeconfig) if kubeconfig else None, removed)
    except VaultIssuerError as error:
        print(error, file=sys.stderr)
        return 1
    if left:
        print(unremoved(record.session, left), file=sys.stderr)
    for line in removed.kept_lines:
        print(line, file=sys.stderr)
    return 1 if left or removed.kept else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
