"""A Kubernetes client whose objects are plain dictionaries, and what tests create in a cluster."""

from .client import ApiError, Cluster, Resource

__all__ = ["ApiError", "Cluster", "Resource"]
