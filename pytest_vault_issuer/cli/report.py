"""``vault-issuer report``: shows, converts, compares, merges, checks and publishes reports."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..report import html, markdown, published, summary, terminal
from ..report import write as files
from ..report.compare import Change, compare
from ..report.files import is_ours, json_text, write_text
from ..report.load import Report, load, results, title
from ..report.merge import merge
from ..text import all_printable, coded, one_line, printable
from ..text import markdown as escaped
from .output import add_command, add_format, markdown_table

_REPORT = "a report.json, or its directory"


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    report = add_command(
        commands,
        "report",
        "show, convert, compare, merge, check and publish reports",
        "A report is the report.json that --vault-issuer-report=DIR wrote, or that directory.",
        """
vault-issuer report show report                           # outcomes and verdicts
vault-issuer report show report --format markdown >> "$GITHUB_STEP_SUMMARY"
vault-issuer report compare before after                  # better and worse outcomes
vault-issuer report merge shard-1 shard-2 --output=all    # sessions on several machines
vault-issuer report check report                          # before it is published
vault-issuer report publish report                        # write it to reports/, in a clone of this project
""",
    )
    actions = report.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = add_command(
        actions,
        "show",
        "print outcomes and verdicts",
        "Print the outcomes by area, the failures by cause, and the verdict of each profile.",
        "vault-issuer report show report\nvault-issuer report show report/report.json --format yaml   # to publish",
    )
    show.add_argument("report", type=Path, help=_REPORT)
    add_format(show, "yaml")
    page = add_command(
        actions,
        "html",
        "write the report as one HTML file",
        "Write one HTML file that needs no network, and print its path.",
        "vault-issuer report html report\nvault-issuer report html report/report.json --output=page.html",
    )
    page.add_argument("report", type=Path, help=_REPORT)
    page.add_argument("--output", type=Path, help="default: report.html beside the report")
    comparing = add_command(
        actions,
        "compare",
        "list better and worse outcomes; exit status 1 if any is worse",
        "Compare two reports, of one controller or of two. Exit status: 0, or 1 if any outcome is worse.",
        "vault-issuer report compare before after\nvault-issuer report compare main.json branch.json --format markdown",
    )
    comparing.add_argument("before", type=Path, help=_REPORT)
    comparing.add_argument("after", type=Path, help=_REPORT)
    add_format(comparing)
    merging = add_command(
        actions,
        "merge",
        "merge the reports of several machines",
        "Merge reports of sessions that each ran a part of the suite, for example on several machines of a CI.",
        "vault-issuer report merge sign/report.json tls/report.json --output=report",
    )
    merging.add_argument("reports", type=Path, nargs="+", metavar="report", help=_REPORT)
    merging.add_argument("--output", type=Path, required=True, metavar="DIR", help="directory of the merged report")
    checking = add_command(
        actions,
        "check",
        "check whether a report can be published; exit status 1 if not",
        "Check whether others can rely on a report: it is complete, unchanged, names its vendor and a release,\n"
        "contains no secrets, and is in its place, reports/<suite version>/<implementation>/<version>.json.\n"
        "Exit status: 0, or 1 if a report has a problem.",
        "vault-issuer report check report       # one that `vault-issuer judge ... --certify` wrote\n"
        "vault-issuer report check reports      # all that are published",
    )
    checking.add_argument(
        "reports", type=Path, nargs="+", metavar="report", help=f"{_REPORT}, or a directory of published reports"
    )
    add_format(checking)
    publishing = add_command(
        actions,
        "publish",
        "write a report to its place among the published reports",
        "Check a report, and write it to reports/<suite version>/<implementation>/<version>.json, without the\n"
        "evidence of failures. Print the path. Exit status: 0, or 1 if the report has a problem: nothing is written.",
        "vault-issuer report publish report\nvault-issuer report publish report --word openbao",
    )
    publishing.add_argument("report", type=Path, help=_REPORT)
    publishing.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="clone with the reports (default: this directory)",
    )
    publishing.add_argument(
        "--word", type=_word, help="added to the version: for another report of a release, such as openbao"
    )
    report.set_defaults(run=run)


def _word(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} must consist of lowercase letters, digits, dots and hyphens")
    return text


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status: 0, or 1 if an outcome is worse or a report has a problem.

    :raises ConfigurationError: if a report cannot be read or written, or if reports do not match.
    """
    if options.action == "show":
        return _show(load(options.report), options.format)
    if options.action == "html":
        beside = options.report if options.report.is_dir() else options.report.parent
        path = options.output or beside / html.FILE
        page = html.render(load(options.report))
        with _written(path):
            if options.output is None and os.path.lexists(path) and not is_ours(path):
                raise ConfigurationError(
                    f"{path} is not from an earlier report, and the page would replace it",
                    hint="name another path with --output",
                )
            write_text(path, page)
        print(printable(str(path)))
        return 0
    if options.action == "merge":
        merged = merge([load(path) for path in options.reports])
        with _written(options.output):
            files.check(options.output, "--output")
            print(printable(str(files.write_all(merged, options.output))))
        return 0
    if options.action == "publish":
        with _written(options.output):
            target, problems = published.publish(options.report, options.output, options.word or "")
        _print_problems(problems)
        if not problems:
            print(printable(str(target)))
        return 1 if problems else 0
    if options.action == "check":
        return _check([path for named in options.reports for path in published.files_of(named)], options.format)
    return _compare(load(options.before), load(options.after), options.format)


