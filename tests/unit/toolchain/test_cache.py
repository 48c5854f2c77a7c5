"""What `vault-issuer toolchain clean` removes from the cache directory, and what it keeps."""

from __future__ import annotations

from pathlib import Path

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


def test_the_cache_of_another_build_replaces_that_of_its_older_version(tmp_path: Path) -> None:
    toolchain = Toolchain(tmp_path)
    old = toolchain.directory("external-issuer", "1")
    kept = toolchain.directory("other", "1")
    new = toolchain.directory("external-issuer", "2")
    assert toolchain.directory("external-issuer", "2") == new
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {kept, new}
    assert not old.exists()
