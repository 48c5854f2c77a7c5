"""``vault-issuer report``: shows, converts, compares and merges reports."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from . import files, html, json_report, markdown, summary, terminal
from .comparison import Change, compare
from .merging import merge
from .reading import Report, load, results, title


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    report = commands.add_parser(
        "report",
        help="show, convert, compare and merge reports",
        description="A report is the report.json that --vault-issuer-report=DIR wrote, or that directory.",
    )
    actions = report.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print outcomes and verdicts")
    show.add_argument("report", type=Path)
    show.add_argument("--format", choices=("pretty", "json", "markdown", "yaml"), default="pretty")
    page = actions.add_parser("html", help="write the report for people: one HTML file")
    page.add_argument("report", type=Path)
    page.add_argument("--output", type=Path, help="default: report.html beside the report")
    comparing = actions.add_parser(
        "compare", help="say what became better or worse; exit status 1 when something did worse"
    )
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--format", choices=("pretty", "json", "markdown"), default="pretty")
    merging = actions.add_parser("merge", help="make one report of those of several machines")
    merging.add_argument("reports", type=Path, nargs="+", metavar="report")
    merging.add_argument("--output", type=Path, required=True, metavar="DIR", help="directory of the merged report")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status: 0, or 1 where something became worse.

    :raises ConfigurationError: when a report cannot be read, or reports do not belong together.
    """
    if options.action == "show":
        return _show(load(options.report), options.format)
    if options.action == "html":
        beside = options.report if options.report.is_dir() else options.report.parent
        path = options.output or beside / html.FILE
        path.write_text(html.render(load(options.report)), encoding="utf-8")
        print(path)
        return 0
    if options.action == "merge":
        print(files.write_all(merge([load(path) for path in options.reports]), options.output))
        return 0
    return _compare(load(options.before), load(options.after), options.format)


def _show(report: Report, form: str) -> int:
    if form != "pretty":
        renderers = {"json": json_report.dumps, "markdown": markdown.render, "yaml": summary.render}
        print(renderers[form](report), end="")
        return 0
    print(title(report))
    judged = results(report)
    for line in [*terminal.table(judged), *terminal.details(judged)]:
        print(line)
    strict = report["options"]["certify"]
    for profile in report["profiles"]:
        line, _ = terminal.verdict_line(profile, [r for r in judged if r.requirement.profile == profile], strict=strict)
        print(line)
    return 0


def _compare(before: Report, after: Report, form: str) -> int:
    changes = compare(before, after)
    if form == "json":
        print(json.dumps([{**vars(change), "direction": change.direction} for change in changes], indent=2))
    elif form == "markdown":
        print(f"## {title(before)} → {title(after)}\n\n| | requirement | before | after |\n|---|---|---|---|")
        for change in changes:
            print(f"| {change.direction} | **{change.id}** ({change.level}) {change.statement} | {_said(change)} |")
    else:
        print(f"{title(before)} -> {title(after)}")
        for direction in ("worse", "better", "other"):
            for change in (c for c in changes if c.direction == direction):
                print(f"  {direction:7} {change.id} ({change.level}) {change.before or '-'} -> {change.after or '-'}")
                print(f"          {change.statement}")
        if not changes:
            print("  no requirement has another outcome")
        for profile in after["profiles"]:
            old = before["profiles"].get(profile, {}).get("verdict", "not judged")
            print(f"profile {profile}: {old} -> {after['profiles'][profile]['verdict']}")
    return 1 if any(change.direction == "worse" for change in changes) else 0


def _said(change: Change) -> str:
    return f"{change.before or '-'} | {change.after or '-'}"
