"""Problems of a session other than failed tests."""

from __future__ import annotations

from dataclasses import dataclass

#: The reason to end a session early after the loss of its supervisor.
LOST = "the session's supervisor has ended, and the stack with it"


@dataclass
class Ending:
    """Why a session does not end as it should; texts are redacted and printable, '' for none.

    :ivar failure: why the controller did not start, did not answer or stopped.
    :ivar hint: what the reader can do about that failure.
    :ivar early: why the session ended before all tests had run.
    :ivar problem: why the report is missing or incomplete.
    """

    failure: str = ""
    hint: str = ""
    early: str = ""
    problem: str = ""

    def ends_early(self, why: str) -> None:
        """Note why the session ends early; the first reason counts."""
        self.early = self.early or why
