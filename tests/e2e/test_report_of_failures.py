"""The page of a session with several failures, opened from disk in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_vault_issuer.report import bundle
from tests.e2e import faulty
from tests.e2e.conftest import Suite, SuiteRun
from tests.support.browser import DESK, PHONE, Reader, launched
from tests.support.scope import selecting

#: The failed requirements: a MUST about a login, a MUST that a JWT violates, two about certificates, and a SHOULD.
FAILED = {"VI-APPROLE-001", "VI-KSECRETLESS-004", "VI-HEALTH-003", "VI-SIGN-011", "VI-SIGN-012"}
RIGHT = "VI-TOKEN-001"
#: A failure with login, health query and sign request.
WHOLE = "VI-KSECRETLESS-004"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, shared: str) -> SuiteRun:
    directory = tmp_path_factory.mktemp("faulty")
    selected = selecting([*sorted(FAILED), RIGHT])
    # Half the timeouts, because the failures wait for events that never occur.
    file = faulty.write(directory)
    return Suite(directory).run(f"--vault-issuer={file}", "-n2", shared, "--vault-issuer-timeout-scale=0.5", *selected)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def visit(browser: Any, judged: SuiteRun) -> Iterator[Callable[..., Reader]]:
    contexts = []

    def visit(**options: Any) -> Reader:
        context = browser.new_context(**{"viewport": DESK, "offline": True} | options)
        contexts.append(context)
        return Reader(context.new_page(), judged.directory / "report" / "report.html")

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def reader(visit: Callable[..., Reader]) -> Reader:
    return visit()


def failed(judged: SuiteRun) -> list[dict[str, Any]]:
    return [entry for entry in judged.report["requirements"] if entry["outcome"] == "failed"]


def test_only_broken_requirements_failed(judged: SuiteRun) -> None:
    outcomes = {i: outcome for i, outcome in judged.outcomes().items() if outcome != "not-run"}
    assert outcomes == dict.fromkeys(FAILED, "failed") | {RIGHT: "passed"}, judged.output


def test_page_opens_from_disk_without_a_network(reader: Reader, judged: SuiteRun) -> None:
    reader.open_all()
    assert reader.fetched == [(judged.directory / "report" / "report.html").as_uri()]
    assert reader.said == []


def test_page_starts_with_the_failures(reader: Reader, judged: SuiteRun) -> None:
    listed = reader.page.get_by_role("navigation", name="What to look at").get_by_role("listitem")
    assert listed.count() == len(FAILED)
    for entry in failed(judged):
        item = listed.filter(has_text=entry["id"])
        assert item.get_by_text(entry["statement"].split("`")[0].strip()).first.is_visible()
    assert "(seen: 3600" in listed.filter(has_text=WHOLE).inner_text()
    listed.filter(has_text=WHOLE).get_by_role("link").click()
    assert reader.page.locator(f"#{WHOLE} > summary").evaluate("one => one === document.activeElement")
    # No fixed element of the page covers the target of a link.
    covered = reader.page.locator(f"#{WHOLE} .badge").first.evaluate(
        "one => { const box = one.getBoundingClientRect(); "
        "return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) !== one; }"
    )
    assert not covered


def test_failures_are_found_by_id_text_and_filter(reader: Reader, judged: SuiteRun) -> None:
    for entry in failed(judged):
        reader.search(entry["id"])
        assert reader.shown() == [entry["id"]]
        reader.search(re.sub("[`.,]", " ", entry["statement"]))
        assert entry["id"] in reader.shown()
        test = next(test for test in entry["tests"] if test["outcome"] == "failed")
        reader.search(test["message"].splitlines()[0])
        assert entry["id"] in reader.shown()
    reader.page.get_by_role("button", name="Show all").click()
    for box in reader.page.get_by_role("checkbox").all():
        if box.get_attribute("value") != "failed":
            box.uncheck()
    assert set(reader.shown()) == FAILED
    reader.page.get_by_role("link", name=re.compile("of SIGN SHOULD")).click()
    should = {e["id"] for e in failed(judged) if (e["area"], e["level"]) == ("SIGN", "SHOULD")}
    assert set(reader.shown()) == should != set()
    reader.page.keyboard.press("Escape")
    assert len(reader.shown()) == len(judged.outcomes())


def test_keyboard_alone_opens_evidence(reader: Reader) -> None:
    keyboard = reader.page.keyboard
    keyboard.press("/")
    keyboard.type(WHOLE)
    assert reader.shown() == [WHOLE]
    reader.press("Tab", f"#{WHOLE} > summary")
    keyboard.press("Enter")
    assert not reader.is_open(WHOLE), "it was open, as all that failed"
    keyboard.press("Enter")
    assert reader.is_open(WHOLE)
    reader.press("Tab", ".timeline .login summary")
    login = reader.page.locator(":focus")
    claims = login.locator("xpath=..").locator("pre", has_text="system:serviceaccount:")
    assert not claims.first.is_visible()
    keyboard.press("Enter")
    assert claims.first.is_visible()
    reader.press("Tab", ".spec summary")
    specification = reader.page.locator(":focus").locator("xpath=..").locator("pre")
    keyboard.press("Enter")
    assert "serviceAccountRef" in specification.inner_text(), "what the issuer was configured with"


def test_timeline_shows_login_health_and_signature(reader: Reader) -> None:
    timeline = reader.page.locator(f"#{WHOLE} .timeline").first
    for route, call in (
        ("health", r"GET /v1/sys/health 200"),
        ("login", r"POST /v1/auth/kubernetes\S*/login 200"),
        ("sign", r"POST /v1/pki\S*/sign/\S+ 200"),
    ):
        line = timeline.locator(f".{route} summary").first
        assert line.is_visible()
        assert re.search(call, line.inner_text())
        assert "answered by Vault" in line.inner_text()
    refused = reader.page.locator("#VI-APPROLE-001 .timeline .login summary").first
    assert re.search(r"POST /v1/auth/\S+/login 403", refused.inner_text())
    assert "path: " in reader.page.locator("#VI-APPROLE-001 .spec pre").first.text_content()


def test_expected_and_observed_values_are_distinguished(reader: Reader) -> None:
    compared = reader.page.locator(f"#{WHOLE} .compared").first.inner_text()
    assert re.search(r"expected: 600\s+seen: 3600", compared)
    said = reader.page.locator("#VI-SIGN-011 .message").first.inner_text()
    assert "expected a certificate valid for 2160h0m0s, saw 720h" in said


@pytest.mark.parametrize("allowed", [True, False], ids=["into the clipboard", "or selected"])
def test_repeat_command_is_copied(visit: Callable[..., Reader], judged: SuiteRun, allowed: bool) -> None:
    reader = visit(permissions=["clipboard-read", "clipboard-write"] if allowed else [])
    test = next(e for e in failed(judged) if e["id"] == "VI-APPROLE-001")["tests"]
    name = next(entry["nodeid"] for entry in test if entry["outcome"] == "failed")
    folder = judged.directory / "report" / "failures" / bundle.slug("VI-APPROLE-001", name)
    (command,) = re.findall("```sh\n(.*)\n```", (folder / "README.md").read_text())
    place = reader.page.locator("#VI-APPROLE-001 .again").first
    assert place.locator("code").inner_text() == command
    if not allowed:
        reader.refuse("clipboard-write")
    place.get_by_role("button", name="Copy the command").click()
    if allowed:
        place.get_by_role("button", name="Copied").wait_for()
        assert reader.page.evaluate("navigator.clipboard.readText()") == command
    else:
        place.get_by_role("button", name="Selected").wait_for()
        assert reader.page.evaluate("getSelection().toString()") == command
    assert reader.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(visit: Callable[..., Reader], scheme: str) -> None:
    reader = visit(viewport=PHONE, color_scheme=scheme)
    assert reader.width() <= PHONE["width"]
    reader.open_all()
    assert reader.width() <= PHONE["width"]


def test_every_control_has_a_name(reader: Reader) -> None:
    reader.open_all()
    assert reader.nameless() == []
    snapshot = reader.page.locator("body").aria_snapshot()
    for line in ('heading "my-issuer 0.3.0" [level=1]', 'navigation "What to look at"', 'region "Requirements"'):
        assert f"- {line}" in snapshot


def test_failure_folder_has_all_that_the_page_has(judged: SuiteRun) -> None:
    """A reader of an issue gets only the folder, and needs all the evidence."""
    folders = list((judged.directory / "report" / "failures").glob(f"{WHOLE}-*"))
    assert folders
    for folder in folders:
        text = (folder / "README.md").read_text()
        assert text.startswith(f"# {WHOLE} is not met by my-issuer 0.3.0\n\n> The controller MUST request service")
        assert re.search(r"expected: 600\n\s+seen: 3600", text)
        for part in ("In brackets: what the test made", "serviceAccountRef:", "/login 200 (LOGIN", "is not met by"):
            assert part in text
