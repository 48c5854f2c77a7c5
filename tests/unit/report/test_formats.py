"""All forms of a report: schema, Markdown, YAML, HTML, JSON lines, failure folders; comparing and merging."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml

from pytest_vault_issuer.cli import main as cli
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.proxy.exchange import Exchange, Head, Headers
from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report import bundle, html, markdown, summary
from pytest_vault_issuer.report import load as reading
from pytest_vault_issuer.report import rerun as again
from pytest_vault_issuer.report import write as files
from pytest_vault_issuer.report.compare import compare
from pytest_vault_issuer.report.evidence import collect
from pytest_vault_issuer.report.files import json_text
from pytest_vault_issuer.report.journal import Journal
from pytest_vault_issuer.report.merge import merge
from pytest_vault_issuer.report.outcomes import TO_EXPLAIN, Outcome
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import AREAS
from pytest_vault_issuer.sandbox.activity import Request
from tests.support.sample_report import ALL, REQUIREMENTS, SEEN, report

# -- schema -----------------------------------------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_report.schema())


@pytest.mark.parametrize("built", [ALL, report()], ids=["every outcome", "all passed"])
def test_a_report_fulfils_the_schema(built: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(json_text(built)), json_report.schema())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r.pop("profiles"),
        lambda r: r.update(extra=1),
        lambda r: r["requirements"][0].update(outcome="fine"),
        lambda r: r["requirements"][0]["tests"][0]["evidence"]["exchanges"][0].pop("status"),
        lambda r: r["profiles"]["core"].update(verdict="good"),
    ],
)
def test_what_is_no_report_does_not(spoil: Any) -> None:
    spoiled = json.loads(json_text(ALL))
    spoil(spoiled)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoiled, json_report.schema())


# -- reading ----------------------------------------------------------------------------------------------------


def test_a_report_is_read_from_its_file_or_directory(tmp_path: Path) -> None:
    path = files.write_all(ALL, tmp_path / "out")
    assert reading.load(path) == reading.load(path.parent) == json.loads(json_text(ALL))
    assert [result.outcome for result in reading.results(ALL)] == [
        Outcome(entry["outcome"]) for entry in ALL["requirements"]
    ]


# -- forms ------------------------------------------------------------------------------------------------------


def test_markdown() -> None:
    text = markdown.render(ALL)
    assert text.startswith("## cert-manager 1.21.2\n")
    assert "❌ profile **core**: **non-conformant**" in text
    assert "<script>" not in text
    assert f"* **{REQUIREMENTS[0].id}** ({REQUIREMENTS[0].level})" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({row.count(" | ") for row in rows}) == 1, "the table's rows have equally many cells"


def test_markdown_of_a_run_in_which_all_passed() -> None:
    text = markdown.render(report())
    assert "✅ profile **core**: **conformant**" in text
    assert "###" not in text


def test_yaml() -> None:
    loaded = yaml.safe_load(summary.render(ALL))
    assert (loaded["apiVersion"], loaded["kind"]) == (summary.API_VERSION, summary.KIND)
    core = loaded["profiles"][0]
    assert core["result"] == "non-conformant"
    assert core["failed"] == [REQUIREMENTS[0].id]
    assert core["known-failure"] == [REQUIREMENTS[2].id]
    assert sum(core["statistics"].values()) == len(REQUIREMENTS)


class Tags(HTMLParser):
    """Checks that each element is closed, and records texts and attributes."""

    VOID = frozenset({"meta", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.scripts = 0
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_sources_of_binaries_are_in_every_format() -> None:
    made = report()
    made["stack"] = {"provider": "process", "reason": "", "components": {"vault": "1.21.0"}}
    assert "binaries: build: vault v1.21.0" in markdown.render(made)
    page = html.render(made)
    assert "v1.21.0 (build): <code>github.com/hashicorp/vault@v1.21.0</code>" in page
    assert f"sha256 <code>{'b' * 64}</code>" in page


def test_report_of_a_version_that_listed_no_binaries_is_shown() -> None:
    made = report()
    del made["reproduction"]["binaries"]
    assert "binaries" not in markdown.render(made)
    assert html.render(made)


def test_html() -> None:
    page = html.render(ALL)
    tags = Tags(page)
    assert tags.open == []
    assert tags.scripts == 1, "what an issuer wrote is no script"
    assert len(tags.ids) == len(set(tags.ids))
    assert {entry["id"] for entry in ALL["requirements"]} <= set(tags.ids)
    for shown in (*SEEN, "What was expected, and what was seen", "Repeat this test", "--vault-issuer=./mine.toml"):
        assert shown.lower() in tags.text.lower()
    assert "canary" not in page
    for foreign in ("src=", "@import", "url("):
        assert foreign not in page, "the file needs nothing else"


@pytest.mark.parametrize("outcome", TO_EXPLAIN)
def test_failure_without_evidence_has_the_command_that_repeats_it(tmp_path: Path, outcome: Outcome) -> None:
    """An error in a fixture occurs before there is any evidence."""
    built = report(outcome)
    test = built["requirements"][0]["tests"][0]
    test["evidence"] = None
    assert again.command(built, test) in Tags(html.render(built)).text
    place = bundle.write(built, tmp_path)
    assert place is not None
    text = next(place.glob("*/README.md")).read_text()
    assert again.command(built, test) in text
    assert test["message"] in text


def test_page_without_failures_states_this() -> None:
    """In a session in which all tests passed, and in one without tests."""
    assert "No requirement failed." in html.render(report(Outcome.KNOWN_FAILURE))
    nothing = report(*[Outcome.NOT_RUN] * len(REQUIREMENTS))
    for entry in nothing["requirements"]:
        entry["tests"] = []
    assert "No requirement was judged." in html.render(nothing)


def test_errors_are_listed_first() -> None:
    listed = (
        html.render(report(Outcome.FAILED, Outcome.ERROR)).partition('<nav class="first"')[2].partition("</nav>")[0]
    )
    assert re.findall('href="#(.*?)"', listed) == [REQUIREMENTS[1].id, REQUIREMENTS[0].id]


def test_an_issuer_that_fails_everything_is_not_listed_twice_as_a_whole() -> None:
    whole = report(Outcome.FAILED)
    one = whole["requirements"][0]
    whole["requirements"] = [one | {"id": f"VI-SPEC-{number:03}"} for number in range(50)]
    page = html.render(whole)
    listed = page.partition('<nav class="first"')[2].partition("</nav>")[0]
    assert len(set(re.findall('href="#(.*?)"', listed))) == 20
    assert "50 requirements share a cause: it was not so" in listed
    assert "and 30 more" in listed


def test_test_without_exchanges_states_this() -> None:
    built = report(Outcome.FAILED)
    seen = built["requirements"][0]["tests"][0]["evidence"]
    seen.update(exchanges=[], refused=[], objects=[])
    page = html.render(built)
    assert "none: the controller did not connect to Vault" in page
    assert "<h3>Issuers and requests</h3>\n<p>none</p>" in page
    seen.update(objects=[{"object": "Issuer a/b", "problem": "", "conditions": [], "events": [], "requests": []}])
    assert "<p>neither conditions nor events</p>" in html.render(built)


def test_ids_are_unique_in_a_report_of_the_whole_catalogue() -> None:
    whole = report()
    one = whole["requirements"][0]
    whole["requirements"] = [
        one | {"id": r.id, "area": r.area, "level": r.level} for r in Catalogue.load().requirements
    ]
    ids = Tags(html.render(whole)).ids
    assert len(ids) == len(set(ids))
    assert {*AREAS, *Catalogue.load().ids} <= set(ids)


def test_requirement_that_does_not_apply_has_a_reason() -> None:
    built = report(Outcome.UNSUPPORTED)
    built["requirements"][0]["reason"] = "since cert-manager 9 & later"
    assert "<dt>Not applicable</dt><dd>since cert-manager 9 &amp; later</dd>" in html.render(built)


@pytest.mark.parametrize(
    ("citation", "shown"),
    [
        ("Vault page, section A", "Vault page, section A"),
        (
            "see https://vault.io/a?b=1&c#d, section <E>",
            'see <a href="https://vault.io/a?b=1&amp;c#d">https://vault.io/a?b=1&amp;c#d</a>, section &lt;E&gt;',
        ),
        ("javascript:alert(1)", "javascript:alert(1)"),
    ],
)
def test_a_citation_that_is_an_address_is_a_link(citation: str, shown: str) -> None:
    built = report()
    built["requirements"][0]["citation"] = citation
    assert f"<dt>Source</dt><dd>{shown}</dd>" in html.render(built)


def test_a_folder_for_each_failure(tmp_path: Path) -> None:
    bundle.write(report(Outcome.PASSED, Outcome.FAILED, Outcome.PASSED), tmp_path)
    stack = {"provider": "process", "reason": "", "components": {"kubernetes": "v1.2", "vault": "3.4"}}
    place = bundle.write(ALL | {"stack": stack}, tmp_path)
    assert place is not None
    assert len(list(place.glob("VI-*"))) == 3, "of what failed, of an error, and of a known failure"
    folder = next(place.glob(f"{REQUIREMENTS[0].id}-*"))
    assert folder.name == bundle.slug(REQUIREMENTS[0].id, ALL["requirements"][0]["tests"][0]["nodeid"])
    text = (folder / "README.md").read_text()
    test = ALL["requirements"][0]["tests"][0]
    assert f"In the directory where the session started:\n\n```sh\n{again.command(ALL, test)}\n```" in text
    assert [shown for shown in SEEN if shown not in text] == []
    assert "* stack: kubernetes v1.2, vault 3.4 (process)" in text
    assert "````text" in text, "the fence is longer than what the text holds"
    assert "canary" not in text + (folder / "evidence.json").read_text()
    assert bundle.write(report(), tmp_path) is None
    assert not place.exists()


# Text from an implementation or a Vault, each with a marker to find it in the output.
CANARY = "canary-Tq8rX2/+=&"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"none"}', b'{"sub":"x"}', b"canary")
)
KEY = f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(b'canary' * 20).decode()}\n-----END PRIVATE KEY-----"
LEAKS = {
    "a registered value": CANARY,
    "a registered value in base64": base64.b64encode(CANARY.encode()).decode(),
    "a registered value in a URL": urllib.parse.quote(CANARY, safe=""),
    "a token of Vault": "hvs.canaryTq8rX2Tq8rX2Tq8rX2",
    "a JWT": JWT,
    "a private key": KEY,
    "a private key in base64": base64.b64encode(KEY.encode()).decode(),
    "a field's value": '{"secret_id": "canary", "client_token": "canary"}',
    "a header": "X-Vault-Token: canary",
}
#: Markers that no file may contain, in any encoding.
MARKS = (
    "canary",
    base64.b64encode(b"canary").decode(),
    LEAKS["a private key in base64"][80:100],
)


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_files_of_a_failure_contain_no_secret(tmp_path: Path, leak: str) -> None:
    redactor = Redactor()
    redactor.add(CANARY)
    exchange = Exchange(
        0, Head("POST", f"/v1/auth/x/login?q={urllib.parse.quote(leak)}", Headers([("X-Trace", leak)])),
        leak.encode(), started=1.0, ended=1.5, status=400, response_headers=Headers([("X-Echo", leak)]),
        response_body=json.dumps({"errors": [leak]}).encode(),
    )  # fmt: skip
    condition = {"type": "Ready", "status": "False", "reason": "Failed", "message": leak}
    handle = SimpleNamespace(
        get=lambda: {"spec": {"vault": {"server": leak}}, "status": {"conditions": [condition]}},
        events=lambda: [{"type": "Warning", "reason": "Failed", "message": leak}],
    )
    elsewhere = Request("1", "login", f"test_a.py::test[{leak}]", 1.0, 2.0)
    sandbox: Any = SimpleNamespace(
        environment=SimpleNamespace(
            redactor=redactor, activity=SimpleNamespace(waiting_since=0.0, others=lambda since: [elsewhere])
        ),
        began=0.0,
        proxies=[SimpleNamespace(exchanges=[exchange], handshake_failures=[])],
        handles=[handle],
        names=set(),
        implementation_log=lambda: f"failed: {leak}",
    )
    built = report(Outcome.FAILED)
    built["requirements"][0]["tests"][0]["evidence"] = collect(sandbox)
    files.write_all(built, tmp_path)
    written = {path: path.read_text() for path in tmp_path.rglob("[!.]*") if path.is_file()}
    assert len(written) == 6, "report.json, .html, .md and .yaml, README.md and evidence.json of the failure"
    assert [(path.name, mark) for path, text in written.items() for mark in MARKS if mark in text] == []


def test_journal_lines_are_written_at_once(tmp_path: Path) -> None:
    with contextlib.closing(Journal(tmp_path / "out")) as journal:
        journal.write("run", profiles=["core"])
        journal.write("test", nodeid="a")
        assert [json.loads(line)["type"] for line in journal.path.read_text().splitlines()] == ["run", "test"]


# -- comparing --------------------------------------------------------------------------------------------------


def test_comparison_lists_better_and_worse_outcomes() -> None:
    before = report(Outcome.PASSED, Outcome.FAILED, Outcome.KNOWN_FAILURE, Outcome.PASSED)
    after = report(Outcome.FAILED, Outcome.PASSED, Outcome.FAILED, Outcome.UNSUPPORTED)
    del after["requirements"][5]
    assert [(change.id, change.direction) for change in compare(before, after)] == [
        (REQUIREMENTS[0].id, "worse"),
        (REQUIREMENTS[1].id, "better"),
        (REQUIREMENTS[2].id, "worse"),
        (REQUIREMENTS[3].id, "worse"),
        (REQUIREMENTS[5].id, "other"),
    ]
    assert compare(before, before) == []


def test_a_requirement_that_is_new_and_fails_is_worse() -> None:
    before, after = report(), report(Outcome.FAILED)
    del before["requirements"][:2]
    assert [change.direction for change in compare(before, after)] == ["worse", "other"]


# -- merging ----------------------------------------------------------------------------------------------------


def shard(*kept: int, outcome: Outcome = Outcome.PASSED) -> dict[str, Any]:
    part = report(*[outcome] * len(REQUIREMENTS))
    part["options"]["select"] = [REQUIREMENTS[index].id for index in kept]
    for index, entry in enumerate(part["requirements"]):
        if index not in kept:
            entry.update(tests=[], outcome="not-run")
    return part


def test_shards_make_a_whole() -> None:
    merged = merge([shard(0, 1, 2), shard(3, 4), shard(5)])
    assert {entry["outcome"] for entry in merged["requirements"]} == {"passed"}
    assert merged["profiles"]["core"]["verdict"] == "conformant"
    assert len(merged["reproduction"]["parts"]) == 3
    jsonschema.validate(json.loads(json_text(merged)), json_report.schema())


def test_the_worst_outcome_of_a_test_counts() -> None:
    for order in (1, -1):
        merged = merge([shard(*range(6)), shard(0, outcome=Outcome.FAILED)][::order])
        assert merged["requirements"][0]["outcome"] == "failed"
        assert merged["profiles"]["core"]["verdict"] == "non-conformant"


def test_parts_with_other_requirements_do_not_belong_together() -> None:
    one, other = shard(0), shard(1)
    lost = other["requirements"].pop()
    for order in (1, -1):
        with pytest.raises(ConfigurationError, match=f"different requirements: not all have {lost['id']}"):
            merge([one, other][::order])


def test_the_order_of_requirements_is_that_of_the_first_part() -> None:
    one, other = shard(0, 1, 2), shard(3, 4, 5)
    other["requirements"].reverse()
    merged = merge([one, other])
    assert [entry["id"] for entry in merged["requirements"]] == [r.id for r in REQUIREMENTS]
    assert {entry["outcome"] for entry in merged["requirements"]} == {"passed"}


@pytest.mark.parametrize(
    ("place", "key", "what"),
    [("implementation", "version", "implementations"), ("reproduction", "suite_sha256", "suites")],
)
def test_reports_about_different_things_are_not_merged(place: str, key: str, what: str) -> None:
    other = shard(1)
    other[place][key] = "b"
    with pytest.raises(ConfigurationError, match=f"different {what}"):
        merge([shard(0), other])


def test_parts_on_different_versions_do_not_belong_together() -> None:
    one, other = shard(0), shard(1)
    one["stack"] = stack_of("1.21.0")
    other["stack"] = stack_of("1.19.5")
    with pytest.raises(ConfigurationError, match=r"different stacks: vault 1\.21\.0 and vault 1\.19\.5"):
        merge([one, other])


def test_a_part_without_a_stack_is_merged_with_those_that_have_one() -> None:
    without, one = shard(), shard(0)
    without["stack"] = None
    one["stack"] = stack_of("1.21.0")
    for order in (1, -1):
        assert merge([without, one][::order])["stack"] == stack_of("1.21.0")


def stack_of(vault: str) -> dict[str, Any]:
    return {"provider": "process", "reason": "", "components": {"vault": vault}}


# -- the command ------------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return files.write_all(ALL, tmp_path / "a").parent


@pytest.mark.parametrize(
    ("form", "begins"), [("pretty", "cert-manager"), ("json", "{"), ("markdown", "## "), ("yaml", "api")]
)
def test_show(written: Path, capsys: pytest.CaptureFixture[str], form: str, begins: str) -> None:
    assert cli.main(["report", "show", str(written), f"--format={form}"]) == 0
    assert capsys.readouterr().out.startswith(begins)


def test_write_html(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (written / html.FILE).unlink()
    assert cli.main(["report", "html", str(written)]) == 0
    assert Path(capsys.readouterr().out.strip()).read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("form", ["pretty", "json", "markdown"])
def test_exit_status_of_a_comparison_shows_a_worse_outcome(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    good = files.write_all(report(), tmp_path / "b")
    assert cli.main(["report", "compare", str(good), str(written), f"--format={form}"]) == 1
    assert "worse" in capsys.readouterr().out
    assert cli.main(["report", "compare", str(written), str(good), f"--format={form}"]) == 0
    assert "worse" not in capsys.readouterr().out


def test_comparison_shows_the_verdicts(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = report()
    good["profiles"]["extended"] = {"verdict": "partial", "counts": {}}
    command = ["report", "compare", str(files.write_all(good, tmp_path / "b")), str(written)]
    cli.main([*command, "--format=json"])
    compared = json.loads(capsys.readouterr().out)
    assert compared["profiles"] == {
        "core": {"before": "conformant", "after": "non-conformant"},
        "extended": {"before": "partial", "after": "not judged"},
    }
    assert compared["requirements"][0]["id"] == REQUIREMENTS[0].id
    cli.main([*command, "--format=markdown"])
    assert "| core | conformant | non-conformant |\n| extended | partial | not judged |" in capsys.readouterr().out


def test_merge(tmp_path: Path) -> None:
    parts = [str(files.write_all(part, tmp_path / str(n))) for n, part in enumerate([shard(0, 1, 2), shard(3, 4, 5)])]
    assert cli.main(["report", "merge", *parts, f"--output={tmp_path / 'whole'}"]) == 0
    assert reading.load(tmp_path / "whole")["profiles"]["core"]["verdict"] == "conformant"
