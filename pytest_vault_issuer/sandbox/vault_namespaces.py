"""Namespaces of Vault in which a test has a PKI and auth methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from ..proxy import Proxy
from ..vault import Pki, VaultWorkspace


class CredentialOptions(TypedDict):
    """Arguments of :meth:`~.sandbox.Sandbox.authenticate`: where a credential is valid, and for which PKI."""

    pki: Pki
    vault: VaultWorkspace


@dataclass(frozen=True)
class VaultNamespaces:
    """Namespaces with the same mounts, which exist in no other namespace of this Vault.

    A credential that :attr:`vault` creates is valid in all of them. :meth:`~.sandbox.Sandbox.vault_namespaces` returns
    this object.

    :ivar shown: those that a proxy must show (its argument ``namespaces``); () if the server has them itself.
    :ivar proxy: the proxy through which issuer objects reach the namespaces.
    :ivar pki: the PKI in each of them.
    :ivar vault: the workspace that creates something in each of them.
    """

    shown: tuple[str, ...]
    proxy: Proxy
    pki: Pki
    vault: VaultWorkspace

    @property
    def credentials(self) -> CredentialOptions:
        """Arguments of :meth:`~.sandbox.Sandbox.authenticate` for a credential that is valid in the namespaces."""
        return {"pki": self.pki, "vault": self.vault}
