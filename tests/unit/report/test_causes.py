"""Failures with the same cause: which messages share one, and how the reports list them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_vault_issuer.cli import report as commands
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report import bundle, html, markdown, terminal
from pytest_vault_issuer.report import load as reading
from pytest_vault_issuer.report.causes import cause
from pytest_vault_issuer.report.compare import compare
from pytest_vault_issuer.report.files import json_text
from pytest_vault_issuer.report.merge import merge
from pytest_vault_issuer.report.outcomes import Outcome, RequirementResult, TestResult
from pytest_vault_issuer.requirements.catalogue import Requirement
from tests.support.sample_report import build

BARRIER = "the barrier failed: "
APPROVED = "its conditions: Approved=True Approved: 'by a test'"


ADVISED = "probable cause: the controller does not find Secrets in the namespace system-1: check [run] rbac"


def unsigned(name: str, what: str = "to be signed") -> str:
    return f"expected CertificateSigningRequest {name} {what} within 20 s; {APPROVED}"


def unanswered(kind: str, name: str, what: str) -> str:
    return f"expected {kind} {name} {what} within 20 s; its conditions: Ready=Unknown Initializing: 'Initializing'"


def refused(name: str, text: str) -> str:
    return f"expected Issuer {name} to be Ready within 20 s; its conditions: Ready=False VaultError: {text!r}"


# -- the cause of a message ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (unsigned("vi-3fa2"), unsigned("vi-77b1")),
        (unsigned("vi-3fa2"), BARRIER + unsigned("vi-77b1")),
        (unsigned("vi-3fa2"), unsigned("vi-77b1", "to fail")),
        (
            unanswered("Issuer", "ns-1/a", "to be Ready"),
            unanswered("ClusterIssuer", "b-2", "to get a Ready condition (an empty path)"),
        ),
        (
            unanswered("Issuer", "ns-1/a", "to be Ready"),
            "expected Issuer ns-2/b to be Ready within 40 s; its status has no conditions",
        ),
        (
            unanswered("Issuer", "ns-1/a", "to be Ready"),
            "expected Issuer ns-2/b to be Ready within 28 s (8 s of them while the controller was busy with other "
            "work); its status has no conditions",
        ),
        (
            unanswered("Issuer", "ns-1/a", "to be Ready"),
            # from an earlier version
            "waited 28 s, 8 s of them while the controller was busy with other work, for Issuer ns-2/b to be Ready; "
            "its status has no conditions",
        ),
        (
            f"expected Issuer a-1/b to be Ready within 20 s; {ADVISED}; its conditions: Ready=False X: 'no token'",
            BARRIER + f"expected CertificateRequest a-2/c to be issued, saw it fail; {ADVISED}; its conditions: Y=True",
        ),
        ("expected a health query within 5 s, saw none", "expected a health query within 10 s, saw none"),
        (
            refused("a-1/b", "PUT https://127.0.0.1:4443/v1/auth/x-1/login: Code: 403"),
            refused("a-2/c", "PUT https://127.0.0.1:7001/v1/auth/y-2/login: Code: 403"),
        ),
        ("expected one login, saw 3", "expected one login, saw 4"),
        ("expected one login, saw 3\nassert 3 == 1", "expected one login, saw 3\nassert 1 == 3"),
    ],
)
def test_messages_that_differ_in_names_and_numbers_have_one_cause(one: str, other: str) -> None:
    assert cause(one) == cause(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (unsigned("a-1"), unanswered("Issuer", "a-1/b", "to be Ready")),
        (refused("a-1/b", "Code: 403"), refused("a-1/b", "Code: 503")),
        (refused("a-1/b", "x509: unknown authority"), unanswered("Issuer", "a-1/b", "to be Ready")),
        (
            "expected CertificateRequest a-1/b to be issued within 20 s; its conditions: Approved=True x: 'y'",
            "expected CertificateRequest a-1/b to become Denied within 20 s; its conditions: Denied=True x: 'y'",
        ),
        ("expected one login, saw 3", "expected one health query, saw 3"),
    ],
)
def test_different_failures_have_different_causes(one: str, other: str) -> None:
    assert cause(one) != cause(other)


def test_probable_cause_of_a_message_is_its_cause() -> None:
    message = f"expected Issuer a-1/b to be Ready within 20 s; {ADVISED}; its conditions: Ready=False"
    assert cause(message) == ADVISED.removeprefix("probable cause: ")


@pytest.mark.parametrize("message", ["", "\n", "assert 1 == 2", "assert 3600 == 600\n  seen: 3600", "seen == expected"])
def test_comparison_without_words_has_no_cause(message: str) -> None:
    assert cause(message) == ""


@pytest.mark.parametrize("text", ["x" * 10**6, "x=" * 10**6, " (" * 10**6, "Issuer " * 10**5, "1." * 10**6])
def test_cause_of_a_message_of_megabytes_is_short(text: str) -> None:
    assert len(cause(f"expected Issuer a-1/b to be Ready within 20 s; {text}")) < 400


# -- groups of requirements ---------------------------------------------------------------------------------------


def requirement(area: str, number: int, level: str) -> Requirement:
    return Requirement(f"VI-{area}-{number:03}", f"The controller {level} sign {number}.", level, "core", "", "page")


def judged(area: str, messages: dict[str, list[str]], level: Callable[[int], str]) -> list[RequirementResult]:
    return [
        RequirementResult(
            requirement(area, number, level(number)),
            [TestResult(f"{name}[{n}]", Outcome.FAILED, 0.5, text) for n, text in enumerate(texts)],
        )
        for number, (name, texts) in enumerate(messages.items(), 1)
    ]


def should_then_must(number: int) -> str:
    return "MUST" if number % 3 == 0 else "SHOULD"


#: A controller with another signerName: 10 requirements fail at a barrier, 5 directly.
SIGNER = judged(
    "CSRAPI",
    {f"test_{n}": [(BARRIER if n % 3 else "") + unsigned(f"vi-{n:04x}", "to be signed")] for n in range(15)},
    should_then_must,
)
#: A controller with one worker that other tests occupy.
BUSY = judged(
    "HEALTH",
    {f"test_{n}": [unanswered(f"{'Cluster' * (n % 2)}Issuer", f"a{n}/b{n}", f"to be Ready ({n})")] for n in range(9)},
    should_then_must,
)
OWN = judged("SIGN", {"test_own": ["expected one sign request, saw 2"]}, lambda number: "SHOULD")
RESULTS = [*OWN, *SIGNER, *BUSY]


REPORT = build(RESULTS)
CSR = "waited for the first answer of the controller about an approved CertificateSigningRequest"
ISSUER = "waited for the first answer of the controller about an issuer object"


def test_report_has_a_group_for_each_shared_cause_with_must_first() -> None:
    groups = REPORT["groups"]
    assert [(group["outcome"], group["cause"], len(group["requirements"])) for group in groups] == [
        ("failed", CSR, 15),
        ("failed", ISSUER, 9),
    ]
    level = {entry["id"]: entry["level"] for entry in REPORT["requirements"]}
    assert [level[i] for i in groups[0]["requirements"]] == ["MUST"] * 5 + ["SHOULD"] * 10
    entries = {entry["id"]: entry for entry in REPORT["requirements"]}
    assert [entries[i]["group"] for i in ("VI-SIGN-001", "VI-CSRAPI-001", "VI-HEALTH-001")] == [None, 1, 2]
    assert entries["VI-HEALTH-001"]["cause"] == ISSUER
    assert sum(test["barrier"] for entry in entries.values() for test in entry["tests"]) == 10
    jsonschema.validate(json.loads(json_text(REPORT)), json_report.schema())


def test_requirement_with_several_causes_is_in_the_largest_group_and_shows_the_others() -> None:
    both = judged("SCOPE", {"test_both": ["expected two, saw none", unsigned("vi-9c")]}, lambda number: "MUST")
    lines = list(terminal.details([*both, *SIGNER]))
    assert lines[1].startswith("  16 requirements wait for the same thing")
    assert (
        lines[lines.index("    VI-SCOPE-001 (MUST) The controller MUST sign 1.") + 1]
        == "        expected two, saw none"
    )


def test_terminal_lists_must_first_and_a_shared_cause_once() -> None:
    lines = list(terminal.details(RESULTS))
    assert lines[0] == "failed, 8 MUST, 17 SHOULD:"
    titles = [line for line in lines if re.match("  [^ ]", line)]
    assert titles == [
        f"  15 requirements wait for the same thing: {CSR.removeprefix('waited for ')}",
        f"  9 requirements wait for the same thing: {ISSUER.removeprefix('waited for ')}",
        "  VI-SIGN-001 (SHOULD) The controller SHOULD sign 1.",
    ]
    assert sum("waited" in line for line in lines) == 0, "no message of a group is repeated"
    place = lines.index("    VI-CSRAPI-002 (SHOULD) The controller SHOULD sign 2.") + 1
    assert lines[place] == "        at a barrier: the requirement was neither violated nor proved"


def test_markdown_lists_must_first_and_a_shared_cause_once() -> None:
    text = markdown.render(REPORT)
    failed = text.partition("### Failed: 8 MUST, 17 SHOULD\n")[2]
    assert re.findall(r"^\* (.*)$", failed, re.MULTILINE) == [
        f"15 requirements wait for the same thing: {CSR.removeprefix('waited for ')}",
        f"9 requirements wait for the same thing: {ISSUER.removeprefix('waited for ')}",
        "**VI-SIGN-001** (SHOULD) The controller SHOULD sign 1.",
    ]
    assert failed.count("  * at a barrier: the requirement was neither violated nor proved") == 10
    assert "waited" not in failed


class First(HTMLParser):
    """Collects the texts of the first list: each text of an element with a class or a link."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page.partition('<nav class="first"')[2].partition("</nav>")[0])

    def handle_data(self, data: str) -> None:
        self.words += filter(None, [data.strip()])


