"""What one test owns: a namespace, mounts in Vault, a proxy in front of it, issuers and requests."""

from .authentications import FEATURES
from .sandbox import Sandbox, ready_status
from .vault_cluster import VaultCluster, VaultNode
from .world import World

__all__ = ["FEATURES", "Sandbox", "VaultCluster", "VaultNode", "World", "ready_status"]
