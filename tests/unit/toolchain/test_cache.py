"""What `vault-issuer toolchain clean` removes from the cache directory, and what it keeps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_vault_issuer.toolchain import Toolchain


def test_clean_removes_the_caches_of_other_builds_and_keeps_files_of_the_user(tmp_path: Path) -> None:
    toolchain = Toolchain(tmp_path)
    cache = toolchain.directory("external-issuer", "1")
    (cache / "module").write_text("1234")
    (tmp_path / "external-issuer-notes").mkdir()
    assert toolchain.clean(old=True) == 0
    assert cache.is_dir(), "the present version uses it"
    assert toolchain.clean() == 4
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"external-issuer-notes"}


@pytest.mark.parametrize("name", ["downloads", "my-web-app", "my-web-app-1.0-beta"])
def test_clean_keeps_directories_of_the_user(tmp_path: Path, name: str) -> None:
    """Web applications and browser extensions have a manifest.json, too."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "manifest.json").write_text('{"name": "mine"}')
    assert Toolchain(tmp_path).clean() == 0
    assert (tmp_path / name / "manifest.json").exists()


def test_caches_of_another_version_are_removed_a_day_after_their_last_use(tmp_path: Path) -> None:
    toolchain = Toolchain(tmp_path)
    old, used = (toolchain.directory("external-issuer", version) for version in ("1", "2"))
    other = toolchain.directory("other", "1")
    os.utime(old / ".vault-issuer-cache", times=(0, 0))
    new = toolchain.directory("external-issuer", "3")
    assert toolchain.directory("external-issuer", "3") == new
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {used, other, new}
