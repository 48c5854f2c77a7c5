"""Reports that try to deceive or break their readers: every field, with every kind of value.

A reader prints its output without terminal control characters, or reports one clear error.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_vault_issuer.cli import report as commands
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.report import html, journal
from pytest_vault_issuer.report import load as reading
from pytest_vault_issuer.report import write as files
from pytest_vault_issuer.report.merge import merge
from pytest_vault_issuer.report.outcomes import Outcome
from tests.support import sample_report

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
BASE = sample_report.report(Outcome.FAILED, Outcome.ERROR, Outcome.KNOWN_FAILURE, Outcome.NOT_RUN)
BASE["requirements"] = BASE["requirements"][:4]
BASE["requirements"][0]["tests"][0]["evidence"]["exchanges"][1:] = []
BASE["requirements"][3]["reason"] = "so it is"
BASE["implementation"]["known_failures"] = {BASE["requirements"][0]["id"]: "so it is"}
BASE["implementation"]["failure"] = BASE["incomplete"] = "it stopped"
BASE["stack"] = {"provider": "process", "reason": "it is there", "components": {"vault": "1"}}
BASE["options"]["certify"] = True
BASE["reproduction"]["parts"] = [copy.deepcopy(BASE["reproduction"])]
BASE = json.loads(json.dumps(BASE))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


PATHS = [path for path in sample_report.paths(BASE, whole_lists=False) if path]
TEXTS = [path for path in PATHS if isinstance(at(BASE, path), str)]


def spoiled(path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> dict[str, Any]:
    changed = copy.deepcopy(BASE)
    change(at(changed, path[:-1]), path[-1])
    return changed


def readers(report: dict[str, Any], directory: Path) -> Iterator[Callable[[], Any]]:
    """Return every reader of a report that prints or writes files."""
    for form in ("pretty", "json", "markdown", "yaml"):
        yield lambda form=form: commands._show(report, form)
    for form in ("pretty", "json", "markdown"):
        yield lambda form=form: commands._compare(report, BASE, form)
    yield lambda: print(html.render(report))
    yield lambda: files.write_all(merge([report, report]), directory)
    yield lambda: merge([BASE, report])


def said(text: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what all readers print, write or report as an error; [] if the report cannot be loaded."""
    path = directory / "hostile.json"
    path.write_text(text, encoding="utf-8")
    try:
        report = reading.load(path)
    except ConfigurationError as error:
        check_error(error)
        return []
    shown = []
    for read in readers(report, directory / "out"):
        try:
            read()
        except ConfigurationError as error:
            check_error(error)
        shown.append(capsys.readouterr().out)
    shown += [file.read_text(encoding="utf-8") for file in (directory / "out").rglob("*") if file.is_file()]
    return shown


def check_error(error: ConfigurationError) -> None:
    assert error.hint
    assert "\n" not in error.message


#: Texts that replace every text, and what no output may then contain.
HOSTILE = {
    "escape": ("\x1b[2J\x1b]52;c;ZXZpbA==\x07", OBEYED),
    "C1": ("\x9b2J\x85\x90", OBEYED),
    "bidi": ("\u202egnp.\u2066exe", OBEYED),
    "surrogate": ("\ud800 \udfff", OBEYED),
    "NUL and DEL": ("\x00\x7f\r\x08", OBEYED),
    "line breaks": ("x\n\n# head\n\n::error::y", re.compile(r"^[ \t]*::error", re.MULTILINE)),
    "long": ("x" * 100_000, OBEYED),
}


@pytest.mark.parametrize(("put", "forbidden"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_in_any_field_reaches_no_reader_raw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], put: str, forbidden: re.Pattern[str]
) -> None:
    read = 0
    for path in TEXTS:
        outputs = said(json.dumps(spoiled(path, lambda at, key: at.__setitem__(key, put))), tmp_path, capsys)
        read += bool(outputs)
        for output in outputs:
            found = forbidden.search(output)
            assert not found, (path, output[max(0, found.start() - 50) :][:100])
    assert read > 20


MARKDOWN = "![x](http://a/b) @user <!-- | ```"


