"""Selects what is judged today: the same for one seed, and everything over time."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from .load import mutants

T = TypeVar("T")

#: The seed of the selection; by default the date.
SEED = "MUTATION_SEED"
#: The number of mutants that the whole suite judges.
SAMPLE = "MUTATION_SAMPLE"


def set_seed() -> None:
    """Set the seed unless it is set: workers inherit it, also after midnight."""
    os.environ.setdefault(SEED, date.today().isoformat())


def drawn(items: Sequence[T], share: float) -> list[T]:
    """Return a share of some items, in an order that depends on the seed.

    :param share: from 0 to 1; rounded up to a whole number of items.
    """
    shuffled = random.Random(os.environ[SEED]).sample(items, len(items))
    return shuffled[: math.ceil(len(items) * share)]


def sample() -> set[str]:
    """Return the names of the mutants that the whole suite judges."""
    return set(drawn([mutant.name for mutant in mutants()], 1)[: int(os.environ.get(SAMPLE, "3"))])
