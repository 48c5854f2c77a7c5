"""Certify mode: what it rejects, and what it reports if something is missing."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import Implementation, IssuerDescription, RunDescription
from pytest_vault_issuer.judge import certification
from pytest_vault_issuer.judge.hooks import Conformance
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.requirements.catalogue import SUITE, Catalogue
from pytest_vault_issuer.toolchain import Origin

pytest_plugins = ("pytester",)


def mine(**fields: Any) -> Implementation:
    given: dict[str, Any] = {
        "name": "mine",
        "version": "1.4.0",
        "organization": "We",
        "url": "https://example.com",
        "contact": ["us@example.com"],
        "features": frozenset({"issuer", "certificate-request", "token"}),
    }
    return Implementation(issuer=IssuerDescription(), **({"run": RunDescription()} | given | fields))


def refused(check: Any, *arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check(*arguments)
    assert caught.value.hint
    assert caught.value.message.startswith("--vault-issuer-certify")
    return caught.value.message


# -- the binaries -----------------------------------------------------------------------------------------------

PINNED = Origin("vault", "build", "v1.21.0", "github.com/hashicorp/vault@v1.21.0", "a" * 64, True)


@pytest.mark.parametrize(
    "settings", [Settings(vault_binary=Path("/bin/bao")), Settings(kubernetes_binaries=Path("/assets"))]
)
def test_binaries_of_the_user_are_refused_before_anything_starts(settings: Settings) -> None:
    assert "cannot be combined" in refused(certification.check_settings, settings, "process")


def test_existing_stack_is_refused() -> None:
    message = refused(certification.check_settings, Settings(), "existing")
    assert message.endswith("the binaries of an existing Vault and cluster are not known")


@pytest.mark.parametrize("provider", ["process", "kind"])
def test_binaries_of_the_toolchain_are_accepted(provider: str) -> None:
    certification.check_settings(Settings(), provider)
    certification.check_origins([PINNED, replace(PINNED, binary="etcd", source="download")])


@pytest.mark.parametrize("change", [{"source": "user"}, {"pinned": False}, {"sha256": ""}])
def test_unpinned_binary_is_refused(change: dict[str, Any]) -> None:
    assert ": etcd " in refused(certification.check_origins, [PINNED, replace(PINNED, binary="etcd", **change)])


def test_stack_of_unknown_binaries_is_refused() -> None:
    """A dev stack that an older version started does not state the sources of its binaries."""
    assert "are not known" in refused(certification.check_origins, [])


# -- the implementation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.4", "v1.4.0", "1.4.0-rc.1", "1.4.0+build.7", "2024.11.3"])
def test_release_versions_are_accepted(version: str) -> None:
    certification.check_implementation(mine(version=version))


@pytest.mark.parametrize("version", ["main", "latest", "release-1.4", "", "3f2a9bc", "1", "v2", "1.4.x/main"])
def test_moving_versions_are_refused(version: str) -> None:
    assert "is not a release" in refused(certification.check_implementation, mine(version=version))


@pytest.mark.parametrize(("key", "empty"), [("organization", ""), ("url", ""), ("contact", [])])
def test_missing_vendor_is_refused(key: str, empty: Any) -> None:
    assert key in refused(certification.check_implementation, mine(**{key: empty}))


@pytest.mark.parametrize(
    "image",
    ["mine:1.4.0", "registry.example.com:5000/we/mine:v1.4.0-rc.1", f"mine@sha256:{'0' * 64}", "mine:main@sha256:1"],
)
def test_fixed_images_are_accepted(image: str) -> None:
    certification.check_implementation(mine(run=RunDescription(image=image, images=[image])))


@pytest.mark.parametrize("image", ["mine:main", "registry.example.com:5000/we/mine:nightly", "mine:1", "mine:3f2a9bc"])
@pytest.mark.parametrize("key", ["image", "images"])
def test_moving_images_are_refused(image: str, key: str) -> None:
    moving = RunDescription(image=image) if key == "image" else RunDescription(images=[image])
    assert f"the image {image} is not a release" in refused(certification.check_implementation, mine(run=moving))


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
        ({"retries": 2}, "--retries"),
        ({"setuponly": True}, "--setup-only"),
        ({"setupplan": True, "setuponly": True}, "--setup-plan"),
    ],
)
def test_options_that_leave_out_or_repeat_tests_are_refused(options: dict[str, Any], named: str) -> None:
    assert named in refused(certification.check_options, options, [SUITE], SUITE)


def test_other_options_are_accepted() -> None:
    certification.check_options({"keyword": "", "maxfail": 0, "deselect": None, "verbose": 2}, [SUITE], SUITE)


@pytest.mark.parametrize("arguments", [[], ["test_mine.py"], [f"{SUITE}/test_sign.py"], [SUITE, "test_mine.py"]])
def test_other_arguments_than_the_suite_are_refused(arguments: list[str]) -> None:
    assert "runs the whole suite" in refused(certification.check_options, {}, arguments, SUITE)


# -- what is claimed --------------------------------------------------------------------------------------------


def test_claim_outside_the_selected_profiles_is_refused() -> None:
    claiming = mine(features=frozenset({"issuer", "certificate-request", "token", "mtls"}))
    certification.check_selection(claiming, ("core", "extended"), ())
    assert "mtls" in refused(certification.check_selection, claiming, ("core",), ())
    assert "token" in refused(certification.check_selection, claiming, ("extended",), ())
    certification.check_selection(mine(), ("core",), ())


def test_selection_is_refused() -> None:
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


# These sessions use another suite and need no stack; a test above covers the command line.
CONFTEST = """
from pytest_vault_issuer.judge import certification
from pytest_vault_issuer.judge.hooks import Conformance

