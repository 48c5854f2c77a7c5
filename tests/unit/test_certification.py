"""Certify mode: what it refuses, and what it makes of less than everything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_vault_issuer import certification
from pytest_vault_issuer.conformance import Conformance
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import Implementation, IssuerDescription, RunDescription
from pytest_vault_issuer.requirements import SUITE, Catalogue

pytest_plugins = ("pytester",)


def mine(**fields: Any) -> Implementation:
    given: dict[str, Any] = {
        "name": "mine",
        "version": "1.4.0",
        "organization": "We",
        "url": "https://example.com",
        "contact": ["us@example.com"],
        "features": frozenset({"token"}),
    }
    return Implementation(issuer=IssuerDescription(), run=RunDescription(), **(given | fields))


def refused(check: Any, *arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check(*arguments)
    assert caught.value.hint
    assert caught.value.message.startswith("--vault-issuer-certify")
    return caught.value.message


# -- the implementation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.4", "v1.4.0", "1.4.0-rc.1", "1.4.0+build.7", "2024.11.3"])
def test_releases(version: str) -> None:
    certification.check_implementation(mine(version=version))


@pytest.mark.parametrize("version", ["main", "latest", "release-1.4", "", "3f2a9bc", "1", "v2", "1.4.x/main"])
def test_versions_that_move(version: str) -> None:
    assert "is no release" in refused(certification.check_implementation, mine(version=version))


@pytest.mark.parametrize(("key", "empty"), [("organization", ""), ("url", ""), ("contact", [])])
def test_somebody_has_to_answer_for_it(key: str, empty: Any) -> None:
    assert key in refused(certification.check_implementation, mine(**{key: empty}))


# -- the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"keyword": "token"}, "-k"),
        ({"markexpr": "not slow"}, "-m"),
        ({"deselect": ["a"]}, "--deselect"),
        ({"ignore": ["a"]}, "--ignore"),
        ({"ignore_glob": ["a"]}, "--ignore-glob"),
        ({"maxfail": 1}, "--maxfail"),
        ({"lf": True}, "--lf"),
        ({"stepwise": True}, "--stepwise"),
        ({"reruns": 2}, "--reruns"),
    ],
)
def test_options_that_leave_something_out_or_repeat_it(options: dict[str, Any], named: str) -> None:
    assert named in refused(certification.check_options, options, [SUITE], SUITE)


def test_options_that_do_not() -> None:
    certification.check_options({"keyword": "", "maxfail": 0, "deselect": None, "verbose": 2}, [SUITE], SUITE)


@pytest.mark.parametrize("arguments", [[], ["test_mine.py"], [f"{SUITE}/test_sign.py"], [SUITE, "test_mine.py"]])
def test_anything_but_the_suite(arguments: list[str]) -> None:
    assert "runs the whole suite" in refused(certification.check_options, {}, arguments, SUITE)


# -- what is claimed --------------------------------------------------------------------------------------------


def test_a_claim_that_is_not_judged() -> None:
    claiming = mine(features=frozenset({"token", "mtls"}))
    certification.check_selection(claiming, ("core", "extended"), ())
    assert "mtls" in refused(certification.check_selection, claiming, ("core",), ())
    assert "token" in refused(certification.check_selection, claiming, ("extended",), ())
    certification.check_selection(mine(), ("core",), ())


def test_a_selection() -> None:
    assert "--vault-issuer-select" in refused(certification.check_selection, mine(), ("core",), ("SIGN",))


# -- a run ------------------------------------------------------------------------------------------------------

FILE = """
[implementation]
name = "probe"
version = "{version}"
organization = "We"
url = "https://example.com"
contact = ["us@example.com"]
[features]
supported = {supported}
[known_failures]
{known}
"""


class Certifying:
    """Certifies with a suite of its own in the place of the real one: every requirement has a test that passes."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        monkeypatch.setattr(Conformance, "pytest_runtestloop", lambda self, session: None)
        # The suite of these runs is another; what is refused of the command line is tested above.
        monkeypatch.setattr(certification, "check_options", lambda *_: None)

    def run(
        self, *arguments: str, version: str = "1.0", supported: str = '["core"]', known: str = "", extra: str = ""
    ) -> pytest.RunResult:
        self.pytester.makefile(".toml", probe=FILE.format(version=version, supported=supported, known=known))
        tests = "import pytest\nfrom pytest_vault_issuer.marks import requirement\n"
        for number, asked in enumerate(Catalogue.load().requirements):
            tests += f"@requirement({asked.id!r})\ndef test_{number}(): pass\n"
        self.pytester.makepyfile(test_all=tests + extra)
        return self.pytester.runpytest_inprocess(
            "--vault-issuer=probe.toml", "--vault-issuer-certify", "--vault-issuer-report=out", *arguments
        )

    @property
    def report(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.pytester.path / "out" / "report.json").read_text())
        return loaded


@pytest.fixture
def certifying(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Certifying:
    return Certifying(pytester, monkeypatch)


def test_everything_passed(certifying: Certifying) -> None:
    result = certifying.run("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*to be certified*", "profile core: conformant *"])
    report = certifying.report
    assert list(report["profiles"]) == ["core"]
    assert report["options"]["certify"] is True
    again = report["reproduction"]
    assert again["command"].startswith("pytest --vault-issuer=probe.toml --vault-issuer-certify ")
    assert again["packages"]["pytest"] == pytest.__version__
    assert len(again["suite_sha256"]) == 64


def test_all_that_is_claimed_is_judged_by_default(certifying: Certifying) -> None:
    result = certifying.run(supported='["core", "mtls"]')
    result.stdout.fnmatch_lines(["vault-issuer: probe 1.0, profile core, extended, *"])


def test_a_known_failure_is_partial_and_no_success(certifying: Certifying) -> None:
    identifier = Catalogue.load().ids[0]
    failing = f"@requirement({identifier!r})\ndef test_it(): assert 0\n"
    result = certifying.run(known=f'"{identifier}" = "issue #12"', extra=failing)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert certifying.report["profiles"]["core"]["verdict"] == "partial"


def test_a_skip_is_partial_and_no_success(certifying: Certifying) -> None:
    identifier = next(r.id for r in Catalogue.load().requirements if r.level == "SHOULD")
    skipping = f"@requirement({identifier!r})\ndef test_it(): pytest.skip('later')\n"
    assert certifying.run(extra=skipping).ret == pytest.ExitCode.TESTS_FAILED
    assert certifying.report["profiles"]["core"]["verdict"] == "partial"


def test_tests_that_a_plugin_deselects(certifying: Certifying) -> None:
    certifying.pytester.makeconftest(
        "def pytest_collection_modifyitems(config, items):\n    config.hook.pytest_deselected(items=[items.pop()])\n"
    )
    result = certifying.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--vault-issuer-certify: 1 tests were deselected"])


def test_a_test_that_is_repeated(certifying: Certifying) -> None:
    certifying.pytester.makeconftest(
        "from _pytest.runner import runtestprotocol\n"
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    if item.name == 'test_0':\n"
        "        runtestprotocol(item, nextitem=nextitem)\n"
    )
    result = certifying.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["probe: *test_0 was repeated: *"])


@pytest.mark.parametrize("argument", ["--vault-issuer-select=SIGN", "--vault-issuer-profile=extended"])
def test_a_part(certifying: Certifying, argument: str) -> None:
    result = certifying.run(argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--vault-issuer-certify*"])


def test_a_branch(certifying: Certifying) -> None:
    assert certifying.run(version="main").ret == pytest.ExitCode.USAGE_ERROR
