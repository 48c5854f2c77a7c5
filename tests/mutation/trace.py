"""Which requirements run which lines of the sample controller: a mutant of a line can only fail one of them."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from filelock import FileLock

from pytest_vault_issuer.requirements.catalogue import SUITE
from pytest_vault_issuer.requirements.features import DOCUMENTED
from pytest_vault_issuer.toolchain.cache import default_cache

from . import line_recorder
from .builds import PACKAGE, SAMPLE_CONTROLLER, Build, Edit
from .judging import Bench, Conditions
from .rules import Site

#: Seconds after which the recording session is stopped.
LIMIT = 7200
#: The name of the line recorder in the build.
RECORDER = "line_recorder"


@dataclass(frozen=True)
class Trace:
    """A recorded session.

    :ivar lines: module -> line -> the requirements whose tests ran during its execution.
    :ivar at_start: module -> lines that ran before the first test.
    :ivar seconds: requirement -> duration of its tests; only of those that passed.
    """

    lines: dict[str, dict[int, list[str]]]
    at_start: dict[str, list[int]]
    seconds: dict[str, float]

    def affected(self, site: Site) -> list[str]:
        """Return the requirements that a site can affect, the fastest first."""
        first, last = site.lines
        wanted = {(site.module, line) for line in range(first, last + 1)} | uses(site)
        found = {name for module, line in wanted for name in self.lines.get(module, {}).get(line, [])}
        if not found and any(line in self.at_start.get(module, []) for module, line in wanted):
            found = set(self.seconds)
        return sorted(found & set(self.seconds), key=lambda name: (self.seconds[name], name))


def uses(site: Site) -> set[tuple[str, int]]:
    """Return the lines that use a definition of a module or class; none for other statements."""
    if not (site.function == "module" or ("." not in site.function and site.function[:1].isupper())):
        return set()
    tree = ast.parse((SAMPLE_CONTROLLER / site.module).read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.lineno == site.lines[0]:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {use for name in names for use in _lines_that_name(name)}


@cache
def _lines_that_name(name: str) -> frozenset[tuple[str, int]]:
    found = set()
    for file in SAMPLE_CONTROLLER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            named = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if named == name:
                found.add((file.name, node.lineno))
    return frozenset(found)


def load(bench: Bench) -> Trace:
    """Return the trace of the current source; record it if it is not cached."""
    cached = default_cache() / f"mutation-trace-{digest()}.json"
    cached.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(cached.with_suffix(".lock")):
        if not cached.exists():
            cached.write_text(json.dumps(record(bench).__dict__))
    content = json.loads(cached.read_text())
    lines = {module: {int(line): ids for line, ids in of.items()} for module, of in content["lines"].items()}
    return Trace(lines, content["at_start"], content["seconds"])


def digest() -> str:
    """Return a digest of the sample controller and of the suite."""
    suite = Path(str(resources.files(SUITE)))
    files = [*SAMPLE_CONTROLLER.glob("*.py"), *suite.rglob("*.py"), *suite.rglob("*.toml")]
    content = hashlib.sha256()
    for file in sorted(files):
        content.update(file.name.encode() + file.read_bytes())
    return content.hexdigest()[:16]


@dataclass(frozen=True)
class _Recording(Build):
    def write(self, directory: Path) -> Path:
        source = super().write(directory)
        shutil.copy(line_recorder.__file__, source / PACKAGE / f"{RECORDER}.py")
        return source


def record(bench: Bench, selection: Sequence[str] = ()) -> Trace:
    """Run the suite on the sample controller and return which lines ran during which tests.

    :param selection: ids of requirements; () for all.
    """
    begin = "from __future__ import annotations\n"
    edit = Edit("__main__.py", begin, f"{begin}\nfrom . import {RECORDER}\n\n{RECORDER}.start()\n")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        times = directory / "times.jsonl"
        conditions = Conditions(profiles=DOCUMENTED, timeout_scale=1.0, limit=LIMIT, times=times)
        judgement = bench.judge(_Recording("recording", (edit,), "Records lines."), directory, selection, conditions)
        tests = [json.loads(line) for line in times.read_text().splitlines()]
        written = (directory / PACKAGE / "lines.jsonl").read_text().splitlines()
        intervals = [json.loads(line) for line in written if line.endswith("}")]  # the last line may be truncated
        # The edit adds lines at the top of the module.
        return assemble(tests, intervals, judgement.of("passed"), {"__main__.py": edit.new.count("\n") - 1})


def assemble(
    tests: list[dict[str, object]],
    intervals: list[dict[str, object]],
    passed: Iterable[str],
    added: dict[str, int],
) -> Trace:
    """Match the intervals of lines with the times of tests.

    :param passed: requirements that count.
    :param added: module -> the number of additional lines at the top of its recorded source.
    """
    seconds: dict[str, float] = {}
    passed = set(passed)
    for test in tests:
        for identifier in test["ids"]:  # type: ignore[attr-defined]
            if identifier in passed:
                seconds[identifier] = seconds.get(identifier, 0.0) + test["end"] - test["start"]  # type: ignore[operator]
    first = min((float(test["start"]) for test in tests), default=0.0)  # type: ignore[arg-type]
    lines: dict[str, dict[int, set[str]]] = {}
    at_start: dict[str, set[int]] = {}
    for interval in intervals:
        end = float(interval["end"])  # type: ignore[arg-type]
        beside = {
            identifier
            for test in tests
            if test["start"] <= end and end - 2 * line_recorder.INTERVAL <= test["end"]  # type: ignore[operator]
            for identifier in test["ids"]  # type: ignore[attr-defined]
        }
        for module, numbers in interval["lines"].items():  # type: ignore[attr-defined]
            for number in numbers:
                number -= added.get(module, 0)
                lines.setdefault(module, {}).setdefault(number, set()).update(beside & passed)
                if end < first:
                    at_start.setdefault(module, set()).add(number)
    return Trace(
        {module: {line: sorted(ids) for line, ids in of.items()} for module, of in lines.items()},
        {module: sorted(numbers) for module, numbers in at_start.items()},
        seconds,
    )
