"""The same PKI, policies and auth methods in several namespaces of one server."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..certificates import Authority
from ..kube.client import Kubernetes
from .server import VaultAdmin
from .workspace import AppRole, AuthRole, Pki, VaultWorkspace, random_names

_T = TypeVar("_T")


class NamespacedWorkspace(VaultWorkspace):
    """Creates namespaces, and then the same objects, under the same names, in each of them.

    Every credential that it returns is valid in all its namespaces, and nowhere else: a test can change only the
    namespace of an Issuer.

    :param admin: of the server, see :attr:`VaultAdmin.offers_namespaces`.
    :param namespaces: paths such as ``team-a/pki``, of namespaces that do not exist.
    :raises StackError: if one of them or of their parents exists.
    """

    def __init__(
        self, admin: VaultAdmin, namespaces: Iterable[str], kubernetes: Kubernetes, reviewer_token: str
    ) -> None:
        super().__init__(admin, kubernetes, reviewer_token)
        self._namespaces = list(namespaces)
        self._wide: dict[str, str] = {}
        with contextlib.ExitStack() as undo:
            for path in dict.fromkeys(itertools.chain.from_iterable(map(_with_parents, sorted(self._namespaces)))):
                admin.create_namespace(path)
                undo.callback(admin.delete_own_namespace, path)
            self._undo = undo.pop_all()
        # The members request the same names in the same order, also if several threads use this workspace.
        self._lock = threading.Lock()
        names = itertools.tee(random_names(), len(self._namespaces))
        self._members = [
            VaultWorkspace(admin.within(namespace), kubernetes, reviewer_token, own)
            for namespace, own in zip(self._namespaces, names, strict=True)
        ]

    @property
    def namespace(self) -> str:
        """One of its namespaces."""
        return self._namespaces[0]

    def _in_each(self, create: Callable[[VaultWorkspace], _T]) -> _T:
        return self._each(create)[0]

    def _each(self, create: Callable[[VaultWorkspace], _T]) -> list[_T]:
        with self._lock:
            return [create(member) for member in self._members]

    def pki(
        self,
        authority: Authority | None = None,
        *,
        import_chain: bool = True,
        mount: str | None = None,
        role: dict[str, Any] | None = None,
    ) -> Pki:
        """Mount the same PKI engine, with the same CA, in each namespace."""
        authority = authority or Authority.root().intermediate()
        return self._in_each(lambda member: member.pki(authority, import_chain=import_chain, mount=mount, role=role))

    def policy(self, *paths: str, capabilities: Iterable[str] = ("create", "update")) -> str:
        """Create a policy in each namespace, and one for :meth:`token`."""
        allowed = list(capabilities)
        name = self._in_each(lambda member: member.policy(*paths, capabilities=allowed))
        everywhere = [f"{namespace}/{path}" for namespace in self._namespaces for path in paths]
        self._wide[name] = super().policy(*everywhere, capabilities=allowed)
        return name

    def token(self, *policies: str, ttl: str = "1h", **parameters: Any) -> str:
        """Create a token of the root namespace, which is valid in the namespaces below it."""
        return super().token(*(self._wide[policy] for policy in policies), ttl=ttl, **parameters)

    def mount_auth(self, method: str, mount: str | None = None) -> str:
        """Enable an auth method at the same path in each namespace."""
        return self._in_each(lambda member: member.mount_auth(method, mount))

    def approle(self, *policies: str, mount: str | None = None, ttl: str = "5m", **parameters: Any) -> AppRole:
        """Create an AppRole with the same RoleID and SecretID in each namespace."""
        role, *others = self._each(lambda member: member.approle(*policies, mount=mount, ttl=ttl, **parameters))
        for member, other in zip(self._members[1:], others, strict=True):
            method = member.client.auth.approle
            method.update_role_id(other.name, role.role_id, mount_point=other.mount)
            method.create_custom_secret_id(other.name, role.secret_id, mount_point=other.mount)
        return role

    def mount_kubernetes(self, mount: str | None = None) -> str:
        """Enable and configure the Kubernetes auth method at the same path in each namespace."""
        return self._in_each(lambda member: member.mount_kubernetes(mount))

    def _auth_role(self, mount: str, folder: str, data: dict[str, Any]) -> AuthRole:
        return self._in_each(lambda member: member._auth_role(mount, folder, data))


def _with_parents(path: str) -> Iterable[str]:
    """Return ``a``, ``a/b`` and ``a/b/c`` of ``a/b/c``."""
    return itertools.accumulate(path.split("/"), "{}/{}".format)