def _check(paths: list[Path], form: str) -> int:
    checked = [(path, load(path), published.check(path)) for path in paths]
    if form == "json":
        entries = [
            {"path": str(path), "place": str(published.place(report)), "problems": [vars(each) for each in problems]}
            for path, report, problems in checked
        ]
        print(json_text(entries), end="")
    else:
        headers = ("report", "about", "problem", "what to do")
        rows = [
            [str(path), title(report), each.text, each.hint] for path, report, problems in checked for each in problems
        ]
        if form == "markdown":
            print("\n".join(markdown_table(headers, rows)))
        else:
            for path, report, problems in checked:
                good = "" if problems else f"can be published as {published.place(report)}"
                print(one_line(f"{path}: {title(report)}: {good or f'{len(problems)} problems'}"))
                _print_problems(problems)
    return 1 if any(problems for _, _, problems in checked) else 0


def _print_problems(problems: Iterable[published.Problem]) -> None:
    for each in problems:
        print(one_line(f"  {each.text}"))
        print(one_line(f"    hint: {each.hint}"))


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Turn an error of writing into one that names the option for another path.

    :raises ConfigurationError: for every ``OSError`` inside the block.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or path} cannot be written: {error.strerror}", hint="name another path with --output"
        ) from error


def _show(report: Report, form: str) -> int:
    if form != "pretty":
        renderers = {"json": json_text, "markdown": markdown.render, "yaml": summary.render}
        print(renderers[form](report), end="")
        return 0
    report = all_printable(report)
    about = report["implementation"]
    print(one_line(title(report)))
    for line in terminal.last_lines(
        about["name"],
        results(report),
        report["profiles"],
        certify=report["options"]["certify"],
        failure=about["failure"],
        early=report.get("incomplete", ""),
    ):
        print(one_line(line.text))
    return 0


def _compare(before: Report, after: Report, form: str) -> int:
    changes = compare(before, after)
    if form == "json":
        entries = [{**vars(change), "direction": change.direction} for change in changes]
        verdicts = {name: {"before": old, "after": new} for name, old, new in _verdicts(before, after)}
        print(json_text({"requirements": entries, "profiles": verdicts}), end="")
    elif form == "markdown":
        print(f"## {escaped(title(before))} → {escaped(title(after))}\n")
        print("| | requirement | before | after |\n|---|---|---|---|")
        for change in changes:
            print(
                f"| {change.direction} | **{change.id}** ({change.level}) {coded(change.statement)} | {_said(change)} |"
            )
        print("\n| profile | before | after |\n|---|---|---|")
        for profile, old, new in _verdicts(before, after):
            print(f"| {escaped(profile)} | {old} | {new} |")
    else:
        print(one_line(f"{title(before)} -> {title(after)}"))
        for direction in ("worse", "better", "other"):
            for change in (c for c in changes if c.direction == direction):
                print(f"  {direction:7} {change.id} ({change.level}) {change.before or '-'} -> {change.after or '-'}")
                print(f"          {one_line(change.statement)}")
                if direction == "worse" and change.cause:
                    print(f"          cause: {one_line(change.cause)}")
        if not changes:
            print("  no requirement has another outcome")
        for profile, old, new in _verdicts(before, after):
            print(f"profile {one_line(profile)}: {old} -> {new}")
    return 1 if any(change.direction == "worse" for change in changes) else 0


def _verdicts(before: Report, after: Report) -> Iterator[tuple[str, str, str]]:
    """Yield each profile of either report with its verdict in both."""
    for profile in dict.fromkeys([*after["profiles"], *before["profiles"]]):
        old, new = (report["profiles"].get(profile, {}).get("verdict", "not judged") for report in (before, after))
        yield profile, old, new


def _said(change: Change) -> str:
    return f"{change.before or '-'} | {change.after or '-'}"
