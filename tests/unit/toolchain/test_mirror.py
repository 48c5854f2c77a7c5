"""`vault-issuer toolchain mirror`: what it downloads, checks and continues. A local server replaces the publishers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vault_issuer.cli import toolchain as command
from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.toolchain import Component, Toolchain
from pytest_vault_issuer.toolchain.downloads import Archive, Member, this_platform
from pytest_vault_issuer.toolchain.mirror import fill, place, select
from tests.support.publisher import Publisher, sha256, tar

PROGRAM = b"#!/bin/sh\necho hello\n"
URL = "https://releases.publisher.test/up/1.2.3/up.tar.gz"
IMAGE = "registry.publisher.test/team/up"
INSIDE = "up/bin/tiny"


def archive(digest: str, *, url: str = URL, image: str = "", platform: str = "", size: int = 0) -> Archive:
    return Archive(
        "1.2.3", platform or this_platform(), "" if image else url, image, digest, size, {"tiny": Member(INSIDE)}
    )


def path_of(url: str) -> str:
    return "/" + url.removeprefix("https://")


def quiet(line: str) -> None:
    """Print nothing."""


def test_toolchain_uses_the_mirror_without_the_publisher(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [archive(server.publish(URL, tar({INSIDE: PROGRAM})))]
    filled = fill(tmp_path / "mirror", listed, quiet)
    assert (filled.files, filled.unpinned, filled.failed) == (1, [], {})
    asked = len(server.asked)
    monkeypatch.setenv("VAULT_ISSUER_MIRROR", str(tmp_path / "mirror"))
    component = Component("tiny", Path(), {"tiny": "."}, "", released="v1.2.3")
    toolchain = Toolchain(tmp_path / "cache", [component], archives=listed, sources=["download"])
    toolchain.build(progress=quiet)
    path = toolchain.path("tiny")
    assert path is not None
    assert path.read_bytes() == PROGRAM
    assert len(server.asked) == asked


@pytest.mark.parametrize("token", ["", "anonymous"])
def test_image_is_mirrored_with_all_layers(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    server.token = token
    digest = server.push(IMAGE, "v1.2.3", [{"etc/os": b"base"}, {INSIDE: PROGRAM}], {"os": "linux"})
    listed = [archive(digest, image=IMAGE)]
    assert fill(tmp_path / "mirror", listed, quiet).files == 3
    monkeypatch.setenv("VAULT_ISSUER_MIRROR", str(tmp_path / "mirror"))
    component = Component("tiny", Path(), {"tiny": "."}, "", released="v1.2.3")
    toolchain = Toolchain(tmp_path / "cache", [component], archives=listed, sources=["download"])
    toolchain.build(progress=quiet)
    assert toolchain.source("tiny") == "download"


def test_second_call_downloads_nothing(server: Publisher, tmp_path: Path) -> None:
    listed = [archive(server.publish(URL, PROGRAM))]
    fill(tmp_path / "mirror", listed, quiet)
    asked = len(server.asked)
    assert fill(tmp_path / "mirror", listed, quiet).files == 1
    assert len(server.asked) == asked


def test_interrupted_call_is_continued(server: Publisher, tmp_path: Path) -> None:
    listed = [archive(server.publish(URL, PROGRAM))]
    server.cut[path_of(URL)] = [5, 2, 2]
    assert "ended too early" in fill(tmp_path / "mirror", listed, quiet).failed[URL]
    server.asked.clear()
    assert fill(tmp_path / "mirror", listed, quiet).failed == {}
    assert server.asked == [(path_of(URL), "bytes=9-")]
    assert place(tmp_path / "mirror", URL).read_bytes() == PROGRAM
    assert not (tmp_path / "mirror" / ".parts").exists()


def test_damaged_file_in_the_mirror_is_replaced(server: Publisher, tmp_path: Path) -> None:
    listed = [archive(server.publish(URL, PROGRAM))]
    fill(tmp_path / "mirror", listed, quiet)
    place(tmp_path / "mirror", URL).write_bytes(b"other")
    fill(tmp_path / "mirror", listed, quiet)
    assert place(tmp_path / "mirror", URL).read_bytes() == PROGRAM


def test_wrong_file_of_a_publisher_is_not_mirrored_and_the_others_are(server: Publisher, tmp_path: Path) -> None:
    server.publish(URL, b"evil")
    other = "https://releases.publisher.test/other"
    listed = [archive(sha256(PROGRAM)), archive(server.publish(other, PROGRAM), url=other)]
    filled = fill(tmp_path / "mirror", listed, quiet)
    assert "is not the pinned file" in filled.failed[URL]
    assert filled.files == 1
    assert not place(tmp_path / "mirror", URL).exists()


def test_unpinned_download_is_never_asked_for(server: Publisher, tmp_path: Path) -> None:
    server.publish(URL, PROGRAM)
    assert fill(tmp_path / "mirror", [archive("")], quiet).unpinned == [URL]
    assert server.asked == []


def test_platforms_and_components_select_downloads() -> None:
    listed = [archive("", platform=platform) for platform in ("linux-amd64", "linux-arm64")]
    assert select(listed, ["linux-arm64"], []) == listed[1:]
    assert select(listed, ["linux-amd64", "linux-arm64"], ["tiny@1.2"]) == listed
    assert select(listed, ["linux-amd64"], ["tiny@v1.2.3"]) == listed[:1]


@pytest.mark.parametrize("name", ["tiny@1.3", "huge"])
def test_component_without_a_download_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"there is no download of {name}") as caught:
        select([archive("", platform="linux-amd64")], ["linux-amd64"], [name])
    assert caught.value.hint == "one of: tiny"


def test_unknown_platform_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="there are no downloads for plan9-amd64"):
        select([], ["plan9-amd64"], [])


def test_command_reports_skipped_and_failed_downloads(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = (archive(sha256(PROGRAM)), archive("", url=f"{URL}.2"))
    monkeypatch.setattr(command, "shipped", lambda: listed)
    assert main(["toolchain", "mirror", str(tmp_path / "mirror"), "--format", "json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["unpinned"] == [f"{URL}.2"]
    assert "answers 404" in printed["failed"][URL]
    server.publish(URL, PROGRAM)
    assert main(["toolchain", "mirror", str(tmp_path / "mirror")]) == 0
    assert f"1 files for {this_platform()} in {tmp_path / 'mirror'}" in capsys.readouterr().out
