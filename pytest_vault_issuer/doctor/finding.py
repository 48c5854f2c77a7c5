"""One finding about the machine."""

from __future__ import annotations

from dataclasses import dataclass

#: States of a finding: fine; a part of the suite cannot run; the suite cannot run.
OK, ABSENT, BROKEN = "ok", "absent", "broken"


@dataclass(frozen=True)
class Finding:
    """One checked property of the machine.

    :ivar state: `OK`, `ABSENT` (a part of the suite cannot run) or `BROKEN` (the suite cannot run).
    :ivar fix: what to do; '' if nothing needs a fix.
    """

    subject: str
    state: str
    detail: str
    fix: str = ""
