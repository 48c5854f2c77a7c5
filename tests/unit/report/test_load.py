"""For a file that is not a report, or is a report of another version, every command prints one error with a hint."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema
import jsonschema
import pytest

from pytest_vault_issuer import __version__
from pytest_vault_issuer.cli import main as cli
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report import html
from pytest_vault_issuer.report import load as reading
from pytest_vault_issuer.report import write as files
from pytest_vault_issuer.report.files import json_text
from pytest_vault_issuer.report.journal import FILE as JOURNAL
from pytest_vault_issuer.report.journal import Journal
from pytest_vault_issuer.report.outcomes import Outcome
from tests.support.sample_report import ALL, REQUIREMENTS, paths, report
from tests.support.written_report import FORMATS

#: Command lines; `{}` is the unreadable report, and `{good}` a valid one.
COMMANDS = {
    "show": "show {}",
    "html": "html {}",
    "compare": "compare {good} {}",
    "compare the other way": "compare {} {good}",
    "merge": "merge {good} {} --output {out}",
}


def spoiled(change: Callable[[dict[str, Any]], Any]) -> str:
    """Return the text of a report with a change."""
    changed = copy.deepcopy(ALL)
    change(changed)
    return json_text(changed)


OTHER_FORM = "has the schema version {}, and this release reads only version 1"
UNFIT = "does not match the schema of reports: "
NO_REPORT = "is JSON, but not a report: it has no schema_version"
#: Content of the file, and the error.
CONTENTS: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "is not JSON: Expecting value"),
    "the page": (html.render(ALL), "is not JSON: Expecting value"),
    "cut in the middle": (json_text(ALL)[:5000], "is not JSON: "),
    "bytes": (b"\x89PNG\xff", "is not JSON: 'utf-8' codec can't decode"),
    "lists in lists": ("[" * 200_000, "is not JSON: "),
    "no number": (json_text(ALL).replace(": 1.0", ": NaN"), "is not JSON: NaN is not a number"),
    "a list": ("[]", NO_REPORT),
    "a word": ('"report"', NO_REPORT),
    "another JSON": ('{"results": []}', NO_REPORT),
    "a later form": (spoiled(lambda r: r.update(schema_version=2)), OTHER_FORM.format(2)),
    "no form": (spoiled(lambda r: r.update(schema_version=None)), OTHER_FORM.format("null")),
    "true, which Python has equal 1": (spoiled(lambda r: r.update(schema_version=True)), OTHER_FORM.format("true")),
    "from before there were options": (
        spoiled(lambda r: r["reproduction"].pop("options")),
        f"{UNFIT}report.reproduction must contain ['options'] properties"
    ),
    "nothing but a form": ('{"schema_version": 1}', f"{UNFIT}report must contain ['generator', "),
    "who wrote it is unknown": (spoiled(lambda r: r.update(generator=[])), f"{UNFIT}report.generator must be object"),
    "a key more": (spoiled(lambda r: r.update(extra=1)), f"{UNFIT}report must not contain {{'extra'}} properties"),
    "another outcome": (
        spoiled(lambda r: r["requirements"][1].update(outcome="fine")),
        f"{UNFIT}report.requirements[1].outcome must be one of ",
    ),
    "no counts": (
        spoiled(lambda r: r["profiles"]["core"]["counts"]["MUST"].pop("passed")),
        f"{UNFIT}report.profiles.core.counts.MUST must contain ['passed'] properties",
    ),
    "a time that is none": (
        spoiled(lambda r: r["requirements"][0]["tests"][0]["evidence"]["exchanges"][0].update(started=1e300)),
        f"{UNFIT}report.requirements[0].tests[0].evidence.exchanges[0].started must be smaller than ",
    ),
    "markup instead of the name of an area": (
        spoiled(lambda r: r["requirements"][0].update(area='"><script>')),
        f"{UNFIT}report.requirements[0].area must match pattern "
    ),
}  # fmt: skip


def refused(typed: str, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that fails and return its error: one line, with a hint."""
    good = files.write_all(report(), path.parent / "good")
    out = path.parent / "out"
    words = [word.format(path, good=good, out=out) for word in typed.split()]
    assert cli.main(["report", *words]) == 2
    printed, said = capsys.readouterr()
    assert printed == ""
    assert not out.exists()
    assert not (path.parent / html.FILE).exists()
    error, hint = said.splitlines()
    assert error.startswith("vault-issuer: ")
    assert hint.startswith("  hint: ")
    return str(said)


