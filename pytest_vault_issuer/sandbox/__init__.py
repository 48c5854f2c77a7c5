"""What one test owns: a namespace, mounts in Vault, a proxy in front of it, issuers and requests."""

from .authentications import FEATURES
from .sandbox import Sandbox, ready_status
from .world import World

__all__ = ["FEATURES", "Sandbox", "World", "ready_status"]
