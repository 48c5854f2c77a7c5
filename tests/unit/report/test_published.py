"""Published reports: their layout, and the reasons to reject one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.report import published
from pytest_vault_issuer.report.load import results
from pytest_vault_issuer.report.outcomes import Outcome, profile_entries
from pytest_vault_issuer.report.reproduction import suite_digest
from tests.support.reader import ROOT
from tests.support.sample_report import evidence, report

Change = Callable[[dict[str, Any]], object]


def good(*outcomes: Outcome) -> dict[str, Any]:
    """Return a report that can be published. The digest of its suite differs, because it has only six requirements."""
    made = report(*outcomes)
    made["generator"]["version"] = "0.1.0"
    made["options"]["certify"] = True
    made["stack"] = {"provider": "process", "reason": "", "components": {"vault": "1.21.0", "kubernetes": "v1.36.3"}}
    made["implementation"] |= {
        "name": "My Issuer",
        "version": "v1.4.0",
        "organization": "us",
        "url": "https://example.com",
        "contact": ["@us"],
        "failure": "",
    }
    made["profiles"] = profile_entries(results(made), made["profiles"], strict=True)
    return made


def write(tmp_path: Path, made: dict[str, Any], place: str = "reports/0.1.0/my-issuer/1.4.0.json") -> Path:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made))
    return path


def test_place_names_suite_implementation_and_version() -> None:
    assert published.place(good()).as_posix() == "reports/0.1.0/my-issuer/1.4.0.json"


@pytest.mark.parametrize("name", ["1.4.0.json", "1.4.0-openbao.json"])
def test_complete_report_in_its_place_can_be_published(tmp_path: Path, name: str) -> None:
    assert published.check(write(tmp_path, good(), f"reports/0.1.0/my-issuer/{name}")) == []
    assert published.check(write(tmp_path, good(Outcome.KNOWN_FAILURE), "report/report.json")) == []


def set_in(*path: str | int, to: Any) -> Change:
    def change(made: dict[str, Any]) -> None:
        *parents, last = path
        inner: Any = made
        for key in parents:
            inner = inner[key]
        inner[last] = to

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (set_in("options", "certify", to=False), "the session was not in certify mode"),
        (set_in("incomplete", to="ended by SIGTERM"), "the session ended early: ended by SIGTERM"),
        (set_in("implementation", "failure", to="it stopped"), "the controller stopped: it stopped"),
        (set_in("stack", to=None), "the stack did not start"),
        (
            set_in("reproduction", "options", to=["--vault-issuer=/home/me/my issuer/a.toml"]),
            "report.reproduction.options[0] names a directory of the machine that judged: /home/me/my",
        ),
        (
            set_in("reproduction", "command", to="pytest --vault-issuer-report=/root/report"),
            "report.reproduction.command names a directory of the machine that judged: /root/report",
        ),
        (set_in("reproduction", "binaries", to=[]), "does not state the sources of the binaries of the stack"),
        (set_in("reproduction", "binaries", 0, "pinned", to=False), "vault is not pinned: github.com/hashicorp/vault@"),
        (set_in("reproduction", "binaries", 0, "sha256", to=""), "vault is not pinned: github.com/hashicorp/vault@"),
        (set_in("reproduction", "binaries", 0, "source", to="user"), "vault is a binary of your own"),
        (set_in("implementation", "contact", to=[]), "[implementation] contact is missing"),
        (set_in("implementation", "version", to="main"), "the version 'main' is not a release"),
        (set_in("requirements", 0, "outcome", to="failed"), "does not follow from its tests"),
        (set_in("requirements", 0, "tests", 0, "outcome", to="failed"), "does not follow from its tests"),
        (set_in("profiles", "core", "counts", "MUST", "passed", to=99), "the verdict or the counts of profile core"),
        (set_in("profiles", "core", "verdict", to="conformant"), "the verdict or the counts of profile core"),
        (
            set_in("requirements", 0, "tests", 0, "message", to="token hvs.CAESIcanarycanarycanary"),
            "report.requirements[0].tests[0].message contains text that looks like a secret",
        ),
    ],
)  # fmt: skip
def test_report_that_others_cannot_rely_on_is_refused(tmp_path: Path, change: Change, problem: str) -> None:
    made = good(Outcome.PASSED, Outcome.KNOWN_FAILURE)
    assert made["profiles"]["core"]["verdict"] == "partial"
    change(made)
    texts = [each.text for each in published.check(write(tmp_path, made))]
    assert any(problem in text for text in texts), texts


def test_merged_report_is_refused(tmp_path: Path) -> None:
    made = good()
    made["reproduction"]["parts"] = [dict(made["reproduction"])]
    assert [each.text for each in published.check(write(tmp_path, made))] == [
        "the report was merged from several sessions"
    ]


def test_report_of_this_suite_has_all_of_its_requirements(tmp_path: Path) -> None:
    made = good()
    made["reproduction"]["suite_sha256"] = suite_digest()
    (problem,) = published.check(write(tmp_path, made))
    assert "requirements are missing, such as VI-" in problem.text


@pytest.mark.parametrize(
    "place",
    [
        "reports/0.2.0/my-issuer/1.4.0.json",
        "reports/0.1.0/other/1.4.0.json",
        "reports/0.1.0/my-issuer/1.5.0.json",
        "reports/0.1.0/my-issuer/1.4.0.1.json",
        "my-issuer/1.4.0.json",
    ],
)
def test_report_in_another_place_is_refused_with_its_own(tmp_path: Path, place: str) -> None:
    (problem,) = published.check(write(tmp_path, good(), place))
    assert problem.hint == "move it to reports/0.1.0/my-issuer/1.4.0.json"


def test_suite_must_be_that_of_its_release(tmp_path: Path) -> None:
    path = write(tmp_path, good())
    digest = tmp_path / "reports/0.1.0" / published.DIGEST_FILE
    digest.write_text(f"{'a' * 64}\n")
    assert published.check(path) == []
    digest.write_text(f"{'b' * 64}\n")
    assert [each.text for each in published.check(path)] == ["the report is not from the suite of version 0.1.0"]


def test_newest_comes_first(tmp_path: Path) -> None:
    for suite, name, version in [
        ("0.1.0", "b", "1.9.0"), ("0.1.0", "b", "1.10.0"), ("0.1.0", "a", "2.0.0"), ("0.10.0", "b", "1.9.0"),
    ]:  # fmt: skip
        made = good()
        made["generator"]["version"] = suite
        made["implementation"] |= {"name": name, "version": version}
        write(tmp_path, made, published.place(made).as_posix())
    found = [(each.suite_version, each.name, each.version) for each in published.read_all(tmp_path / "reports")]
    assert found == [
        ("0.10.0", "b", "1.9.0"),
        ("0.1.0", "a", "2.0.0"),
        ("0.1.0", "b", "1.10.0"),
        ("0.1.0", "b", "1.9.0"),
    ]


def test_directory_without_reports_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="contains no report"):
        published.files_of(tmp_path)


def test_published_reports_of_this_repository_are_good() -> None:
    paths = published.files_in(ROOT / published.DIRECTORY)
    assert [(path, problem) for path in paths for problem in published.check(path)] == []


def test_published_reports_of_this_repository_are_small() -> None:
    paths = published.files_in(ROOT / published.DIRECTORY)
    assert [path for path in paths if path.stat().st_size > 1_000_000] == []


# -- the command ----------------------------------------------------------------------------------------------


def with_evidence(made: dict[str, Any]) -> dict[str, Any]:
    made["requirements"][0]["tests"][0]["evidence"] = evidence()
    return made


def test_report_is_published_without_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = with_evidence(good())
    place = tmp_path / "reports/0.1.0/my-issuer/1.4.0-openbao.json"
    assert "it contains the evidence of failures" in str(published.check(write(tmp_path, original)))
    write(tmp_path, original, "report/report.json")
    command = ["report", "publish", str(tmp_path / "report"), "--output", str(tmp_path), "--word", "openbao"]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{place}\n"
    assert published.check(place) == []
    expected = good()
    assert json.loads(place.read_text()) == expected


def test_report_with_a_problem_is_not_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = good()
    bad["incomplete"] = "interrupted"
    write(tmp_path, bad, "report/report.json")
    assert main(["report", "publish", str(tmp_path / "report"), "--output", str(tmp_path)]) == 1
    assert "the session ended early: interrupted" in capsys.readouterr().out
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("word", ["../../x", "", "Open Bao"])
def test_word_of_a_report_stays_in_its_name(tmp_path: Path, word: str) -> None:
    write(tmp_path, good(), "report/report.json")
    with pytest.raises(SystemExit):
        main(["report", "publish", str(tmp_path / "report"), "--output", str(tmp_path), "--word", word])
    assert not (tmp_path / "reports").exists()


def test_command_names_the_place_of_a_good_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, good(), "report/report.json")
    assert main(["report", "check", str(tmp_path / "report")]) == 0
    assert "can be published as reports/0.1.0/my-issuer/1.4.0.json" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["pretty", "json", "markdown"])
def test_command_exits_with_one_for_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    write(tmp_path, good())
    bad = good()
    bad["options"]["certify"] = False
    bad["profiles"] = profile_entries(results(bad), bad["profiles"], strict=False)
    write(tmp_path, bad, "reports/0.1.0/my-issuer/1.4.0-openbao.json")
    assert main(["report", "check", str(tmp_path / "reports"), "--format", form]) == 1
    printed = capsys.readouterr().out
    assert "the session was not in certify mode" in printed
    assert "vault-issuer judge IMPLEMENTATION --certify" in printed
    if form == "json":
        assert [len(entry["problems"]) for entry in json.loads(printed)] == [1, 0]