def test_page_lists_must_first_with_level_and_shared_cause() -> None:
    words = First(html.render(REPORT)).words
    assert words.count("15 requirements wait for the same thing: " + CSR.removeprefix("waited for ")) == 1
    place = words.index("VI-CSRAPI-003")
    assert words[place : place + 3] == ["VI-CSRAPI-003", "failed", "MUST"]
    levels = [word for word in words if word in ("MUST", "SHOULD")]
    assert levels[:15] == ["MUST"] * 5 + ["SHOULD"] * 10
    assert "at a barrier: the requirement was neither violated nor proved" in words


def test_page_names_the_shared_cause_at_each_requirement() -> None:
    page = html.render(REPORT)
    assert page.count("<dt>Shared cause</dt><dd>15 requirements wait for the same thing") == 15


def test_failed_barrier_is_not_called_a_violation(tmp_path: Path) -> None:
    alone = build(judged("SIGN", {"test_it": [BARRIER + unsigned("vi-1")]}, lambda number: "MUST"))
    assert "<h3>The barrier failed: the requirement was neither violated nor proved</h3>" in html.render(alone)
    place = bundle.write(alone, tmp_path)
    assert place is not None
    text = next(place.glob("*/README.md")).read_text()
    assert text.startswith("# VI-SIGN-001 could not be proved of cert-manager")
    assert "## The barrier failed" in text


