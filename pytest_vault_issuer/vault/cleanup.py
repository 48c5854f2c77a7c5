"""Removes everything that a session created in a Vault that outlives it, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import hvac
import hvac.exceptions

from ..errors import StackError
from ..leftovers import Leftover, Removed
from .server import (
    AUTH,
    MOUNT_ROOTS,
    NAMESPACE,
    NAMESPACE_MARK,
    POLICY,
    SECRETS_ENGINE,
    TOKEN,
    VaultAdmin,
    mark_of,
    namespace_path,
)

#: A response that is not Vault's, such as the page of a load balancer, has another shape.
_OTHER_SHAPE = (LookupError, TypeError, AttributeError, ValueError)
_ERRORS = (StackError, hvac.exceptions.VaultError, *_OTHER_SHAPE)


@dataclass(frozen=True)
class Created:
    """Something that a session created or was about to create.

    :ivar what: `AUTH`, `SECRETS_ENGINE`, `POLICY`, `TOKEN` or `NAMESPACE`.
    :ivar name: its path or name; of a token, its accessor.
    :ivar accessor: of a mount, or the id of a namespace; '' if it is unknown.
    """

    what: str
    name: str
    accessor: str = ""


def remove_created(
    admin: VaultAdmin, session: str, created: Iterable[Created] = (), removed: Removed | None = None
) -> list[Leftover]:
    """Remove a session's tokens, namespaces, auth methods, secrets engines, policies and entities from a Vault.

    A mount is removed only if it has the recorded accessor or its description names the session, a namespace only if
    it has the recorded id or its metadata names the session, and a policy only if its name begins with that of the
    session. Unrecorded mounts and policies are found in lists, if the token may read them.

    After a failure, the cleanup reports it and continues.

    :param removed: receives the names of the removed things, and of those that have replaced something of the session.
    :return: what could not be removed, and why.
    """
    removal = _Removal(admin, session, list(created), removed or Removed())
    removal.tokens()
    removal.namespaces()
    removal.mounts(AUTH)
    removal.mounts(SECRETS_ENGINE)
    removal.policies()
    removal.entities()
    return removal.left


class _Removal:
    def __init__(self, admin: VaultAdmin, session: str, created: list[Created], removed: Removed) -> None:
        self.left: list[Leftover] = []
        self._removed = removed
        self._admin = admin
        self._client = admin.client
        self._session = session
        self._created = created
        self._accessors = {one.accessor for one in created if one.what == AUTH and one.accessor}

    def tokens(self) -> None:
        """Revoke recorded tokens. Any other token of the session expires, or ends with its auth method."""
        for accessor in self._recorded(TOKEN):
            with self._reported(f"token with accessor {accessor}", f"vault token revoke -accessor {accessor}"):
                try:
                    self._client.auth.token.revoke_accessor(accessor)
                    self._removed.add("Vault tokens", f"accessor {accessor}")
                except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as error:
                    if "invalid accessor" not in str(error):  # it has expired, or the test has revoked it
                        raise

    def namespaces(self) -> None:
        """Delete namespaces with everything in them, nested namespaces first."""
        for path in sorted(dict.fromkeys(self._recorded(NAMESPACE)), key=lambda path: path.count("/"), reverse=True):
            parent, _, name = path.rpartition("/")
            command = " ".join(filter(None, ["bao namespace delete", parent and f"-namespace={parent}", name]))
            with self._reported(f"{NAMESPACE} {path}", command):
                found = self._client.read(namespace_path(path))
                if found is not None and self._is_our_namespace(path, found["data"]):
                    self._admin.delete_namespace(path)
                    self._removed.add("Vault namespaces", path)

    def mounts(self, what: str) -> None:
        """Disable auth methods or secrets engines."""
        remove: Callable[[str], object] = (
            self._client.sys.disable_auth_method if what == AUTH else self._client.sys.disable_secrets_engine
        )
        there: dict[str, Any] = {}
        with contextlib.suppress(*_ERRORS):  # the minimum permissions do not include it
            there = dict(self._client.read(MOUNT_ROOTS[what])["data"])
        mine = [path.rstrip("/") for path, about in there.items() if self._is_marked(about)]
        for path in dict.fromkeys([*self._recorded(what), *mine]):
            with self._reported(f"{what} {path}", f"vault {_VERBS[what]} disable {path}"):
                about = there.get(f"{path}/") if there else self._admin.mounted(what, path)
                if about is None:
                    continue
                if self._is_ours(what, path, about):
                    if what == AUTH:
                        self._accessors.add(about["accessor"])
                    remove(path)
                    self._removed.add(f"Vault {what}s", path)
                elif self._known(what, path):
                    self._removed.keep(f"Vault {what}s", path)

    def policies(self) -> None:
        """Delete policies."""
        listed: list[str] = []
        with contextlib.suppress(*_ERRORS):
            listed = list(map(str, self._client.sys.list_policies()["data"]["policies"]))
        names = dict.fromkeys([*self._recorded(POLICY), *listed])
        for name in [name for name in names if name.startswith(f"{self._session}-")]:
            with self._reported(f"{POLICY} {name}", f"vault policy delete {name}"):
                self._client.sys.delete_policy(name)
                self._removed.add("Vault policies", name)

    def entities(self) -> None:
        """Delete the entities that logins created, because they outlive their auth method."""
        if not self._accessors:
            return
        what = f"identity entities of logins of session {self._session}"
        with self._reported(what, "vault list -detailed identity/entity-alias/id"):
            listing = self._client.list("identity/entity-alias/id") or {"data": {}}
            ours: dict[str, bool] = {}
            for alias in (listing["data"].get("key_info") or {}).values():
                entity = alias["canonical_id"]
                ours[entity] = ours.get(entity, True) and alias["mount_accessor"] in self._accessors
            for entity in [entity for entity, every in ours.items() if every]:
                with self._reported(f"entity {entity}", f"vault delete identity/entity/id/{entity}"):
                    self._client.delete(f"identity/entity/id/{entity}")
                    self._removed.add("Vault identity entities", entity)

    def _recorded(self, what: str) -> list[str]:
        return [one.name for one in self._created if one.what == what]

    def _is_marked(self, about: Any) -> bool:
        return isinstance(about, dict) and about.get("description") == mark_of(self._session)

    def _is_ours(self, what: str, path: str, about: dict[str, Any]) -> bool:
        return about["accessor"] in self._known(what, path) or self._is_marked(about)

    def _is_our_namespace(self, path: str, about: dict[str, Any]) -> bool:
        marked = (about.get("custom_metadata") or {}).get(NAMESPACE_MARK) == mark_of(self._session)
        return marked or about.get("id") in self._known(NAMESPACE, path)

    def _known(self, what: str, path: str) -> set[str]:
        return {one.accessor for one in self._created if (one.what, one.name) == (what, path) and one.accessor}

    @contextlib.contextmanager
    def _reported(self, what: str, command: str) -> Iterator[None]:
        try:
            yield
        except _ERRORS as error:
            self.left.append(Leftover(f"Vault {what}", _in_a_line(error), command))


#: Words of Vault's command line, by type of mount.
_VERBS = {AUTH: "auth", SECRETS_ENGINE: "secrets"}


def _in_a_line(error: Exception) -> str:
    if isinstance(error, _OTHER_SHAPE):
        return f"the response is not Vault's ({type(error).__name__}: {error})"
    return " ".join((error.message if isinstance(error, StackError) else str(error)).split())
