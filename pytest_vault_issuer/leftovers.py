"""What a cleanup could not remove: said so that a person can remove it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Leftover:
    """One thing, or several of a kind, that a cleanup has left.

    :ivar what: kind and name, for people.
    :ivar why: what went wrong, in one sentence.
    :ivar command: removes it by hand, or shows what keeps it.
    """

    what: str
    why: str
    command: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}\n    {self.command}"


def listed(leftovers: Iterable[Leftover]) -> str:
    """Return leftovers as indented lines."""
    return "\n".join(f"  {leftover}" for leftover in leftovers)
