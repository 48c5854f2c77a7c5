"""Right issuers that differ: what the requirements leave open, decided in another way than the miniature does."""

from __future__ import annotations

from .mutants import Mutant

VARIANTS: tuple[Mutant, ...] = ()
