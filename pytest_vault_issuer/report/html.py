"""The report for people: one HTML file without references to other files.

Jinja2 renders it from ``templates/`` with autoescape. This module prepares the values and has the filters that make
markup: each escapes its text itself.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..requirements.catalogue import LEVELS
from ..requirements.features import AREAS
from ..text import all_printable
from . import rerun
from .causes import Group, group_entries, member_lines
from .evidence import ELSEWHERE, LEGEND, body_text, connection, elsewhere_text, log_title, spec_text
from .files import HTML_MARK, write_text
from .load import Report, generator, pace, shortened, title, versions, with_outcome
from .outcomes import NOT_JUDGED, TO_EXPLAIN, Outcome, heading

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FILE = "report.html"
_TEMPLATE = "report.html.jinja"
_WORDS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.ERROR: "error",
    Outcome.KNOWN_FAILURE: "known failure",
    Outcome.NOT_RUN: "not run",
    Outcome.UNSUPPORTED: "unsupported",
}
#: The outcomes that the page lists first, with their evidence open.
_FIRST = (Outcome.ERROR, Outcome.FAILED)
#: The length of that list in requirements, and of each message in characters.
_LISTED, _SAID = 20, 200

_Listed = tuple[Outcome, Group[dict[str, Any]]]


def write(report: Report, directory: Path) -> Path:
    """Write ``report.html`` into a directory and return its path."""
    path = directory / FILE
    write_text(path, render(report))
    return path


def render(report: Report) -> str:
    """Return the report as one HTML document."""
    report = all_printable(report)
    groups = _groups(report)
    first, more = _shortened(groups)
    page = _environment().get_template(_TEMPLATE)
    text: str = page.render(
        report=report,
        title=title(report),
        generator=generator(report),
        mark=HTML_MARK,
        style=_asset("report.css"),
        script=_asset("report.js"),
        legend=LEGEND,
        words={outcome.value: word for outcome, word in _WORDS.items()},
        outcomes=[outcome.value for outcome in Outcome],
        opened=[outcome.value for outcome in _FIRST],
        to_explain=[outcome.value for outcome in TO_EXPLAIN],
        reasons=[why for why in (report.get("incomplete", ""), report["implementation"]["failure"]) if why],
        first=first,
        more=more,
        judged=any(entry["outcome"] not in NOT_JUDGED for entry in report["requirements"]),
        shared={e["id"]: g.title(outcome) for outcome, g in groups if len(g.members) > 1 for e in g.members},
        matrix_levels=_levels(report),
        matrix=list(_matrix(report)),
        areas=[
            (area, AREAS.get(area, ""), list(members))
            for area, members in itertools.groupby(report["requirements"], key=lambda entry: entry["area"])
        ],
        repeat=_repeat(report),
        rerun=functools.partial(rerun.command, report),
    )
    return text


@functools.cache
def _environment() -> Environment:
    """Return the environment of the templates; Jinja2 is imported now, not when pytest loads the plugin."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context

    def rerun_of(context: Any, test: dict[str, Any]) -> str:
        return str(context["rerun"](test))

    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    filters: dict[str, Callable[..., Any]] = {
        "coded": _coded,
        "elsewhere_text": elsewhere_text,
        "connection": lambda exchange: "\n".join(connection(exchange)),
        "day": _day,
        "first_line": lambda text: text.partition("\n")[::2],
        "heading": lambda test: heading(Outcome(test["outcome"]), test["message"]),
        "http_text": _http_text,
        "issue": _issue,
        "json": lambda value: json.dumps(value, indent=2),
        "linked": _linked,
        "log_title": lambda evidence: log_title(evidence)[:1].upper() + log_title(evidence)[1:],
        "moment": lambda time: datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds"),
        "moments": _moments,
        "rerun": pass_context(rerun_of),
        "rows": _rows,
        "member_lines": lambda group, entry: shortened("; ".join(member_lines(group, entry)), _SAID),
        "spec_text": spec_text,
        "test_name": lambda nodeid: nodeid.partition("::")[2] or nodeid,
        "versions": versions,
    }
    environment.filters.update(filters)
    environment.globals["elsewhere_title"] = ELSEWHERE[0].upper() + ELSEWHERE[1:]
    return environment


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


# -- values of the page --------------------------------------------------------------------------


def _groups(report: Report) -> list[_Listed]:
    """Return errors and failures by cause: MUST before SHOULD, errors before failures."""
    groups = [(outcome, group) for outcome in _FIRST for group in group_entries(with_outcome(report, [outcome.value]))]
    return sorted(groups, key=lambda listed: LEVELS.index(listed[1].members[0]["level"]))