Conformance.pytest_runtestloop = lambda self, session: None
certification.check_options = lambda *_: None
"""


def runs(*cases: tuple[str, str, int], alike: Collection[str] = ()) -> pytest.MarkDecorator:
    """Run each case in this process, and with workers of pytest-xdist, as the documentation recommends.

    :param cases: id, value and number of workers.
    :param alike: ids of cases that take the same way as another one with workers: only the complete run has both.
    """
    here = [pytest.param(case, (), id=f"{name}-here") for name, case, _ in cases]
    there = [
        pytest.param(case, (f"-n{n}",), id=f"{name}-workers", marks=[pytest.mark.full] if name in alike else [])
        for name, case, n in cases
    ]
    return pytest.mark.parametrize(("case", "workers"), here + there)


class Certifying:
    """Certifies with its own suite instead of the real one: every requirement has a test that passes."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        # Replacements of the conftest apply only to this session.
        monkeypatch.setattr(Conformance, "pytest_runtestloop", Conformance.pytest_runtestloop)
        monkeypatch.setattr(certification, "check_options", certification.check_options)
        self.conftest("")

    def conftest(self, text: str) -> None:
        self.pytester.makeconftest(CONFTEST + text)

    def run(
        self, *arguments: str, version: str = "1.0", supported: str = '["core"]', known: str = "", extra: str = ""
    ) -> pytest.RunResult:
        self.pytester.makefile(".toml", probe=FILE.format(version=version, supported=supported, known=known))
        tests = "import pytest\nfrom pytest_vault_issuer import requirement\n"
        for number, asked in enumerate(Catalogue.load().requirements):
            tests += f"@requirement({asked.id!r})\ndef test_{number}(): pass\n"
        self.pytester.makepyfile(test_all=tests + extra)
        workers = {"-n1", "-n2"} & set(arguments)
        run = self.pytester.runpytest_subprocess if workers else self.pytester.runpytest_inprocess
        return run("--vault-issuer=probe.toml", "--vault-issuer-certify", "--vault-issuer-report=out", *arguments)

    @property
    def report(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.pytester.path / "out" / "report.json").read_text())
        return loaded


@pytest.fixture
def certifying(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Certifying:
    return Certifying(pytester, monkeypatch)


def test_complete_session_is_conformant(certifying: Certifying) -> None:
    result = certifying.run("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*, certify mode", "profile core: conformant *"])
    report = certifying.report
    assert list(report["profiles"]) == ["core"]
    assert report["options"]["certify"] is True
    again = report["reproduction"]
    assert again["command"].startswith("pytest --vault-issuer=probe.toml ")
    assert again["packages"]["pytest"] == pytest.__version__
    assert len(again["suite_sha256"]) == 64
    assert again["options"] == ["--vault-issuer=probe.toml", "--vault-issuer-report=out", "--vault-issuer-certify"]
    assert len(again["implementation"]["file_sha256"]) == 64
    jsonschema.validate(report, json_report.schema())


def test_claimed_profiles_are_judged_by_default(certifying: Certifying) -> None:
    result = certifying.run(supported='["core", "mtls"]')
    result.stdout.fnmatch_lines(["vault-issuer: probe 1.0, profile core, extended, *"])


