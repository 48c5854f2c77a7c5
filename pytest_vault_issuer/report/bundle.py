"""A folder for each test that failed or was an error: its evidence, safe to attach to a public issue."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..text import all_printable, code, coded, markdown
from . import rerun
from .evidence import LEGEND, sections
from .files import json_text, write_text
from .load import Report, generator, title, versions
from .outcomes import TO_EXPLAIN, Outcome, failed_at_barrier, heading

FOLDER = "failures"
#: Lists the folders of a report: only these are removed with it.
MANIFEST = ".written-by-pytest-vault-issuer"
_FILES = ("README.md", "evidence.json")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_TITLES = {
    Outcome.ERROR: "could not be tested with",
    Outcome.FAILED: "is not met by",
    Outcome.KNOWN_FAILURE: "is not met by (known failure)",
}
#: Only a barrier failed: the requirement was neither violated nor proved.
_AT_BARRIER = "could not be proved of"


def write(report: Report, directory: Path) -> Path | None:
    """Write the folders and return their parent, or None if no test failed.

    The folders of an earlier session are removed.
    """
    place = directory / FOLDER
    remove(place)
    explained = [(e, t) for e in report["requirements"] for t in e["tests"] if t["outcome"] in TO_EXPLAIN]
    if not explained:
        return None
    shown = all_printable({key: value for key, value in report.items() if key != "requirements"})
    place.mkdir(exist_ok=True)
    made: list[str] = []
    for entry, test in explained:
        name = slug(entry["id"], test["nodeid"])
        while name in made:
            name += "-"
        made.append(name)
        # First: the next session also removes an unfinished folder.
        write_text(place / MANIFEST, json.dumps(made))
        (place / name).mkdir(exist_ok=True)
        readme = _readme(shown, all_printable(_without_tests(entry)), all_printable(test))
        write_text(place / name / "README.md", "\n".join(readme) + "\n")
        content = json_text({"requirement": _without_tests(entry), "test": test})
        write_text(place / name / "evidence.json", content)
    return place


def is_ours(place: Path) -> bool:
    """Whether a folder of failures belongs to an earlier report, is empty, or does not exist."""
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        return False
    return not place.exists() or (place / MANIFEST).is_file() or not any(place.iterdir())


def remove(place: Path) -> None:
    """Remove the folders of a report, and their parent if it is empty then."""
    try:
        listed = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        listed = []
    for name in listed if isinstance(listed, list) else []:
        if isinstance(name, str) and _SLUG.fullmatch(name) and not (place / name).is_symlink():
            for file in _FILES:
                (place / name / file).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it contains files of the user
                (place / name).rmdir()
    if place.is_dir() and {path.name for path in place.iterdir()} <= {MANIFEST}:
        (place / MANIFEST).unlink(missing_ok=True)
        place.rmdir()


def slug(identifier: str, nodeid: str) -> str:
    """Return a folder's name for a test of a requirement."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", f"{identifier}-{nodeid.partition('::')[2] or nodeid}").strip("-.")[:120]


def _readme(report: Report, entry: dict[str, Any], test: dict[str, Any]) -> Iterator[str]:
    outcome = Outcome(test["outcome"])
    judged = _AT_BARRIER if failed_at_barrier(test["message"]) else _TITLES[outcome]
    yield f"# {entry['id']} {judged} {markdown(title(report))}"
    yield ""
    yield f"> {coded(entry['statement'])} ({entry['level']})"
    yield ""
    yield f"* source: {markdown(entry['citation'])}"
    known = report["implementation"]["known_failures"].get(entry["id"])
    if known:
        yield f"* known failure: {markdown(known)}"
    if entry["upstream"]:
        yield f"* known upstream: {markdown(', '.join(entry['upstream']))}"
    yield f"* test: {code(test['nodeid'])}, {test['outcome']} after {test['duration_s']:.1f} s"
    yield f"* suite: {markdown(generator(report))}, {markdown(report['reproduction']['time'])}"
    if report["stack"]:
        stack = f"{versions(report['stack']['components'])} ({report['stack']['provider']})"
        yield f"* stack: {markdown(stack)}"
    yield ""
    yield from _block(heading(outcome, test["message"]), test["message"])
    yield from _block(
        "Repeat this test", rerun.command(report, test), "sh", note="In the directory where the session started:"
    )
    for number, (name, text) in enumerate(sections(test["evidence"]) if test["evidence"] else ()):
        yield from _block(name[0].upper() + name[1:], text, note="" if number else LEGEND)


def _block(name: str, text: str, language: str = "text", *, note: str = "") -> Iterator[str]:
    # A fence that is longer than any in the text: a log may contain Markdown.
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    yield from (f"## {name}", "")
    if note:
        yield from (note, "")
    yield from (f"{fence}{language}", text, fence, "")


def _without_tests(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "tests"}
