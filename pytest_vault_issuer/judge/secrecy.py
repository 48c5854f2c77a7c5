"""Redacts what pytest prints or keeps: reports, internal errors, warnings, comparisons, crashes of workers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from ..session.session import Session

Redact = Callable[[str], str]
_FIXTURES = "vault_issuer_"
_PHASES = ("setup", "call", "teardown")
#: Characters of a value in a comparison, after redaction.
_LONGEST = 400


class Secrecy:
    """The hooks through which text leaves pytest.

    They do nothing in a pytest run that uses nothing of this plugin: its tests print what they print.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        return self._session.redactor.redact(text)

    @property
    def _active(self) -> bool:
        """Whether there may be secrets: the session judges an implementation, or a fixture has started a stack."""
        return bool(self._session.settings.implementation) or self._session.directory.exists

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Redact the report of a test that judges no requirement, such as a user's own test of a controller."""
        report = yield
        ours = any(name.startswith(_FIXTURES) for name in getattr(item, "fixturenames", ()))
        if (self._active or ours) and not hasattr(report, "vault_issuer"):
            redact_report(report, self.redact)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Redact an error during collection."""
        report = yield
        if self._active and report.failed:
            redact_report(report, self.redact)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Redact the report in which pytest-xdist describes the crash of a worker."""
        if self._active and report.when not in _PHASES:
            redact_report(report, self.redact)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, error: Any) -> None:
        """Redact the traceback that pytest-xdist prints when a worker ends."""
        if self._active and isinstance(formatted := getattr(error, "formatted", None), str):
            error.formatted = self.redact(formatted)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any) -> None:
        """Redact an internal error in any style, with its locals and arguments."""
        if self._active:
            _redact_representation(excrepr, self.redact)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: Any) -> None:
        """Redact a warning."""
        text = str(warning_message.message)
        if self._active and (redacted := self.redact(text)) != text:
            warning_message.message = Warning(redacted)

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        """Show redacted values in a comparison. pytest would cut the values first, and show parts of secrets."""
        if not self._active:
            return None
        values = [repr(left), repr(right)]
        shown = [self.redact(value) for value in values]
        if shown == values:
            return None
        return [f" {op} ".join(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in shown)]


def redact_report(report: pytest.TestReport | pytest.CollectReport, redact: Redact) -> None:
    """Redact everything of a report that pytest prints or a file keeps."""
    report.sections = [(title, redact(text)) for title, text in report.sections]
    if isinstance(report, pytest.TestReport):
        report.user_properties = [
            (name, redact(value) if isinstance(value, str) else value) for name, value in report.user_properties
        ]
    representation: Any = report.longrepr
    if isinstance(representation, str):
        report.longrepr = redact(representation)
    elif isinstance(representation, tuple):  # a skip: path, line, reason
        report.longrepr = (*representation[:2], redact(representation[2]))
    elif representation is not None:
        _redact_representation(representation, redact)
        text = str(representation)
        if redact(text) != text:  # an unknown kind of representation, or a secret spread over several parts
            report.longrepr = redact(text)


def _redact_representation(representation: Any, redact: Redact) -> None:
    if isinstance(getattr(representation, "longrepr", None), str):  # an error during collection
        representation.longrepr = redact(representation.longrepr)
    if getattr(representation, "sections", None):
        representation.sections = [(name, redact(text), sep) for name, text, sep in representation.sections]
    chain = getattr(representation, "chain", None)
    if chain is None and hasattr(representation, "reprtraceback"):  # --tb=native has no chain
        chain = [(representation.reprtraceback, getattr(representation, "reprcrash", None), None)]
    for traceback, crash, _ in chain or ():
        if crash is not None:
            crash.message = redact(crash.message)
        for entry in traceback.reprentries:
            _redact_entry(entry, redact)


def _redact_entry(entry: Any, redact: Redact) -> None:
    entry.lines[:] = _redact_lines(getattr(entry, "lines", []), redact)
    if getattr(entry, "reprfuncargs", None):
        entry.reprfuncargs.args = [(name, redact(str(value))) for name, value in entry.reprfuncargs.args]
    if getattr(entry, "reprlocals", None):
        entry.reprlocals.lines[:] = redact("\n".join(entry.reprlocals.lines)).split("\n")
    if getattr(entry, "reprfileloc", None):
        entry.reprfileloc.message = redact(str(entry.reprfileloc.message))


def _redact_lines(lines: list[str], redact: Redact) -> list[str]:
    """Redact the lines of a traceback's entry. Those of a message are one text, because a secret may span lines."""
    marked = [line.startswith("E ") for line in lines]
    if not any(marked):
        return redact("\n".join(lines)).split("\n") if lines else []
    first = marked.index(True)
    width = len(lines[first]) - len(lines[first][1:].lstrip())
    message = "\n".join(line[width:] for line in lines[first:])
    before = redact("\n".join(lines[:first])).split("\n") if first else []
    return before + [lines[first][:width] + line for line in redact(message).split("\n")]
