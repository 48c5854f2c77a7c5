"""Published reports: ``reports/<suite version>/<implementation>/<implementation version>.json``, and their checks.

The layout follows the conformance reports of the Gateway API:
https://github.com/kubernetes-sigs/gateway-api/tree/main/conformance/reports
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from ..errors import ConfigurationError
from ..redaction.redactor import Redactor
from ..requirements.catalogue import Catalogue
from ..text import one_line
from ..toolchain import Origin
from ..toolchain.sources import PINNED
from .build import FILE
from .files import json_text, write_text
from .load import Report, load, results
from .outcomes import profile_entries
from .reproduction import suite_digest

#: Directory of the published reports in the repository.
DIRECTORY = "reports"
#: File of a suite version with the digest of its suite, written with its release.
DIGEST_FILE = "suite.sha256"
#: A directory of the user who judged.
_HOME = re.compile(r"(?<![\w.-])/(?:root|home/[^/\s]+|Users/[^/\s]+)/\S*")


@dataclass(frozen=True)
class Problem:
    """Why a report cannot be published.

    :ivar text: what is wrong; :ivar hint: what to do.
    """

    text: str
    hint: str


@dataclass(frozen=True)
class Published:
    """A published report.

    :ivar path: of its file.
    """

    path: Path
    report: Report

    @property
    def suite_version(self) -> str:
        """Version of the suite that judged."""
        return str(self.report["generator"]["version"])

    @property
    def name(self) -> str:
        """Name of the implementation."""
        return str(self.report["implementation"]["name"])

    @property
    def version(self) -> str:
        """Version of the implementation."""
        return str(self.report["implementation"]["version"])


def place(report: Report) -> Path:
    """Return where a report belongs, relative to the repository.

    Another report of the same release, such as on OpenBao, has a word after the version: ``1.4.0-openbao.json``.
    """
    about = report["implementation"]
    parts = (report["generator"]["version"], about["name"].lower(), f"{about['version'].removeprefix('v')}.json")
    return Path(DIRECTORY, *(re.sub(r"[^a-z0-9.+_-]+", "-", part).strip("-") for part in parts))


def read_all(directory: Path) -> list[Published]:
    """Return the reports in a directory of this layout: the newest suite first, then by name, the newest version first.

    :raises ConfigurationError: if one of them cannot be read.
    """
    found = [Published(path, load(path)) for path in files_in(directory)]
    found.sort(key=lambda each: (_key(each.version), each.path.name), reverse=True)
    found.sort(key=lambda each: each.name.lower())
    return sorted(found, key=lambda each: _key(each.suite_version), reverse=True)


def _key(version: str) -> Version:
    """Return what versions are sorted by; what is not a version comes last."""
    return Version(version if is_version(version) else "0.dev0")


def files_in(directory: Path) -> list[Path]:
    """Return the report files in a directory of this layout."""
    return sorted(directory.glob("*/*/*.json"))


def check(path: Path) -> list[Problem]:
    """Return why a report cannot be published; [] if it can.

    :param path: of a report, or of its directory. The place of a file in a directory named ``reports`` is checked too.
    :raises ConfigurationError: if it cannot be read, or is no report.
    """
    report = load(path)
    problems = [
        *_incomplete(report),
        *_changed(report),
        *_unidentified(report),
        *_unpinned(report),
        *_local(report),
        *_secret(report),
    ]
    if path.name != FILE and not path.is_dir():
        problems += _misplaced(path, report)
        problems += _long(report)
    return problems


def publish(path: Path, repository: Path, word: str = "") -> tuple[Path, list[Problem]]:
    """Write a report to its place without the evidence of failures, most of its size; nothing if it has a problem.

    :param path: of the report, or of its directory.
    :param repository: directory that contains, or gets, the directory ``reports``.
    :param word: distinguishes another report of the same release; '' for none.
    :return: the place, and the problems.
    :raises ConfigurationError: if it cannot be read, or is no report.
    :raises OSError: if it cannot be written.
    """
    report = load(path)
    target = repository / place(report)
    target = target.with_name(f"{target.stem}-{word}.json") if word else target
    problems = check(path)
    if not problems:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, json_text(_without_evidence(report)))
    return target, problems


def _without_evidence(report: Report) -> Report:
    shortened = copy.deepcopy(report)
    for entry in shortened["requirements"]:
        for test in entry["tests"]:
            test["evidence"] = None
    return shortened


def _long(report: Report) -> Iterator[Problem]:
    if _without_evidence(report) != report:
        yield Problem(
            "it contains the evidence of failures, which others do not need", "run: vault-issuer report publish report"
        )


def _incomplete(report: Report) -> Iterator[Problem]:
    """Yield what is missing in a session that others can rely on."""
    again = "run: vault-issuer judge IMPLEMENTATION --certify"
    if not report["options"]["certify"]:
        yield Problem("the session was not in certify mode, and may have left something out", again)
    if report.get("incomplete"):
        yield Problem(f"the session ended early: {one_line(report['incomplete'])}", again)
    if report["implementation"]["failure"]:
        yield Problem(f"the controller stopped: {one_line(report['implementation']['failure'])}", again)
    if report["stack"] is None:
        yield Problem("the stack did not start", again)
    if report["reproduction"].get("parts"):
        yield Problem("the report was merged from several sessions", f"judge everything in one session; {again}")
    if report["reproduction"]["suite_sha256"] == suite_digest():
        judged = {entry["id"] for entry in report["requirements"]}
        missing = [r.id for r in Catalogue.load().select(tuple(report["profiles"])) if r.id not in judged]
        if missing:
            yield Problem(f"{len(missing)} requirements are missing, such as {missing[0]}", again)


def _changed(report: Report) -> Iterator[Problem]:
    """Yield what does not follow from the results of the tests."""
    hint = "publish the report.json of a session as it was written"
    computed = results(report)
    wrong = [
        r.requirement.id
        for r, entry in zip(computed, report["requirements"], strict=True)
        if r.outcome != entry["outcome"]
    ]
    if wrong:
        yield Problem(f"the outcome of {wrong[0]} does not follow from its tests", hint)
    entries = profile_entries(
        computed,
        report["profiles"],
        strict=report["options"]["certify"],
        incomplete=bool(report.get("incomplete")),
    )
    for name, entry in report["profiles"].items():
        if entries.get(name) != entry:
            yield Problem(f"the verdict or the counts of profile {name} do not follow from the outcomes", hint)


def _unidentified(report: Report) -> Iterator[Problem]:
    """Yield what does not name a vendor or a release."""
    about = report["implementation"]
    for key in ("organization", "url", "contact"):
        if not about[key]:
            yield Problem(f"[implementation] {key} is missing", "add it to the implementation file, and judge again")
    if not is_version(about["version"]):
        yield Problem(f"the version {one_line(about['version'])!r} is not a release", "judge a release such as 1.4.0")


def _unpinned(report: Report) -> Iterator[Problem]:
    """Yield the binaries that others cannot get."""
    listed = [Origin(**entry) for entry in report["reproduction"].get("binaries", [])]
    if not any(origin.binary == "vault" for origin in listed):
        yield Problem("the report does not state the sources of the binaries of the stack", f"judge again; {PINNED}")
    for origin in listed:
        if origin.refusal:
            yield Problem(one_line(origin.refusal), PINNED)


def _local(report: Report) -> Iterator[Problem]:
    """Yield the first place that names a directory of the machine that judged, in what repeats the session."""
    for where, text, _ in _differences(report["reproduction"], report["reproduction"], "report.reproduction"):
        if isinstance(text, str) and (found := _HOME.search(text)):
            yield Problem(
                f"{where} names a directory of the machine that judged: {one_line(found[0])}",
                "go to the directory of the implementation file, name all files by relative paths, and judge again",
            )
            return


def _secret(report: Report) -> Iterator[Problem]:
    """Yield texts that look like secrets; a report is redacted when it is written."""
    for where, before, after in _differences(report, Redactor().redact_json(report), "report"):
        if before != after:
            yield Problem(
                f"{where} contains text that looks like a secret",
                "report this as SECURITY.md says, and do not publish it",
            )
            return


def _differences(before: Any, after: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield each text of a JSON value with its redacted form."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from _differences(value, after.get(key), f"{where}.{one_line(key)}")
    elif isinstance(before, list) and isinstance(after, list):
        for number, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from _differences(old, new, f"{where}[{number}]")
    else:
        yield where, before, after


def _misplaced(path: Path, report: Report) -> Iterator[Problem]:
    """Yield what is wrong with the place of a file, and with the suite of its folder."""
    expected = place(report)
    actual = path.resolve()
    same_folder = actual.parent.parts[-3:] == expected.parent.parts
    stem = re.escape(expected.name.removesuffix(".json"))
    if not (same_folder and re.fullmatch(rf"{stem}(-[a-z0-9.-]+)?\.json", actual.name)):
        yield Problem(f"it is not in its place: {path}", f"move it to {expected}")
        return
    digest = actual.parent.parent / DIGEST_FILE
    if digest.is_file() and digest.read_text(encoding="utf-8").strip() != report["reproduction"]["suite_sha256"]:
        yield Problem(
            f"the report is not from the suite of version {report['generator']['version']}",
            f"install pytest-vault-issuer=={report['generator']['version']} unchanged, and judge again",
        )


def is_version(text: str) -> bool:
    """Whether a text is a version."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def files_of(path: Path) -> list[Path]:
    """Return the reports that a path names: one report, or all of a directory of published reports.

    :raises ConfigurationError: if it names none.
    """
    if not path.is_dir() or (path / FILE).exists():
        return [path]
    found = files_in(path)
    if not found:
        raise ConfigurationError(
            f"{path} contains no report",
            hint="name a report.json, its directory, or a directory with <suite version>/<implementation>/*.json",
        )
    return found
