"""The report of a session: its journal, written during the session, and its files, written at the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..report import build, reproduction
from ..report import write as files
from ..report.journal import Journal
from ..report.outcomes import RequirementResult, TestResult
from ..session.session import Session
from .collector import PlannedTest
from .ending import Ending

_OPTION = "--vault-issuer-report"


class ReportFiles:
    """Writes the report of a session, if its settings name a directory.

    :ivar path: of ``report.json`` once it is written.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._journal: Journal | None = None
        self.path: Path | None = None

    @property
    def problem(self) -> str:
        """Why the journal is incomplete; '' if it is complete."""
        return self._journal.problem if self._journal else ""

    def open(self) -> None:
        """Remove an older report from the directory, and start the journal.

        :raises ConfigurationError: when no report can be written there.
        """
        settings = self._session.settings
        if settings.report is None:
            return
        try:
            files.check(settings.report, _OPTION)
            files.remove_all(settings.report)
            self._journal = Journal(settings.report)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the report: {error.filename or settings.report}: {error.strerror}",
                hint=f"name another directory with {_OPTION}",
            ) from error
        implementation = self._session.implementation
        self._write_line(
            "run",
            schema_version=build.SCHEMA_VERSION,
            implementation={"name": implementation.name, "version": implementation.version},
            profiles=list(self._session.profiles),
            select=list(settings.select),
        )

    def add(self, test: PlannedTest, result: TestResult) -> None:
        """Add a line for a test that has ended."""
        entry = result.entry()
        del entry["evidence"]
        self._write_line("test", requirements=test.requirements, **entry)

    def write(self, results: Iterable[RequirementResult], ending: Ending, arguments: Iterable[str]) -> None:
        """Write all files.

        :param arguments: the command line of pytest.
        :raises OSError, VaultIssuerError: when that is not possible.
        """
        session = self._session
        if session.settings.report is None:
            return
        stack = session.stack() if session.has_stack else None
        report = build.build(
            session.implementation,
            stack,
            session.settings,
            results,
            profiles=session.profiles,
            reproduction=reproduction.describe(
                arguments,
                session.implementation,
                session.settings,
                _command(session) if stack else [],
                session.toolchain,
                stack,
                session.origins() if stack else [],
            ),
            failure=ending.failure,
            incomplete=ending.early,
            pace=session.pace,
        )
        try:
            self.path = files.write_all(report, session.settings.report)
        finally:
            verdicts = {name: profile["verdict"] for name, profile in report["profiles"].items()}
            self._write_line("end", verdicts=verdicts, failure=ending.failure, incomplete=ending.early)

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _write_line(self, kind: str, **fields: Any) -> None:
        if self._journal is not None:
            self._journal.write(kind, **fields)


def _command(session: Session) -> list[str]:
    """Return the controller's command; [] if its program is gone since the start, for example while it is built."""
    try:
        return session.command()
    except ConfigurationError:
        return []
