"""report.html in a browser: on a desktop and a phone, with a keyboard and a screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.report import html
from pytest_vault_issuer.report.outcomes import Outcome
from tests.support.browser import DESK, PHONE, Reader, launched
from tests.support.sample_report import ALL, HOSTILE, REQUIREMENTS, SEEN

FAILED, ERROR, PASSED = REQUIREMENTS[0].id, REQUIREMENTS[1].id, REQUIREMENTS[5].id
#: The minimum contrast between text and its background, after WCAG 2.2 level AA.
CONTRAST = 4.5
#: Returns text with less contrast to its nearest background.
PALE = """least => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const color = parts(getComputedStyle(element).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const pale = new Map();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least) pale.set(element.tagName + "." + element.className, contrast.toFixed(2));
  }
  return [...pale];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return html.write(ALL, tmp_path_factory.mktemp("report"))


@pytest.fixture
def visit(browser: Any, file: Path) -> Iterator[Any]:
    contexts = []

    def visit(fragment: str = "", **options: Any) -> Reader:
        context = browser.new_context(**{"viewport": DESK} | options)
        contexts.append(context)
        return Reader(context.new_page(), file, fragment)

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def reader(visit: Any) -> Reader:
    opened: Reader = visit()
    return opened


# -- reading ----------------------------------------------------------------------------------------------------


def test_page_is_one_file_without_texts_of_its_own(reader: Reader, file: Path) -> None:
    assert reader.fetched == [file.as_uri()]
    assert reader.said == [], "neither errors nor what an issuer wrote into its responses"
    assert reader.shown() == [requirement.id for requirement in REQUIREMENTS]


def test_failures_are_open_with_their_evidence(reader: Reader) -> None:
    assert {r.id for r in REQUIREMENTS if reader.is_open(r.id)} == {FAILED, ERROR}
    failed = reader.page.locator(f"#{FAILED}")
    for text in ("it was not so", "Repeat this test", "POST /v1/pki/sign/r 403", "VaultError", "Issuer a/b"):
        assert failed.get_by_text(text).first.is_visible(), f"expected {text!r} to be visible"


def test_an_exchange_shows_its_response_when_it_is_opened(reader: Reader) -> None:
    exchange = reader.page.locator(f"#{FAILED} .timeline details", has_text="/sign/")
    response = exchange.locator("pre", has_text=HOSTILE)
    assert not response.is_visible()
    exchange.locator("summary").click()
    assert response.is_visible()


def test_everything_that_was_seen_can_be_read(reader: Reader) -> None:
    failed = reader.page.locator(f"#{FAILED}")
    reader.open_all()
    text = failed.inner_text()
    assert [shown for shown in SEEN if shown not in text] == []
    assert failed.get_by_role("heading", name="What was expected, and what was seen").is_visible()


def test_a_link_leads_to_its_requirement(visit: Any) -> None:
    reader = visit(f"#{PASSED}")
    assert reader.is_open(PASSED)
    assert reader.shown() == [requirement.id for requirement in REQUIREMENTS]
    assert reader.page.locator(f"#{PASSED} summary").first.is_visible()


def test_it_can_be_read_without_javascript(visit: Any) -> None:
    reader = visit(java_script_enabled=False)
    for requirement in REQUIREMENTS:
        assert reader.page.locator(f"#{requirement.id} > summary").is_visible()
    assert not reader.page.get_by_role("search").is_visible(), "what needs a script is not offered"
    assert reader.page.get_by_role("button").count() == 0


# -- searching and filtering --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [PASSED, PASSED.lower(), f"{PASSED} {REQUIREMENTS[5].level}"])
def test_search(reader: Reader, text: str) -> None:
    reader.search(text)
    assert reader.shown() == [PASSED]
    assert reader.page.locator("output").inner_text() == f"1 of {len(REQUIREMENTS)} shown"


def test_search_looks_into_the_evidence(reader: Reader) -> None:
    reader.search("ErrVault")
    assert reader.shown() == [FAILED]


def test_search_without_matches_can_be_cleared(reader: Reader) -> None:
    reader.search("no such thing")
    assert reader.shown() == []
    assert reader.page.locator("output").inner_text().startswith("0 of")
    nothing = reader.page.get_by_text("No requirement matches")
    assert nothing.is_visible()
    assert not reader.page.locator(".area > h2").is_visible(), "no heading stands above nothing"
    reader.page.get_by_role("button", name="Show all").click()
    assert len(reader.shown()) == len(REQUIREMENTS)
    assert not nothing.is_visible()


def test_outcomes(reader: Reader) -> None:
    reader.page.get_by_role("checkbox", name="passed 1").uncheck()
    assert PASSED not in reader.shown()
    for outcome in (Outcome.NOT_RUN, Outcome.UNSUPPORTED, Outcome.KNOWN_FAILURE, Outcome.ERROR):
        reader.page.locator(f"input[value={outcome.value}]").uncheck()
    assert reader.shown() == [FAILED]


def test_a_cell_of_the_matrix_shows_its_requirements(reader: Reader) -> None:
    area, level = REQUIREMENTS[0].id.split("-")[1], "SHOULD"
    wanted = [r.id for r in REQUIREMENTS if r.level == level]
    reader.page.locator(f"td a[data-area={area}][data-level={level}]").click()
    assert reader.shown() == wanted != []
    assert f"{area} {level}" in reader.page.locator("output").inner_text()
    chosen = reader.page.locator(".matrix [aria-current]")
    assert [chosen.nth(n).get_attribute("data-level") for n in range(chosen.count())] == [level]


# -- without a mouse, and without eyes -------------------------------------------------------------------------------


def test_keys(reader: Reader) -> None:
    keyboard = reader.page.keyboard
    keyboard.press("Tab")
    assert reader.focus() == "Skip to the requirements"
    keyboard.press("/")
    assert reader.focus() == "search"
    keyboard.type(PASSED)
    assert reader.shown() == [PASSED]
    keyboard.press("Escape")
    assert len(reader.shown()) == len(REQUIREMENTS)


def test_a_requirement_opens_by_its_key(reader: Reader) -> None:
    reader.page.locator(f"#{PASSED} > summary").focus()
    reader.page.keyboard.press("Enter")
    assert reader.is_open(PASSED)


def test_the_focus_is_seen(reader: Reader) -> None:
    reader.page.keyboard.press("Tab")
    style = reader.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style == "solid"


def test_everything_has_a_role_and_a_name(reader: Reader) -> None:
    page = reader.page
    for role, name in (
        ("main", None), ("heading", "cert-manager 1.21.2"), ("search", None), ("searchbox", "Search"),
        ("table", "Requirements that passed, by area and level"), ("region", "Requirements"),
    ):  # fmt: skip
        assert page.get_by_role(role, name=name).count() == 1, f"expected one {role} {name or ''}"
    reader.open_all()
    assert reader.nameless() == []
    assert page.locator("output").get_attribute("aria-live") == "polite", "what a filter shows is read out"


# -- on any screen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_runs_out_of_the_screen(visit: Any, viewport: dict[str, int]) -> None:
    reader = visit(viewport=viewport)
    reader.open_all()
    assert reader.width() <= viewport["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(visit: Any, scheme: str) -> None:
    reader = visit(color_scheme=scheme)
    reader.open_all()
    assert reader.page.evaluate(PALE, CONTRAST) == []


def test_night_is_dark(visit: Any) -> None:
    backgrounds = [
        visit(color_scheme=scheme).page.evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]
