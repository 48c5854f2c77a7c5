"""Redacts the reports and representations that pytest prints or keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

Redact = Callable[[str], str]


def redact_report(report: pytest.TestReport | pytest.CollectReport, redact: Redact) -> None:
    """Redact everything of a report that pytest prints or a file keeps."""
    report.sections = [(title, redact(text)) for title, text in report.sections]
    if isinstance(report, pytest.TestReport):
        report.user_properties = redacted_properties(report.user_properties, redact)
    if isinstance(reason := getattr(report, "wasxfail", None), str):
        report.wasxfail = redact(reason)  # type: ignore[union-attr]
    if (context := getattr(report, "context", None)) is not None:  # of a subtest
        values = {name: redacted_value(value, redact) for name, value in context.kwargs.items()}
        report.context = replace(context, msg=redacted_value(context.msg, redact), kwargs=values)  # type: ignore[union-attr]
    representation: Any = report.longrepr
    if isinstance(representation, str):
        report.longrepr = redact(representation)
    elif isinstance(representation, tuple):  # a skip: path, line, reason
        report.longrepr = (*representation[:2], redact(representation[2]))
    elif representation is not None:
        redact_representation(representation, redact)
        text = str(representation)
        if redact(text) != text:  # an unknown kind of representation, or a secret spread over several parts
            report.longrepr = redact(text)


def redacted_properties(properties: Iterable[tuple[Any, Any]], redact: Redact) -> list[tuple[Any, Any]]:
    """Return the properties of a test or of the session, whose names are text of a test too."""
    return [(redacted_value(name, redact), redacted_value(value, redact)) for name, value in properties]


def redacted_value(value: Any, redact: Redact) -> Any:
    """Return a value unchanged if its text holds no secret; otherwise its redacted text."""
    text = str(value)
    return value if (redacted := redact(text)) == text else redacted


def redact_representation(representation: Any, redact: Redact) -> None:
    """Redact an exception as pytest represents it, with its locals and arguments."""
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
