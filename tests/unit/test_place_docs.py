"""The documentation site keeps every version."""

from __future__ import annotations

import re
from pathlib import Path

import place_docs
import pytest


@pytest.fixture
def html(tmp_path: Path) -> Path:
    built = tmp_path / "html"
    (built / ".doctrees").mkdir(parents=True)
    (built / "index.html").write_text("first")
    return built


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site" / ".git").mkdir(parents=True)
    return tmp_path / "site"


def listed(site: Path) -> list[str]:
    return re.findall(r'<li><a href="(.+?)/">', (site / "versions.html").read_text())


def target(site: Path) -> str:
    (found,) = re.findall(r"0; url=(.+?)/", (site / "index.html").read_text())
    return str(found)


def test_site_leads_to_the_newest_release(site: Path, html: Path) -> None:
    place_docs.place(site, html, "main")
    assert (listed(site), target(site)) == (["main"], "main")
    for version in ("0.9.0", "0.10.0", "0.11.0rc1"):
        place_docs.place(site, html, version)
    assert listed(site) == ["0.10.0", "0.9.0", "0.11.0rc1", "main"]
    assert target(site) == "0.10.0"
    assert (site / ".nojekyll").exists()


def test_version_is_replaced_and_others_are_kept(site: Path, html: Path) -> None:
    for version in ("1.0.0", "main"):
        place_docs.place(site, html, version)
    (site / "main" / "old.html").write_text("")
    (html / "index.html").write_text("second")
    place_docs.place(site, html, "main")
    assert (site / "main" / "index.html").read_text() == "second"
    assert not (site / "main" / "old.html").exists()
    assert (site / "1.0.0" / "index.html").read_text() == "first"
    assert not (site / "1.0.0" / ".doctrees").exists()


@pytest.mark.parametrize("version", ["..", "latest", "feature/x", "1.0.dev1", ""])
def test_other_names_are_refused(site: Path, html: Path, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert place_docs.main([str(site), str(html), version]) == 1
    assert "is not a release such as 1.2.0" in capsys.readouterr().err
    assert sorted(path.name for path in site.iterdir()) == [".git"]