def test_requirements_not_run_for_one_reason_share_it() -> None:
    reason = "not run: no Vault 2"
    unable = [
        RequirementResult(requirement("TLS", n, "MUST"), [TestResult("test", Outcome.NOT_RUN, 0.0, reason)])
        for n in (1, 2)
    ]
    assert list(terminal.details(unable))[1] == "  2 requirements have the same reason: not run: no Vault …"


# -- older and other reports --------------------------------------------------------------------------------------


def older(built: dict[str, Any]) -> dict[str, Any]:
    """Return the same report as an earlier version wrote it."""
    old: dict[str, Any] = json.loads(json_text(built))
    del old["groups"]
    for entry in old["requirements"]:
        del entry["cause"], entry["group"]
        for test in entry["tests"]:
            del test["cause"], test["barrier"]
    return old


def test_report_of_an_earlier_version_gets_its_groups_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(older(REPORT)))
    assert reading.load(tmp_path) == json.loads(json_text(REPORT))


def test_groups_that_a_file_claims_are_not_believed(tmp_path: Path) -> None:
    forged = json.loads(json_text(REPORT))
    forged["groups"] = [{"outcome": "passed", "cause": "all is well", "requirements": ["VI-X-001", "VI-X-002"]}]
    (tmp_path / "report.json").write_text(json.dumps(forged))
    assert reading.load(tmp_path)["groups"] == REPORT["groups"]


def test_merged_report_has_the_groups_of_all_parts() -> None:
    one, other = build(RESULTS), build(RESULTS)
    for part, kept in ((one, "CSRAPI"), (other, "HEALTH")):
        part["options"]["select"] = [kept]
        for entry in part["requirements"]:
            if entry["area"] != kept:
                entry.update(tests=[], outcome="not-run")
    assert [(g["cause"], len(g["requirements"])) for g in merge([one, other])["groups"]] == [(CSR, 15), (ISSUER, 9)]


def test_comparison_lists_must_first_and_names_the_cause(capsys: pytest.CaptureFixture[str]) -> None:
    good = build(
        [RequirementResult(r.requirement, [TestResult("t", Outcome.PASSED, 0.1)]) for r in RESULTS],
    )
    changes = compare(good, REPORT)
    assert [change.level for change in changes] == sorted(change.level for change in changes)
    assert {change.cause for change in changes if change.id.startswith("VI-CSRAPI")} == {CSR}
    assert commands._compare(good, REPORT, "pretty") == 1
    assert f"          cause: {CSR}\n" in capsys.readouterr().out
