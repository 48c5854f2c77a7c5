"""Dev stacks: Vault, Kubernetes, a controller, and issuer objects to try. A dev stack stays until it is removed."""

from .state import DevStack, IssuerObject, dev_stacks, load
from .up import make

__all__ = ["DevStack", "IssuerObject", "dev_stacks", "load", "make"]
