"""A stack that stays: Vault, Kubernetes, an issuer that runs, and an issuer object of each kind to try."""

from .making import make
from .state import Playground, TriedIssuer, load, playgrounds

__all__ = ["Playground", "TriedIssuer", "load", "make", "playgrounds"]