@pytest.mark.parametrize("typed", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(("content", "message"), CONTENTS.values(), ids=CONTENTS)
def test_file_that_is_not_a_report_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert f"vault-issuer: {path} {message}" in refused(typed, path, capsys)


@pytest.mark.parametrize("typed", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("name", ["", "report.json", "other.json"])
def test_missing_report_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: str, name: str) -> None:
    """The directory has no report, or the file does not exist."""
    place = tmp_path / "empty"
    place.mkdir()
    said = refused(typed, place / name, capsys)
    assert f"the report {place / (name or 'report.json')} cannot be read: No such file or directory" in said
    assert "--vault-issuer-report" in said


def test_fifo_in_the_place_of_the_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing writes to it: the command does not wait."""
    for name in (json_report.FILE, JOURNAL):
        os.mkfifo(tmp_path / name)
    assert "cannot be read: It is not a regular file" in refused("show {}", tmp_path, capsys)
    (tmp_path / json_report.FILE).unlink()
    assert "is not a journal of a session" in refused("show {}", tmp_path, capsys)


def test_endless_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / json_report.FILE).open("wb") as file:
        file.truncate(1 << 40)
    assert "cannot be read: It is larger than 256 MB" in refused("show {}", tmp_path, capsys)


def test_directory_in_the_place_of_the_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a" / "report.json").mkdir(parents=True)
    assert "cannot be read: Is a directory" in refused("show {}", tmp_path / "a", capsys)


def test_version_that_wrote_an_invalid_report_is_named(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(spoiled(lambda r: (r["generator"].update(version="0.0.7"), r.pop("stack"))))
    with pytest.raises(ConfigurationError, match=r"must contain \['stack'\] properties") as caught:
        reading.load(path)
    assert (
        f"pytest-vault-issuer 0.0.7 wrote it, and {__version__} is installed: read it with 0.0.7" in caught.value.hint
    )
    path.write_text(spoiled(lambda r: (r["generator"].update(version=__version__), r.pop("stack"))))
    with pytest.raises(ConfigurationError, match=r"must contain \['stack'\] properties") as caught:
        reading.load(path)
    assert caught.value.hint.startswith("run the suite again: the file was changed")


def test_file_beside_a_journal_is_not_the_report(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    with pytest.raises(ConfigurationError, match=r"typed-wrong\.json cannot be read"):
        reading.load(tmp_path / "typed-wrong.json")


@pytest.mark.parametrize("typed", ["html {good} --output {}/a/b.html", "merge {good} {good} --output {}/a/b"])
def test_unwritable_place_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: str) -> None:
    (tmp_path / "a").write_text("a file instead of a directory")
    said = refused(typed, tmp_path, capsys)
    assert "cannot be written: Not a directory" in said
    assert "--output" in said


# -- interrupted sessions -----------------------------------------------------------------------------------------


RUN = {"implementation": {"name": "mine", "version": "1"}}


@pytest.mark.parametrize(
    ("tests", "got"), [(0, "0 tests have ended ("), (2, "2 tests have ended, the last of them a::test_1 (")]
)
def test_error_for_an_interrupted_session_states_its_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tests: int, got: str
) -> None:
    with contextlib.closing(Journal(tmp_path)) as journal:
        journal.write("run", **RUN)
        for number in range(tests):
            journal.write("test", nodeid=f"a::test_{number}")
    with journal.path.open("a") as file:
        file.write('{"type": "te')
    assert cli.main(["report", "show", str(tmp_path)]) == 2
    assert f"the session of mine 1 was interrupted or is still running: {got}" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]\n", "no\n", '{"type": "run"}\n'])
def test_file_that_is_not_a_journal_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.jsonl").write_text(content)
    with pytest.raises(ConfigurationError, match="is not a journal of a session"):
        reading.load(tmp_path)


# -- the schema -------------------------------------------------------------------------------------------------


LOST = object()
#: Replacement values: of every type, at every limit.
PUT = (LOST, None, True, 0, 1, 1.0, -1, 0.5, "", "x", "2026-11-24", [], ["a", "a"], [[1]], {}, {"x": {}}, 10**12)


def test_both_schema_validators_agree() -> None:
    """Both libraries agree about every value of a report and every replacement. The schema uses a newer draft."""
    built = report(Outcome.FAILED)
    built["requirements"] = built["requirements"][:1]
    built["implementation"]["known_failures"] = {REQUIREMENTS[0].id: "so it is"}
    built["stack"] = {"provider": "process", "reason": "", "components": {"vault": "1"}}
    built["reproduction"]["parts"] = [copy.deepcopy(built["reproduction"])]
    right = json.loads(json_text(built))
    schema = json_report.schema()
    theirs = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    ours = fastjsonschema.compile(schema)
    ours(right)
    found = {True: 0, False: 0}
    for path in paths(right, whole_lists=True):
        for put in PUT:
            changed = {"whole": copy.deepcopy(right)}
            *before, last = ("whole", *path)
            holder: Any = changed
            for key in before:
                holder = holder[key]
            if put is LOST:
                del holder[last]
            else:
                holder[last] = put
            if "whole" not in changed:
                continue
            fits = theirs.is_valid(changed["whole"])
            try:
                ours(changed["whole"])
                said = ""
            except fastjsonschema.JsonSchemaValueException as error:
                said = error.message
            assert (said == "") == fits, (path, put, said)
            found[fits] += 1
    assert min(found.values()) > 100, found
