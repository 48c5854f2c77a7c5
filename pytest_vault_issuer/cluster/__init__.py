"""What tests do in Kubernetes, over plain dictionaries."""

from .api import ApiError, Cluster, Resource

__all__ = ["ApiError", "Cluster", "Resource"]
