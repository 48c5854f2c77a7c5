"""What a cleanup removed, and what it could not remove."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Names in one line of :attr:`Removed.lines`; the rest is counted.
_NAMED = 10


class Removed:
    """What a cleanup removed, and what it left alone because it has replaced something of the session.

    >>> removed = Removed()
    >>> removed.add("containers", "vault", "node")
    >>> removed.lines
    ['containers: 2 (vault, node)']

    :ivar names: names of what was removed, by kind of thing.
    :ivar kept: names of what was left alone, by kind of thing.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.kept: dict[str, list[str]] = {}

    def add(self, kind: str, *names: str) -> None:
        """Add names of things that were removed.

        :param kind: for people, in the plural: ``containers``.
        """
        if names:
            self.names.setdefault(kind, []).extend(names)

    def keep(self, kind: str, name: str) -> None:
        """Add the name of something of another owner that is now where the session had created something.

        :param kind: for people, in the plural.
        """
        self.kept.setdefault(kind, []).append(name)

    @property
    def kept_lines(self) -> list[str]:
        """One line for each kind of thing that was left alone."""
        return [
            f"{kind} that others have mounted since, and that stay: {_shortened(names)}"
            for kind, names in self.kept.items()
        ]

    @property
    def lines(self) -> list[str]:
        """One line for each kind, with the count and the names."""
        return [f"{kind}: {len(names)} ({_shortened(names)})" for kind, names in self.names.items()]


def _shortened(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names if more <= 0 else [*names[:_NAMED], f"and {more} more"])


@dataclass(frozen=True)
class Leftover:
    """One thing, or several of one kind, that a cleanup could not remove.

    :ivar what: kind and name, for people.
    :ivar why: the reason, in one sentence.
    :ivar command: removes it, or shows what prevents its removal.
    """

    what: str
    why: str
    command: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}\n    {self.command}"


def listed(leftovers: Iterable[Leftover]) -> str:
    """Return leftovers as indented lines."""
    return "\n".join(f"  {leftover}" for leftover in leftovers)
