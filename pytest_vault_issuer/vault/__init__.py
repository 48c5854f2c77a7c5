"""Configures Vault through hvac (PKI, policies and auth methods), and removes everything again."""

from .namespaces import NamespacedWorkspace
from .server import VaultAdmin
from .workspace import AppRole, AuthRole, Pki, VaultWorkspace

__all__ = ["AppRole", "AuthRole", "NamespacedWorkspace", "Pki", "VaultAdmin", "VaultWorkspace"]