def test_known_failure_makes_the_verdict_partial(certifying: Certifying) -> None:
    identifier = Catalogue.load().ids[0]
    failing = f"@requirement({identifier!r})\ndef test_it(): assert 0\n"
    result = certifying.run(known=f'"{identifier}" = "issue #12"', extra=failing)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert certifying.report["profiles"]["core"]["verdict"] == "partial"


def test_skip_makes_the_verdict_partial(certifying: Certifying) -> None:
    identifier = next(r.id for r in Catalogue.load().requirements if r.level == "SHOULD")
    skipping = f"@requirement({identifier!r})\ndef test_it(): pytest.skip('later')\n"
    assert certifying.run(extra=skipping).ret == pytest.ExitCode.TESTS_FAILED
    assert certifying.report["profiles"]["core"]["verdict"] == "partial"


LEFT_OUT = "\ndef pytest_collection_modifyitems(config, items):\n    "


@runs(
    ("deselected", "config.hook.pytest_deselected(items=[items.pop()])", 2),
    ("in silence", "items[:] = [i for i in items if i.name != 'test_it[b]']", 2),
    alike=["deselected"],
)
def test_tests_left_out_by_a_conftest_are_refused(certifying: Certifying, workers: tuple[str, ...], case: str) -> None:
    """The removed test is one of several of its requirement, and the others passed."""
    certifying.conftest(LEFT_OUT + case)
    cases = "@pytest.mark.parametrize('case', ['a', 'b'])\n"
    judging = f"{cases}@requirement({Catalogue.load().ids[0]!r})\ndef test_it(case): pass\n"
    result = certifying.run(*workers, extra=judging)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--vault-issuer-certify: 1 tests were left out: test_all.py::test_*"])
    assert "profile core:" not in result.stdout.str()
    assert not (certifying.pytester.path / "out" / "report.json").exists()


@pytest.mark.parametrize("where", ["tryfirst", "trylast"])
def test_tests_left_out_by_other_hooks_are_rejected(certifying: Certifying, where: str) -> None:
    hook = f"\nimport pytest\n@pytest.hookimpl({where}=True)" + LEFT_OUT
    certifying.conftest(hook + "items[:] = [i for i in items if i.name != 'test_0']")
    assert certifying.run().ret == pytest.ExitCode.USAGE_ERROR


def test_tests_of_an_unclaimed_profile_may_be_left_out(certifying: Certifying) -> None:
    extended = next(r.id for r in Catalogue.load().requirements if r.profile == "extended")
    certifying.conftest(LEFT_OUT + "items[:] = [i for i in items if i.name != 'test_it']")
    assert certifying.run(extra=f"@requirement({extended!r})\ndef test_it(): pass\n").ret == pytest.ExitCode.OK


REPEATED = """
from _pytest.runner import runtestprotocol
def pytest_runtest_protocol(item, nextitem):
    if item.name == 'test_0':
        runtestprotocol(item, nextitem=nextitem)
"""
REPEATED_UNSEEN = """
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if item.name == 'test_0':
        item.ihook.pytest_pyfunc_call(pyfuncitem=item)
    return (yield)
"""


@runs(("reported", REPEATED, 1), ("in silence", REPEATED_UNSEEN, 1))
def test_repeated_test_is_not_certified(certifying: Certifying, workers: tuple[str, ...], case: str) -> None:
    certifying.conftest(case)
    result = certifying.run(*workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["probe: *test_0 ran more than once: *"])


@runs(("setup-only", "--setup-only", 1), ("setup-plan", "--setup-plan", 1), alike=["setup-only"])
def test_tests_without_a_call_are_not_run(certifying: Certifying, workers: tuple[str, ...], case: str) -> None:
    """Without this rejection, certify mode would certify tests that did not run."""
    assert certifying.run(case, *workers).ret == pytest.ExitCode.TESTS_FAILED
    assert {entry["outcome"] for entry in certifying.report["requirements"]} == {"not-run"}


@pytest.mark.parametrize("argument", ["--vault-issuer-select=SIGN", "--vault-issuer-profile=extended"])
def test_part_of_the_suite_is_refused(certifying: Certifying, argument: str) -> None:
    result = certifying.run(argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--vault-issuer-certify*"])


def test_branch_as_version_is_refused(certifying: Certifying) -> None:
    assert certifying.run(version="main").ret == pytest.ExitCode.USAGE_ERROR
