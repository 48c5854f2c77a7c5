"""The sandbox of a test: a namespace, mounts in Vault, a proxy in front of it, issuer objects and requests."""

from .credentials import FEATURES, new_iam_role
from .environment import Environment
from .sandbox import Sandbox, ready_status
from .vault_ha import VaultCluster, VaultNode

__all__ = ["FEATURES", "Environment", "Sandbox", "VaultCluster", "VaultNode", "new_iam_role", "ready_status"]
