"""Configures Vault through hvac: PKI, policies and auth methods, and takes all of it away again."""

from .server import VaultAdmin
from .workspace import AppRole, AuthRole, Pki, VaultWorkspace

__all__ = ["AppRole", "AuthRole", "Pki", "VaultAdmin", "VaultWorkspace"]
