"""The published package: the long description, and the content of the source distribution."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from types import ModuleType
from typing import Any

import pytest

from tests.support.reader import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what setup.py passes to setuptools."""
    given: dict[str, str] = {}
    setuptools = ModuleType("setuptools")
    setuptools.setup = given.update  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "setuptools", setuptools)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_links_of_the_long_description_are_absolute(metadata: dict[str, str]) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", metadata["long_description"])
    assert len(targets) > 5
    assert [target for target in targets if not target.startswith("https://")] == []


def test_links_to_the_repository_name_files_of_the_tag(metadata: dict[str, str]) -> None:
    tag = re.escape(f"{PROJECT['urls']['Source']}/")
    links = re.findall(rf"\]\({tag}(blob|raw)/v([^/]+)/([^)#]+)", metadata["long_description"])
    assert {version for _, version, _ in links} == {PROJECT["version"]}
    assert all((ROOT / path).is_file() for _, _, path in links)
    assert {path.endswith(".png") for kind, _, path in links if kind == "raw"} == {True}


def test_source_distribution_contains_every_top_level_entry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    included = {"pyproject.toml"}  # setuptools adds it
    for line in (ROOT / "MANIFEST.in").read_text().splitlines():
        command, *names = line.split()
        if command in ("graft", "include"):
            included.update(names)
    assert {path.partition("/")[0] for path in tracked.splitlines()} <= included