@pytest.mark.parametrize("path", TEXTS, ids=str)
def test_markdown_in_any_field_stays_text_in_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: tuple[Any, ...]
) -> None:
    (tmp_path / "r.json").write_text(json.dumps(spoiled(path, lambda at, key: at.__setitem__(key, MARKDOWN))))
    try:
        report = reading.load(tmp_path / "r.json")
    except ConfigurationError:
        return
    commands._show(report, "markdown")
    commands._compare(BASE, report, "markdown")
    text = capsys.readouterr().out
    assert not re.search(r"!\[|@user|<!--|(?<!\\)```", text), text
    rows = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| ")]
    assert set(rows) <= {4, 5, 6, 7}, "a text is not more than one cell"


LOST = object()
PUT = (LOST, None, True, -1, 10**30, 1e308, "", "x", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00+23:59", [], {}, [[1]])


@pytest.mark.parametrize("put", PUT, ids=lambda put: "lost" if put is LOST else repr(put))
def test_a_value_of_another_kind_in_any_field_is_read_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], put: Any
) -> None:
    for path in PATHS:
        changed = spoiled(path, lambda at, key: at.pop(key) if put is LOST else at.__setitem__(key, put))
        said(json.dumps(changed), tmp_path, capsys)


@pytest.mark.parametrize("put", ["NaN", "1e999", "-1e999", "9" * 5000, "[" * 150 + "]" * 150, "[" * 900 + "]" * 900])
def test_invalid_value_in_any_field_is_refused_or_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], put: str
) -> None:
    for path in PATHS:
        changed = spoiled(path, lambda at, key: at.__setitem__(key, "PUT HERE"))
        said(json.dumps(changed).replace('"PUT HERE"', put), tmp_path, capsys)


WHOLE = json.dumps(BASE)
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not JSON"),
    "cut": (WHOLE[:-100].encode(), "is not JSON"),
    "not UTF-8": (WHOLE.replace("it stopped", "it st\xf6pped").encode("latin-1"), "is not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + WHOLE.encode(), "is not JSON"),
    "UTF-16": (WHOLE.encode("utf-16"), "is not JSON"),
    "a key twice": (WHOLE.replace('"stack":', '"stack": null, "stack":', 1).encode(), "the key 'stack' is given twice"),
    "a requirement twice": (
        json.dumps(BASE | {"requirements": BASE["requirements"][:1] * 2}).encode(),
        f"{BASE['requirements'][0]['id']} occurs twice",
    ),
    "more behind it": (WHOLE.encode() + b"{}", "is not JSON"),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_a_broken_file_is_refused_with_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        reading.load(path)
    assert message in caught.value.message
    assert caught.value.hint


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(path=st.sampled_from(PATHS), put=JSON)
@example(path=("requirements", 0, "tests", 0, "evidence", "proxies"), put=10**12)
@example(path=("requirements", 0, "tests", 0, "evidence", "objects", 0, "conditions"), put=[{"type": ["\x1b"]}])
@example(path=("reproduction", "command"), put="pytest 'unbalanced")
def test_any_value_in_any_field_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, path: tuple[Any, ...], put: Any
) -> None:
    directory = tmp_path_factory.mktemp("any")
    (directory / "r.json").write_text(json.dumps(spoiled(path, lambda at, key: at.__setitem__(key, put))))
    try:
        report = reading.load(directory / "r.json")
    except ConfigurationError:
        return
    assert not OBEYED.search(html.render(report))
    files.write_all(merge([report, report]), directory / "out")


#: Journals that a reader once misread.
JOURNALS = [
    b"",
    b"\n",
    b"[]\n",
    b"1\n",
    b'{"type": "run"}\n',
    b'{"type": "run", "implementation": {"name": "\\ud800\\u001b", "version": 1}}\n{"type": "test", "nodeid": 3}\n{"ty',
    b"\xff\xfe\n",
    b"[" * 100_000 + b"\n",
]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.binary(max_size=60) | st.lists(JSON.map(lambda value: json.dumps(value).encode())).map(b"\n".join))
def test_any_journal_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    check_journal(tmp_path_factory.mktemp("journal"), content)


@pytest.mark.parametrize("content", JOURNALS)
def test_journals_that_once_were_read_wrongly(tmp_path: Path, content: bytes) -> None:
    check_journal(tmp_path, content)


def check_journal(directory: Path, content: bytes) -> None:
    (directory / journal.FILE).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        reading.load(directory)
    assert caught.value.hint
    assert not OBEYED.search(caught.value.message)
