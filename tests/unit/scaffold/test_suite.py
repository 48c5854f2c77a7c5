"""What a CI job installs depends on the source of the installed package."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.scaffold import suite
from pytest_vault_issuer.version import __version__

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GIT: dict[str, Any] = {"url": "https://example.com/suite.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}
NAME = "pytest-vault-issuer[xdist,go,aws]"
WHEEL = "./pytest_vault_issuer-$SUITE-py3-none-any.whl[xdist,go,aws]"


def of(record: dict[str, Any]) -> suite.Suite:
    return suite.from_record(json.dumps(record))


class Installed:
    def __init__(self, record: str | None) -> None:
        self.record = record

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.record


def test_copy_from_an_index_is_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "distribution", lambda _: Installed(None))
    found = suite.installed()
    assert found == suite.release()
    assert (found.revision, found.requirement) == (__version__, f"{NAME}==$SUITE")
    assert found.preparation(Path()) == ""


def test_installed_copy_matches_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "distribution", lambda _: Installed(json.dumps(GIT)))
    assert suite.installed() == of(GIT)


def test_source_tree_that_was_never_installed_needs_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(suite, "distribution", missing)
    found = suite.installed()
    assert found.requirement == WHEEL
    assert found.preparation(Path("here")) == "pip wheel --no-deps --wheel-dir here PATH-OF-A-CLONE"


def test_copy_from_a_commit_is_that_commit() -> None:
    found = of(GIT)
    assert (found.revision, found.requirement) == (COMMIT, f"{NAME} @ git+https://example.com/suite.git@$SUITE")
    assert found.preparation(Path()) == ""


@pytest.mark.parametrize(
    ("hashes", "pin"), [({"sha256": "a" * 64}, f"#sha256={'a' * 64}"), ({}, ""), ({"sha256": '"; true'}, "")]
)
def test_copy_from_a_url_is_that_file(hashes: dict[str, str], pin: str) -> None:
    found = of({"url": "https://example.com/suite.whl", "archive_info": {"hashes": hashes}})
    assert found.requirement == f"{NAME} @ https://example.com/suite.whl{pin}"


@pytest.mark.parametrize(
    ("record", "source"),
    [
        ({"url": "file:///clone", "dir_info": {"editable": True}}, "/clone"),
        ({"url": "file:///dist/a%20b.whl", "archive_info": {}}, "'/dist/a b.whl'"),
        ({"url": "file:///a%7Bb%7D", "dir_info": {}}, "'/a{b}'"),
        (GIT | {"url": "file:///clone"}, "/clone"),
        (GIT | {"url": "ssh://git@example.com/suite.git"}, "PATH-OF-A-CLONE"),
        (GIT | {"url": "https://example.com/$(id).git"}, "PATH-OF-A-CLONE"),
        (GIT | {"subdirectory": "python"}, "PATH-OF-A-CLONE"),
        (GIT | {"vcs_info": {"vcs": "git", "commit_id": "main"}}, "PATH-OF-A-CLONE"),
        ({"url": "http://example.com/suite.whl", "archive_info": {}}, "PATH-OF-A-CLONE"),
    ],
)
def test_source_that_a_job_cannot_reach_needs_a_wheel(record: dict[str, Any], source: str) -> None:
    found = of(record)
    assert found.requirement == WHEEL
    assert found.preparation(Path("a b")) == f"pip wheel --no-deps --wheel-dir 'a b' {source}"
