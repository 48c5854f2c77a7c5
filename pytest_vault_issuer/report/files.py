"""Writes a report in every form into one directory."""

from __future__ import annotations

from pathlib import Path

from . import bundle, html, json_report, markdown, summary
from .reading import Report

MARKDOWN = "report.md"
SUMMARY = "report.yaml"


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
