"""One finding about the machine."""

from __future__ import annotations

from dataclasses import dataclass

#: States of a finding: fine; a part cannot be had; the suite cannot be run.
OK, ABSENT, BROKEN = "ok", "absent", "broken"


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what was seen.

    :ivar state: `OK`, `ABSENT` (an option is not there) or `BROKEN` (the suite cannot be run).
    :ivar fix: how to mend it, '' where nothing is to be mended.
    """

    subject: str
    state: str
    detail: str
    fix: str = ""
