"""Redacts what pytest prints or keeps of a run: reports, internal errors, warnings, comparisons, crashed workers."""

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

    They do nothing in a run that has nothing to do with this plugin: other people's tests print what they print.
    """

    def __init__(self, run: Session) -> None:
        self._run = run

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        return self._run.redactor.redact(text)

    @property
    def _active(self) -> bool:
        """Whether there is anything to protect: an implementation is judged, or a fixture has started a stack."""
        return bool(self._run.settings.implementation) or self._run.directory.exists

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Redact the report of a test that judges no requirement: a user's own one of an issuer."""
        report = yield
        ours = any(name.startswith(_FIXTURES) for name in getattr(item, "fixturenames", ()))
        if (self._active or ours) and not hasattr(report, "vault_issuer"):
            redact_report(report, self.redact)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Redact an error of collection."""
        report = yield
        if self._active and report.failed:
            redact_report(report, self.redact)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Redact the report that pytest-xdist makes of the crash of a worker."""
        if self._active and report.when not in _PHASES:
            redact_report(report, self.redact)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, error: Any) -> None:
        """Redact what pytest-xdist prints of the end of a worker: a traceback in its words."""
        if self._active and isinstance(formatted := getattr(error, "formatted", None), str):
            error.formatted = self.redact(formatted)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any) -> None:
        """Redact an internal error, in whatever style, with locals and arguments."""
        if self._active:
            _redact_representation(excrepr, self.redact)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: Any) -> None:
        """Redact a warning."""
        text = str(warning_message.message)
        if self._active and (redacted := self.redact(text)) != text:
            warning_message.message = Warning(redacted)

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        """Compare values that hold secrets by their marks: pytest itself would cut them first, and show the halves."""
        if not self._active:
            return None
        values = [repr(left), repr(right)]
        shown = [self.redact(value) for value in values]
        if shown == values:
            return None
        return [f" {op} ".join(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in shown)]


def redact_report(report: pytest.TestReport | pytest.CollectReport, redact: Redact) -> None:
    """Redact everything of a test that pytest prints or a report keeps."""
    report.sections = [(title, redact(text)) for title, text in report.sections]
    if isinstance(report, pytest.TestReport):
        report.user_properties = [
            (name, redact(value) if isinstance(value, str) else value) for name, value in report.user_properties
        ]
    representation: Any = report.longrepr
    if isinstance(representation, str):
        report.longrepr = redact(representation)
    elif isinstance(representation, tuple):  # of a skip: path, line, reason
        report.longrepr = (*representation[:2], redact(representation[2]))
    elif representation is not None:
        _redact_representation(representation, redact)
        text = str(representation)
        if redact(text) != text:  # of a kind that is not known here, or a secret that is spread over several parts
            report.longrepr = redact(text)


def _redact_representation(representation: Any, redact: Redact) -> None:
    if isinstance(getattr(representation, "longrepr", None), str):  # of an error of collection
        representation.longrepr = redact(representation.longrepr)
    if getattr(representation, "sections", None):
        representation.sections = [(name, redact(text), sep) for name, text, sep in representation.sections]
    chain = getattr(representation, "chain", None)
    if chain is None and hasattr(representation, "reprtraceback"):  # --tb=native makes one without links
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
    """Redact the lines of a traceback's entry; those of an error's message together, for a secret may have several."""
    marked = [line.startswith("E ") for line in lines]
    if not any(marked):
        return redact("\n".join(lines)).split("\n") if lines else []
    first = marked.index(True)
    width = len(lines[first]) - len(lines[first][1:].lstrip())
    message = "\n".join(line[width:] for line in lines[first:])
    before = redact("\n".join(lines[:first])).split("\n") if first else []
    return before + [lines[first][:width] + line for line in redact(message).split("\n")]
