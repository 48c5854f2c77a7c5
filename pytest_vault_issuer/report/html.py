"""A report for people: one HTML file that needs nothing else, from disk or from a server."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from ..requirements.features import AREAS
from ..text import all_printable
from . import rerun as again
from .evidence import LEGEND, body_text, connection, log_title, spec_text
from .files import HTML_MARK, write_text
from .load import Report, generator, messages, shortened, title, versions, with_outcome
from .outcomes import HEADINGS, TO_EXPLAIN, Outcome

FILE = "report.html"
_WORDS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.ERROR: "error",
    Outcome.KNOWN_FAILURE: "known failure",
    Outcome.NOT_RUN: "not run",
    Outcome.UNSUPPORTED: "unsupported",
}
#: What is listed at the beginning, and opened.
_FIRST = (Outcome.ERROR, Outcome.FAILED)
#: How many at the beginning, and characters of what their tests say there.
_LISTED, _SAID = 20, 200


def write(report: Report, directory: Path) -> Path:
    """Write ``report.html`` into a directory and return its path."""
    path = directory / FILE
    write_text(path, render(report))
    return path


def render(report: Report) -> str:
    """Return the report as one HTML document."""
    report = all_printable(report)
    style, script = (_asset(name) for name in ("report.css", "report.js"))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            HTML_MARK,
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title(report))}: conformance</title>",
            f"<style>{style}</style>",
            "<noscript><style>.filters { display: none; }</style></noscript></head><body>",
            '<a class="skip" href="#requirements">Skip to the requirements</a>',
            *_head(report),
            "<main>",
            '<div class="overview">',
            *_first(report),
            *_matrix(report),
            "</div>",
            *_filters(report),
            '<section id="requirements" aria-label="Requirements" tabindex="-1">',
            *_areas(report),
            '<p id="nothing" hidden>No requirement fits what is searched for and chosen.</p>',
            "</section>",
            "</main>",
            *_foot(report),
            f"<script>{script}</script>",
            "</body></html>",
            "",
        ]
    )


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _head(report: Report) -> Iterator[str]:
    about = report["implementation"]
    stack = report["stack"]
    yield f"<header><h1>{escape(title(report))}</h1>"
    on = f" on {versions(stack['components'])} ({stack['provider']})" if stack else ", whose stack did not start"
    yield (
        f'<p class="about">Conformance of an issuer backed by Vault, judged by {escape(generator(report))}'
        f"{escape(on)}, {_day(report['reproduction']['time'])}</p>"
    )
    yield '<ul class="verdicts">'
    for name, profile in report["profiles"].items():
        yield (
            f'<li><span class="verdict {profile["verdict"]}">profile {escape(name)}: '
            f"<strong>{escape(profile['verdict'])}</strong></span> "
            f'<span class="counts">{"; ".join(_count(*item) for item in profile["counts"].items())}</span></li>'
        )
    yield "</ul>"
    reasons = [reason for reason in (report.get("incomplete", ""), about["failure"]) if reason]
    if reasons:
        yield "<h2>Why the run ended early</h2>"
        yield from (f'<pre class="failure">{escape(reason)}</pre>' for reason in reasons)
    yield "</header>"


def _count(level: str, counted: dict[str, int]) -> str:
    """How many requirements of a level passed, and what became of the others."""
    others = "".join(
        f", {counted[outcome.value]} {_WORDS[outcome]}"
        for outcome in Outcome
        if outcome is not Outcome.PASSED and counted[outcome.value]
    )
    return f"{counted['passed']} of {sum(counted.values())} {escape(level)} passed{others}"


def _day(time: str) -> str:
    try:
        moment = datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, OverflowError):  # such as a month 13 or the year 0
        return escape(time)
    return f'<time datetime="{escape(time)}">{moment.day} {moment:%B %Y, %H:%M} UTC</time>'


def _first(report: Report) -> Iterator[str]:
    """What to look at: errors and failures, each with a link and the first line of what its tests say."""
    yield '<nav class="first" aria-labelledby="first"><h2 id="first">What to look at</h2>'
    listed = with_outcome(report, [outcome.value for outcome in _FIRST])
    if not listed:
        ran = any(entry["tests"] for entry in report["requirements"])
        yield f"<p>{'No requirement failed.' if ran else 'No test was run.'}</p></nav>"
        return
    yield "<ol>"
    for entry in sorted(listed, key=lambda entry: _FIRST.index(Outcome(entry["outcome"])))[:_LISTED]:
        yield (
            f'<li><a href="#{entry["id"]}">{entry["id"]}</a> <span class="badge {entry["outcome"]}">'
            f"{_WORDS[Outcome(entry['outcome'])]}</span> {_code(entry['statement'])}"
            f'<span class="said">{escape(shortened("; ".join(messages(entry)), _SAID))}</span></li>'
        )
    yield "</ol>"
    if len(listed) > _LISTED:
        yield f"<p>and {len(listed) - _LISTED} more, in the list below</p>"
    yield "</nav>"


def _matrix(report: Report) -> Iterator[str]:
    """A table of outcomes by area and level; each cell filters the list below."""
    levels = [level for level in ("MUST", "SHOULD", "MAY") if any(e["level"] == level for e in report["requirements"])]
    yield '<table class="matrix"><caption>Requirements that passed, by area and level</caption>'
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("area", *levels))
    yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    for area, about in AREAS.items():
        members = [entry for entry in report["requirements"] if entry["area"] == area]
        if not members:
            continue
        cells = [_cell(area, level, [e for e in members if e["level"] == level]) for level in levels]
        yield (
            f'<tr><th scope="row"><a href="#{area}" data-area="{area}" title="{escape(about)}">{area}</a></th>'
            f"{''.join(cells)}</tr>"
        )
    yield "</tbody></table>"


def _cell(area: str, level: str, members: list[dict[str, Any]]) -> str:
    if not members:
        return '<td class="none"><span class="hidden">none</span></td>'
    seen = {entry["outcome"] for entry in members}
    worst = next(outcome for outcome in Outcome if outcome.value in seen)
    passed = sum(entry["outcome"] == Outcome.PASSED for entry in members)
    return (
        f'<td class="{worst.value}"><a href="#{area}" data-area="{area}" data-level="{level}">{passed}/{len(members)}'
        f'<span class="hidden"> of {area} {level}, worst: {_WORDS[worst]}</span></a></td>'
    )


def _filters(report: Report) -> Iterator[str]:
    yield '<form class="filters" role="search" onsubmit="return false">'
    yield '<label>Search <input type="search" id="search" autocomplete="off" placeholder="id, words, messages"></label>'
    yield '<fieldset><legend class="hidden">Outcomes</legend>'
    for outcome in Outcome:
        count = sum(entry["outcome"] == outcome.value for entry in report["requirements"])
        if count:
            yield (
                f'<label class="pill {outcome.value}"><input type="checkbox" name="outcome" value="{outcome.value}" '
                f"checked> {_WORDS[outcome]} {count}</label>"
            )
    yield "</fieldset>"
    yield '<button type="button" id="reset">Show all</button>'
    yield '<output id="shown" aria-live="polite"></output></form>'


def _areas(report: Report) -> Iterator[str]:
    """The requirements, below a heading for each area."""
    for area, members in itertools.groupby(report["requirements"], key=lambda entry: entry["area"]):
        about = AREAS.get(area, "")
        yield f'<section class="area" id="{area}" aria-labelledby="{area}-area">'
        yield f'<h2 id="{area}-area">{area} <span class="about">{escape(about)}</span></h2>'
        yield from (_requirement(report, entry) for entry in members)
        yield "</section>"


def _requirement(report: Report, entry: dict[str, Any]) -> str:
    outcome = Outcome(entry["outcome"])
    seconds = sum(test["duration_s"] for test in entry["tests"])
    opened = " open" if outcome in _FIRST else ""
    lines = [
        f'<details class="requirement" id="{entry["id"]}" data-area="{entry["area"]}" data-level="{entry["level"]}" '
        f'data-outcome="{outcome.value}"{opened}>',
        f'<summary><span class="badge {outcome.value}">{_WORDS[outcome]}</span> '
        f'<span class="id">{entry["id"]}</span> <span class="level">{entry["level"]}</span> '
        f'<span class="statement">{_code(entry["statement"])}</span></summary>',
        "<dl>",
        f"<dt>Source</dt><dd>{_linked(entry['citation'])}</dd>",
    ]
    if entry["reason"]:
        lines.append(f"<dt>Not asked for</dt><dd>{escape(entry['reason'])}</dd>")
    if entry["feature"]:
        lines.append(f"<dt>Feature</dt><dd>{escape(entry['feature'])}</dd>")
    if entry["since"]:
        lines.append(f"<dt>Since</dt><dd>cert-manager {escape(entry['since'])}</dd>")
    if entry["upstream"]:
        lines.append(f"<dt>Upstream</dt><dd>{', '.join(map(_issue, entry['upstream']))}</dd>")
    known = report["implementation"]["known_failures"].get(entry["id"])
    if known:
        lines.append(f"<dt>Known failure</dt><dd>{escape(known)}</dd>")
    lines.append(f"<dt>Tests</dt><dd>{len(entry['tests'])}, {seconds:.1f} s</dd></dl>")
    lines += [_test(report, test) for test in entry["tests"]]
    lines.append("</details>")
    return "\n".join(lines)


def _test(report: Report, test: dict[str, Any]) -> str:
    outcome = Outcome(test["outcome"])
    name = test["nodeid"].partition("::")[2] or test["nodeid"]
    head = (
        f'<span class="badge {outcome.value}">{_WORDS[outcome]}</span> <code>{escape(name)}</code> '
        f"<span class='duration'>{test['duration_s']:.1f} s</span>"
    )
    lines = [f'<div class="test">{head}']
    if outcome in TO_EXPLAIN:
        lines.append(f"<h3>{HEADINGS[outcome]}</h3>")
    if test["message"]:
        words, _, rest = test["message"].partition("\n")
        lines.append(f'<p class="message">{escape(words)}</p>')
        if rest.strip():
            lines.append(f'<pre class="compared">{escape(rest)}</pre>')
    if outcome in TO_EXPLAIN:
        lines.append(
            '<div class="again"><h3>Run just this again</h3><p>in the directory where the run was started</p>'
            f"<pre><code>{escape(again.command(report, test))}</code></pre></div>"
        )
    if evidence := test["evidence"]:
        lines += [*_timeline(evidence), *_objects(evidence), *_log(evidence)]
    return "\n".join([*lines, "</div>"])


def _timeline(evidence: dict[str, Any]) -> Iterator[str]:
    yield "<h3>Requests to Vault</h3>"
    if not evidence["exchanges"] and not evidence["refused"]:
        yield "<p>none: the issuer did not get in touch with Vault</p>"
        return
    yield f'<p class="note">{LEGEND}</p>'
    begin = min(
        [e["started"] for e in evidence["exchanges"]] + [failure["time"] for failure in evidence["refused"]],
        default=0.0,
    )
    moments: list[tuple[float, str]] = [
        (e["started"], _exchange(e, begin, _proxy(evidence, e))) for e in evidence["exchanges"]
    ]
    moments += [
        (failure["time"], f'<li class="refused">{_after(failure["time"], begin)} {_proxy(evidence, failure)}'
         f"connection refused: {escape(failure['reason'])}</li>")
        for failure in evidence["refused"]
    ]  # fmt: skip
    yield '<ol class="timeline">'
    yield from (text for _, text in sorted(moments, key=lambda moment: moment[0]))
    yield "</ol>"


def _proxy(evidence: dict[str, Any], seen: dict[str, Any]) -> str:
    """Say which proxy saw it, where a test has several."""
    return f'<span class="proxy">proxy {seen["proxy"]}</span> ' if evidence["proxies"] > 1 else ""


def _exchange(exchange: dict[str, Any], begin: float, proxy: str) -> str:
    source = "answered by Vault" if exchange["by_vault"] else "not answered by Vault"
    status = "no answer" if exchange["status"] is None else exchange["status"]
    good = exchange["status"] is not None and exchange["status"] < 300
    fault = f' <span class="fault">[{escape(exchange["fault"])}]</span>' if exchange["fault"] else ""
    parts = [
        f'<li class="{exchange["route"]}"><details><summary>{_after(exchange["started"], begin)} '
        f'{proxy}<span class="route">{exchange["route"]}</span> <code>#{exchange["number"]} '
        f"{escape(exchange['method'])} {escape(exchange['path'])} "
        f'<span class="status {"good" if good else "other"}">{status}</span>{fault}</code> '
        f'<span class="duration">{exchange["milliseconds"]:.0f} ms, {source}</span></summary>'
    ]
    if facts := "\n".join(connection(exchange)):
        parts.append(f"<h4>Connection</h4><pre>{escape(facts)}</pre>")
    if exchange["jwt"]:
        parts.append(f"<h4>JWT</h4><pre>{escape(json.dumps(exchange['jwt'], indent=2))}</pre>")
    for heading, prefix in (("Request", ""), ("Answer", "answer_")):
        headers = "\n".join(f"{name}: {value}" for name, value in exchange[f"{prefix}headers"])
        text = f"{headers}\n\n{body_text(exchange[f'{prefix}body'])}".strip()
        parts.append(f"<h4>{heading}</h4><pre>{escape(text)}</pre>")
    return "".join([*parts, "</details></li>"])


def _after(time: float, begin: float) -> str:
    moment = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    return f'<time title="{moment}">+{time - begin:.3f} s</time>'


def _objects(evidence: dict[str, Any]) -> Iterator[str]:
    yield "<h3>Issuers and requests</h3>"
    if not evidence["objects"]:
        yield "<p>none</p>"
        return
    yield '<p class="note">Of the test, with their specifications; conditions and events are those at its end.</p>'
    for item in evidence["objects"]:
        yield f"<h4>{escape(item['object'])}</h4>"
        if item["problem"]:
            yield f"<p>{escape(item['problem'])}</p>"
            continue
        if item.get("spec"):
            yield '<details class="spec"><summary>specification</summary>'
            yield f"<pre>{escape(spec_text(item))}</pre></details>"
        rows = [_row(condition) for condition in item["conditions"]]
        rows += [_row(c, f"{r['name']}: ") for r in item["requests"] for c in r["conditions"]]
        rows += [("event", e["type"], e["reason"], e["message"]) for e in item["events"]]
        if not rows:
            yield "<p>neither conditions nor events</p>"
            continue
        yield f'<table class="object" aria-label="Conditions and events of {escape(item["object"])}">'
        yield '<thead><tr><th scope="col">condition</th><th scope="col">status</th>'
        yield '<th scope="col">reason</th><th scope="col">message</th></tr></thead><tbody>'
        for row in rows:
            yield f"<tr>{''.join(f'<td>{escape(str(cell or str()))}</td>' for cell in row)}</tr>"
        yield "</tbody></table>"


def _row(condition: dict[str, Any], of: str = "") -> tuple[Any, ...]:
    kind, *rest = (condition.get(key) for key in ("type", "status", "reason", "message"))
    return (f"{of}{kind}", *rest)


def _log(evidence: dict[str, Any]) -> Iterator[str]:
    if evidence["log"]:
        title_ = log_title(evidence)
        yield f'<details class="log"><summary>{escape(title_[0].upper() + title_[1:])}</summary>'
        yield f"<pre>{escape(chr(10).join(evidence['log']))}</pre></details>"


def _foot(report: Report) -> Iterator[str]:
    again_ = report["reproduction"]
    rows = {
        "Made": again_["time"],
        "Command": again_["command"],
        "Stack": versions(report["stack"]["components"] if report["stack"] else {}),
        "Python": f"{again_['python']} on {again_['platform']}",
        "Packages": versions(again_["packages"]),
        "Suite": f"{generator(report)}, sha256 {again_['suite_sha256'][:16]}",
    }
    yield "<footer><h2>To repeat this run</h2><dl>"
    for name, value in rows.items():
        shown = escape(value) or "not started"
        yield f"<dt>{name}</dt><dd>{f'<code>{shown}</code>' if name == 'Command' else shown}</dd>"
    yield "</dl></footer>"


def _linked(text: str) -> str:
    """Return text in which addresses of pages are links."""
    parts = re.split(r"(https?://[^\s<>\"]*[^\s<>\".,;:)])", text)
    return "".join(
        f'<a href="{escape(part)}">{escape(part)}</a>' if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


def _issue(reference: str) -> str:
    project, _, number = reference.partition("#")
    if number.isdigit():
        return f'<a href="https://github.com/cert-manager/{escape(project)}/issues/{number}">{escape(reference)}</a>'
    return escape(reference)


def _code(text: str) -> str:
    """Return text with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
