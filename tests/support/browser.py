"""A browser that opens ``report.html``, and checks that apply to every such page."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.missing import not_run

#: If this variable is set, a missing browser is a failure.
REQUIRED = "TEST_BROWSER_REQUIRED"
#: The names of Chromium in Debian and other distributions, and of Google's build.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 740}
#: Controls and links, which need a name.
_NAMED = ("button", "checkbox", "heading", "link", "navigation", "region", "searchbox", "table")


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    """Start the system's Chromium, without a network; skip the test if it is missing."""
    if os.environ.get(REQUIRED):
        from playwright import sync_api
    else:
        sync_api = pytest.importorskip("playwright.sync_api", reason="no browser: playwright is not installed")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        not_run(f"no browser: none of {', '.join(PROGRAMS)} is in PATH", REQUIRED)
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not work as root.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=120_000)
        try:
            yield browser
        finally:
            browser.close()


class Reader:
    """A page that shows the report, and records errors and requests of the page."""

    def __init__(self, page: Any, file: Path, fragment: str = "") -> None:
        self.page = page
        self.fetched: list[str] = []
        self.said: list[str] = []
        page.on("request", lambda request: self.fetched.append(request.url))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.goto(file.as_uri() + fragment)

    def shown(self) -> list[str]:
        """Return the ids of the visible requirements."""
        return [str(identifier) for identifier in self.page.eval_on_selector_all(
            ".requirement", "all => all.filter(one => one.checkVisibility()).map(one => one.id)"
        )]  # fmt: skip

    def is_open(self, identifier: str) -> bool:
        return bool(self.page.eval_on_selector(f"#{identifier}", "one => one.open"))

    def open_all(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

    def focus(self) -> str:
        """Return the text, or the id, of the element with the focus."""
        return str(self.page.evaluate("document.activeElement.id || document.activeElement.innerText"))

    def press(self, key: str, until: str, limit: int = 50) -> None:
        """Press a key until the element with the focus matches a selector."""
        for _ in range(limit):
            self.page.keyboard.press(key)
            if self.page.evaluate("selector => document.activeElement.matches(selector)", until):
                return
        raise AssertionError(f"expected the focus on {until} after {limit} times {key}, saw it on {self.focus()!r}")

    def search(self, text: str) -> None:
        self.page.get_by_role("searchbox", name="Search").fill(text)

    def refuse(self, permission: str) -> None:
        """Make the browser deny a permission to the page, as its user can."""
        session = self.page.context.new_cdp_session(self.page)
        context = session.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]
        setting = {"permission": {"name": permission}, "setting": "denied", "browserContextId": context}
        session.send("Browser.setPermission", setting)

    def width(self) -> int:
        """Return the width of the page in CSS pixels."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def nameless(self) -> list[str]:
        """Return the elements without a name, for which assistive technology would read only the role."""
        lines = self.page.locator("body").aria_snapshot().splitlines()
        return [line for line in lines if re.fullmatch(rf" *- ({'|'.join(_NAMED)})( \[[^\]]*\])*:?", line)]
