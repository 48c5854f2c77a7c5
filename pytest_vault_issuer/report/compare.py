"""What became better or worse from one report to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .load import Report
from .outcomes import Outcome

#: From the worst to the best for whoever relies on a requirement.
_RANK = {
    Outcome.ERROR: 0,
    Outcome.FAILED: 1,
    Outcome.NOT_RUN: 2,
    Outcome.UNSUPPORTED: 2,
    Outcome.KNOWN_FAILURE: 3,
    Outcome.PASSED: 4,
}


@dataclass(frozen=True)
class Change:
    """What became of one requirement.

    :ivar before: its outcome; None where the older report does not know it; :ivar after: likewise.
    """

    id: str
    level: str
    statement: str
    before: str | None
    after: str | None

    @property
    def direction(self) -> str:
        """``better``, ``worse``, or ``other``: neither, as for what only one of the reports knows."""
        if self.after is None:
            return "other"
        if self.before is None:
            return "worse" if self.after in (Outcome.FAILED, Outcome.ERROR) else "other"
        step = _RANK[Outcome(self.after)] - _RANK[Outcome(self.before)]
        return "better" if step > 0 else "worse" if step < 0 else "other"


def compare(before: Report, after: Report) -> list[Change]:
    """Return the requirements whose outcome differs, in the order of the newer report."""
    older, newer = ({entry["id"]: entry for entry in report["requirements"]} for report in (before, after))
    changes = []
    for identifier in [*newer, *(i for i in older if i not in newer)]:
        old, new = older.get(identifier), newer.get(identifier)
        known: dict[str, Any] = new or old or {}
        change = Change(
            identifier,
            known["level"],
            known["statement"],
            old["outcome"] if old else None,
            new["outcome"] if new else None,
        )
        if change.before != change.after:
            changes.append(change)
    return changes
