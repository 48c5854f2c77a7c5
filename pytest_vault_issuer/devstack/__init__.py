"""A stack that stays: Vault, Kubernetes, an issuer that runs, and an issuer object of each kind to try."""

from .state import Playground, TriedIssuer, load, playgrounds
from .up import make

__all__ = ["Playground", "TriedIssuer", "load", "make", "playgrounds"]
