"""What tests do in Kubernetes, over plain dictionaries."""

from .client import ApiError, Cluster, Resource

__all__ = ["ApiError", "Cluster", "Resource"]