def _shortened(groups: list[_Listed]) -> tuple[list[_Listed], int]:
    """Return the first groups and members, and how many members are left out."""
    first, room = [], _LISTED
    for outcome, group in groups:
        if room:
            first.append((outcome, Group(group.cause, group.members[:room], len(group.members))))
            room -= len(first[-1][1].members)
    return first, sum(len(group.members) for _, group in groups) - (_LISTED - room)


def _levels(report: Report) -> list[str]:
    return [level for level in LEVELS if any(entry["level"] == level for entry in report["requirements"])]


def _matrix(report: Report) -> Iterator[tuple[str, str, list[tuple[str, int, int, str]]]]:
    """Yield each area, its description, and for each level: passed, total, worst outcome."""
    for area, about in AREAS.items():
        members = [entry for entry in report["requirements"] if entry["area"] == area]
        if members:
            cells = [_cell(level, [e for e in members if e["level"] == level]) for level in _levels(report)]
            yield area, about, cells


def _cell(level: str, members: list[dict[str, Any]]) -> tuple[str, int, int, str]:
    seen = {entry["outcome"] for entry in members}
    worst = next((outcome.value for outcome in Outcome if outcome.value in seen), "")
    return level, sum(entry["outcome"] == Outcome.PASSED for entry in members), len(members), worst


def _repeat(report: Report) -> dict[str, str]:
    made = report["reproduction"]
    return {
        "Created": made["time"],
        "Command": made["command"],
        "Stack": versions(report["stack"]["components"] if report["stack"] else {}),
        "Controller": pace(report) or "not measured",
        "Python": f"{made['python']} on {made['platform']}",
        "Packages": versions(made["packages"]),
        "Suite": f"{generator(report)}, sha256 {made['suite_sha256'][:16]}",
    }


# -- filters -------------------------------------------------------------------------------------


def _moments(evidence: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
    """Return the exchanges and the refused connections of a test with their times, in order."""
    moments = [(exchange["started"], exchange) for exchange in evidence["exchanges"]]
    moments += [(failure["time"], failure) for failure in evidence["refused"]]
    return sorted(moments, key=lambda moment: moment[0])


def _http_text(exchange: dict[str, Any], prefix: str) -> str:
    """Return headers and body of a request (prefix '') or of its response (``response_``)."""
    headers = "\n".join(f"{name}: {value}" for name, value in exchange[f"{prefix}headers"])
    return f"{headers}\n\n{body_text(exchange[f'{prefix}body'])}".strip()


def _rows(item: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the conditions and events of an object and of its requests, as rows of a table."""
    rows = [_row(condition) for condition in item["conditions"]]
    rows += [_row(c, f"{r['name']}: ") for r in item["requests"] for c in r["conditions"]]
    return rows + [("event", e["type"], e["reason"], e["message"]) for e in item["events"]]


def _row(condition: dict[str, Any], of: str = "") -> tuple[Any, ...]:
    kind, *rest = (condition.get(key) for key in ("type", "status", "reason", "message"))
    return (f"{of}{kind}", *rest)


def _markup(text: str, *values: str) -> Markup:
    """Return markup with values, which are escaped."""
    from markupsafe import Markup

    return Markup(text).format(*values)  # noqa: S704 - the text is ours, and format() escapes the values


def _day(time: str) -> Markup:
    try:
        moment = datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, OverflowError):  # such as a month 13 or the year 0
        return _markup("{}", time)
    return _markup('<time datetime="{}">{}</time>', time, f"{moment.day} {moment:%B %Y, %H:%M} UTC")


def _linked(text: str) -> Markup:
    """Return text in which the addresses of pages are links."""
    parts = re.split(r"(https?://[^\s<>\"]*[^\s<>\".,;:)])", text)
    return _markup("").join(
        _markup('<a href="{}">{}</a>', part, part) if index % 2 else _markup("{}", part)
        for index, part in enumerate(parts)
    )


def _issue(reference: str) -> Markup:
    project, _, number = reference.partition("#")
    if number.isdigit():
        address = f"https://github.com/cert-manager/{project}/issues/{number}"
        return _markup('<a href="{}">{}</a>', address, reference)
    return _markup("{}", reference)


def _coded(text: str) -> Markup:
    """Return text with everything between backticks as code."""
    return _markup("").join(
        _markup("<code>{}</code>" if index % 2 else "{}", part) for index, part in enumerate(text.split("`"))
    )
