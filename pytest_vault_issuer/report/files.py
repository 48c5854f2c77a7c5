"""Writes a report in every form into one directory."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import bundle, html, json_report, markdown, summary
from .reading import Report

MARKDOWN = "report.md"
SUMMARY = "report.yaml"


def remove_all(directory: Path) -> None:
    """Remove what an earlier run wrote, but for its journal: a new one begins, and its report may never come."""
    for name in (json_report.FILE, html.FILE, MARKDOWN, SUMMARY):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / bundle.FOLDER, ignore_errors=True)


def write_all(report: Report, directory: Path) -> Path:
    """Write the report for machines and for people and the folders of failures; return the path of ``report.json``.

    :param directory: created where it is missing; what an earlier run wrote there is replaced.
    """
    path = json_report.write(report, directory)
    html.write(report, directory)
    (directory / MARKDOWN).write_text(markdown.render(report), encoding="utf-8")
    (directory / SUMMARY).write_text(summary.render(report), encoding="utf-8")
    bundle.write(report, directory)
    return path
