"""Compares two reports: which requirements have a better or a worse outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..requirements.catalogue import LEVELS
from .load import Report
from .outcomes import Outcome

#: From the worst to the best for the user of a controller.
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
    """A requirement with different outcomes in two reports.

    :ivar before: the outcome in the older report; None if that report does not have the requirement.
    :ivar after: the outcome in the newer report, likewise.
    :ivar cause: the cause of the outcome in the newer report; '' if its messages do not name any.
    """

    id: str
    level: str
    statement: str
    before: str | None
    after: str | None
    cause: str = ""

    @property
    def direction(self) -> str:
        """``better``, ``worse``, or ``other``, such as for a requirement that only one of the reports has."""
        if self.after is None:
            return "other"
        if self.before is None:
            return "worse" if self.after in (Outcome.FAILED, Outcome.ERROR) else "other"
        step = _RANK[Outcome(self.after)] - _RANK[Outcome(self.before)]
        return "better" if step > 0 else "worse" if step < 0 else "other"


def compare(before: Report, after: Report) -> list[Change]:
    """Return the requirements with different outcomes: MUST before SHOULD, in the order of the newer report."""
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
            new.get("cause", "") if new else "",
        )
        if change.before != change.after:
            changes.append(change)
    return sorted(changes, key=lambda change: LEVELS.index(change.level))
