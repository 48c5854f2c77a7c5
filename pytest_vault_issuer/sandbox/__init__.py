"""What one test owns: a namespace, mounts in Vault, a proxy in front of it, issuers and requests."""

from .authentications import FEATURES, new_iam_role
from .sandbox import Sandbox, ready_status
from .vault_cluster import VaultCluster, VaultNode
from .world import World

__all__ = ["FEATURES", "Sandbox", "VaultCluster", "VaultNode", "World", "new_iam_role", "ready_status"]
