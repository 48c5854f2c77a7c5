"""A folder for each test that did not pass: the evidence, safe to attach to a public issue."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import again
from .evidence import LEGEND, sections
from .outcomes import HEADINGS, TO_EXPLAIN, Outcome
from .reading import Report, generator, title, versions

FOLDER = "failures"
_TITLES = {
    Outcome.ERROR: "could not be judged of",
    Outcome.FAILED: "is not done by",
    Outcome.KNOWN_FAILURE: "is, as is known, not done by",
}


def write(report: Report, directory: Path) -> Path | None:
    """Write the folders and return the one they are in, None where there is nothing to explain.

    What an earlier run left there is removed: it speaks of another run.
    """
    place = directory / FOLDER
    shutil.rmtree(place, ignore_errors=True)
    for entry in report["requirements"]:
        for test in entry["tests"]:
            if test["outcome"] not in TO_EXPLAIN:
                continue
            folder = place / slug(entry["id"], test["nodeid"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "README.md").write_text("\n".join(_readme(report, entry, test)) + "\n", encoding="utf-8")
            (folder / "evidence.json").write_text(
                json.dumps({"requirement": _without_tests(entry), "test": test}, indent=2, ensure_ascii=False) + "\n",
                encoding="utf-8",
            )
    return place if place.exists() else None


def slug(identifier: str, nodeid: str) -> str:
    """Return a folder's name for a test of a requirement."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", f"{identifier}-{nodeid.partition('::')[2] or nodeid}").strip("-")[:120]


def _readme(report: Report, entry: dict[str, Any], test: dict[str, Any]) -> Iterator[str]:
    outcome = Outcome(test["outcome"])
    yield f"# {entry['id']} {_TITLES[outcome]} {title(report)}"
    yield ""
    yield f"> {entry['statement']} ({entry['level']})"
    yield ""
    yield f"* where that is written: {entry['citation']}"
    known = report["implementation"]["known_failures"].get(entry["id"])
    if known:
        yield f"* known failure: {known}"
    if entry["upstream"]:
        yield f"* known upstream: {', '.join(entry['upstream'])}"
    yield f"* test: `{test['nodeid']}`, {test['outcome']} after {test['duration_s']:.1f} s"
    yield f"* suite: {generator(report)}, {report['reproduction']['time']}"
    if report["stack"]:
        yield f"* stack: {versions(report['stack']['components'])} ({report['stack']['provider']})"
    yield ""
    yield from _block(HEADINGS[outcome], test["message"])
    yield from _block(
        "Run just this again", again.command(report, test), "sh", note="In the directory where the run was started:"
    )
    for number, (heading, text) in enumerate(sections(test["evidence"]) if test["evidence"] else ()):
        yield from _block(heading[0].upper() + heading[1:], text, note="" if number else LEGEND)


def _block(heading: str, text: str, language: str = "text", *, note: str = "") -> Iterator[str]:
    # A fence longer than any in the text: a log may hold Markdown.
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    yield from (f"## {heading}", "")
    if note:
        yield from (note, "")
    yield from (f"{fence}{language}", text, fence, "")


def _without_tests(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "tests"}
