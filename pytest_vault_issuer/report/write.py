"""Writes all forms of a report into one directory."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigurationError
from ..text import plain
from . import build as json_report
from . import bundle, html, journal, markdown, summary
from .files import MARKDOWN_MARK, YAML_MARK, is_ours, write_text
from .load import Report

MARKDOWN = "report.md"
SUMMARY = "report.yaml"
_FORMS = (json_report.FILE, html.FILE, MARKDOWN, SUMMARY)


def check(directory: Path, option: str) -> None:
    """Check that a report in a directory would replace only an earlier report.

    :param option: the option that names the directory, for the message.
    :raises ConfigurationError: for a file or folder that is not from a report.
    """
    try:
        named = [directory / name for name in (*_FORMS, journal.FILE)]
        foreign = [path for path in named if os.path.lexists(path) and not is_ours(path)]
        if not bundle.is_ours(directory / bundle.FOLDER):
            foreign.append(directory / bundle.FOLDER)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or directory} cannot be read: {error.strerror}",
            hint=f"name another directory with {option}",
        ) from error
    if foreign:
        raise ConfigurationError(
            f"{foreign[0]} is not from an earlier report, and a report would replace it",
            hint=f"name a new directory with {option}, or move the file",
        )


def remove_all(directory: Path) -> None:
    """Remove the report of an earlier session, except its journal, which the new one replaces.

    Call :func:`check` first.
    """
    for name in _FORMS:
        (directory / name).unlink(missing_ok=True)
    bundle.remove(directory / bundle.FOLDER)


def write_all(report: Report, directory: Path) -> Path:
    """Write all forms of the report and the folders of failures; return the path of ``report.json``.

    :param directory: created if it does not exist. An earlier report in it is replaced.
    :raises OSError: if a file cannot be written. No file is written in part.
    """
    report = plain(report)
    path = json_report.write(report, directory)
    html.write(report, directory)
    write_text(directory / MARKDOWN, f"{MARKDOWN_MARK}\n{markdown.render(report)}")
    write_text(directory / SUMMARY, YAML_MARK + summary.render(report))
    bundle.write(report, directory)
    return path
