"""A stack that stays: Vault, Kubernetes, an issuer that runs, and an issuer object of each kind to try."""

from .state import DevStack, TriedIssuer, dev_stacks, load
from .up import make

__all__ = ["DevStack", "TriedIssuer", "dev_stacks", "load", "make"]
