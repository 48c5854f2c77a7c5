"""Pinned downloads from a local server with TLS and the publishers' layouts. It serves small scripts."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError, ToolchainError
from pytest_vault_issuer.toolchain import COMPONENTS, Component, Toolchain
from pytest_vault_issuer.toolchain.downloads import Archive, Member, read, shipped, this_platform
from pytest_vault_issuer.toolchain.sources import SOURCES
from tests.support.publisher import Proxy, Publisher, serving, sha256, tar, zipped
from tests.support.small_disk import can_be_mounted, mounted

PROGRAM = b"#!/bin/sh\necho hello\n"
URL = "https://releases.publisher.test/up/1.2.3/up.tar.gz"
IMAGE = "registry.publisher.test/team/up"
INSIDE = "up/bin/tiny"
#: Downloads in another process. Arguments: cache, URL, digest.
SCRIPT = """
import pathlib, sys
from pytest_vault_issuer.toolchain import Component, Toolchain
from pytest_vault_issuer.toolchain.downloads import Archive, Member, this_platform
component = Component("tiny", pathlib.Path(), {"tiny": "."}, "", released="v1.2.3")
archive = Archive("1.2.3", this_platform(), sys.argv[2], "", sys.argv[3], 0, {"tiny": Member("up/bin/tiny")})
Toolchain(pathlib.Path(sys.argv[1]), [component], archives=[archive], sources=["download"]).build()
"""


@pytest.fixture
def component() -> Component:
    return Component("tiny", Path(), {"tiny": "."}, "", released="v1.2.3")


def path_of(url: str) -> str:
    return "/" + url.removeprefix("https://")


def archive(digest: str, url: str = URL, member: str = INSIDE, **changed: object) -> Archive:
    made = Archive("1.2.3", this_platform(), url, "", digest, 0, {"tiny": Member(member)})
    return dataclasses.replace(made, **changed)  # type: ignore[arg-type]


Get = Callable[[Archive], Path]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def get(tmp_path: Path, component: Component, said: list[str]) -> Get:
    """Return a function that downloads into an empty cache, and returns the program."""

    def get(entry: Archive) -> Path:
        toolchain = Toolchain(tmp_path / "cache", [component], archives=[entry], sources=["download"])
        toolchain.build(progress=said.append)
        path = toolchain.path("tiny")
        assert path is not None
        return path

    return get


def output(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def refused(get: Get, entry: Archive, said: list[str]) -> str:
    """Return the reason that a download was rejected, and check that no component was stored."""
    with pytest.raises(ToolchainError, match=r"tiny v1\.2\.3 is not available"):
        get(entry)
    reason = next(line for line in said if "was not downloaded: " in line)
    return reason.partition("was not downloaded: ")[2]


# -- a correct file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [tar, zipped])
def test_program_comes_out_of_a_pinned_archive(
    server: Publisher, get: Get, said: list[str], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    content = pack({"up/LICENSE": b"...", INSIDE: PROGRAM})
    program = get(archive(server.publish(URL, content), size=len(content)))
    assert output(program) == "hello\n"
    assert said[0].startswith(f"downloading up.tar.gz (tiny v1.2.3) from {server.url.removeprefix('https://')}, 0.0 MB")
    assert not list(program.parents[2].glob("downloads/*")), "the archive is not kept"


def test_program_may_be_the_file_itself(server: Publisher, get: Get) -> None:
    assert output(get(archive(server.publish(URL, PROGRAM), member=""))) == "hello\n"


def test_sha512_pins_a_file(server: Publisher, get: Get) -> None:
    server.publish(URL, PROGRAM)
    digest = f"sha512:{hashlib.sha512(PROGRAM).hexdigest()}"
    assert output(get(archive(digest, member=""))) == "hello\n"


def test_origin_names_address_and_digest(server: Publisher, tmp_path: Path, component: Component, get: Get) -> None:
    entry = archive(server.publish(URL, PROGRAM), member="")
    get(entry)
    toolchain = Toolchain(tmp_path / "cache", [component], archives=[entry], sources=["download"])
    origin = toolchain.origin("tiny")
    assert origin is not None
    assert (origin.source, origin.version, origin.url) == ("download", "v1.2.3", URL), "the publisher, not the mirror"
    assert f"sha256:{origin.sha256}" == sha256(PROGRAM)
    assert origin.pinned
    assert [entry.source for entry in toolchain.status()] == ["download"]


def test_cached_download_is_used_again_without_network(server: Publisher, get: Get) -> None:
    entry = archive(server.publish(URL, PROGRAM), member="")
    first = get(entry)
    asked = len(server.asked)
    assert get(entry) == first
    assert len(server.asked) == asked


def test_changed_program_is_downloaded_again(server: Publisher, get: Get, said: list[str]) -> None:
    entry = archive(server.publish(URL, PROGRAM), member="")
    get(entry).write_bytes(b"#!/bin/sh\necho other\n")
    assert output(get(entry)) == "hello\n"
    assert any("downloading again: " in line and "SHA-256 differs" in line for line in said)


def test_new_digest_is_another_component(server: Publisher, get: Get) -> None:
    first = get(archive(server.publish(URL, PROGRAM), member=""))
    second = get(archive(server.publish(URL, PROGRAM + b"exit 0\n"), member=""))
    assert first.parent != second.parent


def test_redirect_is_followed(server: Publisher, get: Get) -> None:
    digest = server.publish("https://cdn.publisher.test/file", PROGRAM)
    server.moved[path_of(URL)] = f"{server.url}/cdn.publisher.test/file"
    assert output(get(archive(digest, member=""))) == "hello\n"


def test_proxy_of_the_user_is_used(server: Publisher, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(Proxy()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert output(get(archive(server.publish(URL, PROGRAM), member=""))) == "hello\n"
        assert proxy.asked == [f"127.0.0.1:{server.server_port}"]


def test_mirror_may_be_a_directory(tmp_path: Path, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "mirror" / URL.removeprefix("https://")
    place.parent.mkdir(parents=True)
    place.write_bytes(PROGRAM)
    monkeypatch.setenv("VAULT_ISSUER_MIRROR", str(tmp_path / "mirror"))
    assert output(get(archive(sha256(PROGRAM), member=""))) == "hello\n"


def test_mirror_must_be_a_url_or_a_directory(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ISSUER_MIRROR", "mirror.test")
    with pytest.raises(ConfigurationError, match="must be a URL or an absolute path"):
        get(archive(sha256(PROGRAM), member=""))


# -- interrupted ----------------------------------------------------------------------------------------------


def test_truncated_transfer_continues_where_it_ended(server: Publisher, get: Get) -> None:
    entry = archive(server.publish(URL, PROGRAM), member="", size=len(PROGRAM))
    server.cut[path_of(URL)] = [7]
    assert output(get(entry)) == "hello\n"
    assert server.asked == [(path_of(URL), ""), (path_of(URL), "bytes=7-")]


def test_part_of_an_earlier_session_is_continued(server: Publisher, get: Get, said: list[str]) -> None:
    entry = archive(server.publish(URL, PROGRAM), member="")
    server.cut[path_of(URL)] = [5, 2, 2]
    assert "ended too early" in refused(get, entry, said)
    server.asked.clear()
    assert output(get(entry)) == "hello\n"
    assert server.asked == [(path_of(URL), "bytes=9-")]


def test_file_that_was_damaged_since_its_download_is_downloaded_again(
    server: Publisher, get: Get, tmp_path: Path
) -> None:
    entry = archive(server.publish(URL, PROGRAM), member="")
    parts = tmp_path / "cache" / ".vault-issuer-downloads"
    parts.mkdir(parents=True)
    (parts / entry.digest.replace(":", "-")).write_bytes(bytes(len(PROGRAM)))
    assert output(get(entry)) == "hello\n"


def test_part_of_another_file_is_thrown_away(server: Publisher, get: Get, tmp_path: Path) -> None:
    entry = archive(server.publish(URL, PROGRAM), member="")
    parts = tmp_path / "cache" / ".vault-issuer-downloads"
    parts.mkdir(parents=True)
    (parts / f"{entry.digest.replace(':', '-')}.part").write_bytes(b"#!/bin/bash")
    assert output(get(entry)) == "hello\n"
    assert [asked for _, asked in server.asked] == ["bytes=11-", ""]


def test_two_processes_download_once(server: Publisher, tmp_path: Path) -> None:
    digest = server.publish(URL, tar({INSIDE: PROGRAM}))
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "cache"), URL, digest]
    started: list[subprocess.Popen[bytes]] = []

    def start_the_other(_: str) -> None:
        """Start the second process while the first one downloads."""
        server.on_request = lambda path: None
        started.append(subprocess.Popen(command))

    server.on_request = start_the_other
    assert subprocess.run(command, check=False).returncode == 0
    assert started[0].wait(60) == 0
    assert len(server.asked) == 1
    assert [path.name for path in (tmp_path / "cache").glob("tiny-*/bin/*")] == ["tiny"]


# -- wrong files ----------------------------------------------------------------------------------------------


def test_wrong_digest_is_refused(server: Publisher, get: Get, said: list[str], tmp_path: Path) -> None:
    server.publish(URL, b"#!/bin/sh\necho evil\n")
    reason = refused(get, archive(sha256(PROGRAM), member=""), said)
    assert f"/{URL.removeprefix('https://')} is not the pinned file: its digest is sha256:" in reason
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_wrong_digest_of_the_program_is_refused(server: Publisher, get: Get, said: list[str]) -> None:
    entry = archive(server.publish(URL, PROGRAM))
    entry = dataclasses.replace(entry, members={"tiny": Member("", "0" * 64)})
    assert "is not the pinned program" in refused(get, entry, said)


def test_file_of_another_size_is_refused_before_it_is_read(server: Publisher, get: Get, said: list[str]) -> None:
    entry = archive(server.publish(URL, PROGRAM), member="", size=len(PROGRAM) + 1)
    assert f"has {len(PROGRAM)} bytes, expected {len(PROGRAM) + 1}" in refused(get, entry, said)


def test_missing_file_is_named(server: Publisher, get: Get, said: list[str]) -> None:
    assert "answers 404 for" in refused(get, archive(sha256(PROGRAM)), said)


def test_server_that_refuses_connections_costs_one_line(
    get: Get, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ISSUER_MIRROR", "https://127.0.0.1:9")
    assert "127.0.0.1:9 refuses the connection; there is no other source" in refused(
        get, archive(sha256(PROGRAM)), said
    )


def test_redirect_to_a_server_without_tls_is_refused(server: Publisher, get: Get, said: list[str]) -> None:
    plain: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), server.RequestHandlerClass)  # without TLS
    plain.files, plain.moved, plain.asked, plain.cut, plain.token = {"/x": PROGRAM}, {}, [], {}, ""
    plain.on_request = lambda path: None
    with serving(plain):
        server.moved[path_of(URL)] = f"http://127.0.0.1:{plain.server_port}/x"
        assert "without TLS" in refused(get, archive(sha256(PROGRAM), member=""), said)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({f"../../{INSIDE}": PROGRAM}, "does not contain"),
        ({"../../../escaped": PROGRAM, "/tmp/escaped": PROGRAM}, "does not contain"),
        ({INSIDE: b"->/bin/sh"}, "is not a regular file"),
        ({}, "does not contain"),
    ],
)
def test_archive_writes_nothing_outside_of_its_directory(
    server: Publisher, get: Get, said: list[str], tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    before = set(tmp_path.rglob("*"))
    assert reason in refused(get, archive(server.publish(URL, tar(files))), said)
    made = {path.relative_to(tmp_path).parts[0] for path in set(tmp_path.rglob("*")) - before}
    assert made == {"cache"}
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("path", ["../tiny", "/bin/tiny", "a/../../tiny"])
def test_member_outside_of_the_archive_is_refused_in_the_list(tmp_path: Path, path: str) -> None:
    text = f'[[archive]]\nversion = "1"\nplatform = "p"\nurl = "https://x.test/"\nmembers.tiny.path = "{path}"\n'
    (tmp_path / "list.toml").write_text(text)
    with pytest.raises(ToolchainError, match="is not a path in an archive"):
        read(tmp_path / "list.toml")


@pytest.mark.parametrize("pack", [tar, zipped])
def test_program_of_unlimited_size_is_refused(
    server: Publisher,
    get: Get,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    pack: Callable[[dict[str, bytes]], bytes],
) -> None:
    monkeypatch.setattr("pytest_vault_issuer.toolchain.archives.LARGEST", 1000)
    assert "has more than 1000 bytes" in refused(get, archive(server.publish(URL, pack({INSIDE: bytes(5000)}))), said)


def test_damaged_archive_is_refused(server: Publisher, get: Get, said: list[str]) -> None:
    content = tar({INSIDE: bytes(range(256)) * 4096})
    assert "is not a complete archive" in refused(get, archive(server.publish(URL, content[:2000])), said)


@pytest.mark.skipif(not can_be_mounted(), reason="mounts a small disk: Linux, root")
@pytest.mark.parametrize("size", [1 << 20, 60_000], ids=["the archive", "the program in it"])
def test_full_disk_is_an_error_and_no_reason_to_build(server: Publisher, component: Component, size: int) -> None:
    content = tar({INSIDE: b"x" * 200_000 if size == 60_000 else hashlib.shake_256(b"").digest(size)})
    entry = archive(server.publish(URL, content))
    with mounted("128k") as disk:
        toolchain = Toolchain(disk / "cache", [component], archives=[entry], sources=["download"])
        with pytest.raises(ToolchainError, match=r"free disk|disk is full") as caught:
            toolchain.build(progress=lambda line: None)
        assert "VAULT_ISSUER_CACHE" in caught.value.hint
        assert toolchain.path("tiny") is None


# -- which source ---------------------------------------------------------------------------------------------


def test_unpinned_download_is_never_asked_for(server: Publisher, get: Get) -> None:
    server.publish(URL, PROGRAM)
    with pytest.raises(ToolchainError, match=f"its download is not pinned for {this_platform()}"):
        get(archive("", member=""))
    assert server.asked == []


def test_failed_download_is_followed_by_the_build(server: Publisher, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "go.mod").write_text("module m\n\ngo 1.26.0\n\nrequire example.test/up v1.2.3\n")
    component = Component("tiny", tmp_path, {"tiny": "."}, "example.test/up")
    toolchain = Toolchain(tmp_path / "cache", [component], archives=[archive(sha256(PROGRAM))], sources=SOURCES)
    with pytest.raises(ToolchainError, match="VAULT_ISSUER_GO=/no/go"):  # unit tests build nothing
        toolchain.build(progress=said.append)
    assert any("tiny v1.2.3 was not downloaded: " in line and line.endswith("the build is next") for line in said)


def test_exact_version_is_not_replaced_by_another_patch(server: Publisher, tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module m\n\ngo 1.26.0\n\nrequire example.test/up v1.2.4\n")
    component = Component("tiny", tmp_path, {"tiny": "."}, "example.test/up")
    entry = archive(server.publish(URL, PROGRAM), member="")

    def built(version: str) -> str:
        toolchain = Toolchain(
            tmp_path / "cache", [component], {"tiny": version}, archives=[entry], sources=["download"]
        )
        toolchain.build(progress=lambda line: None)
        return toolchain.status()[0].version

    with pytest.raises(ToolchainError, match=r"tiny v1\.2\.4 is not available"):
        built("1.2.4")
    assert built("1.2") == "v1.2.3"


def test_unknown_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ISSUER_SOURCES", "build, mirror")
    with pytest.raises(ConfigurationError, match="there is no source mirror") as caught:
        Toolchain()
    assert caught.value.hint == "one or more of: wheel,download,build"


def test_sources_may_exclude_everything_but_the_cache(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="downloads are not allowed, and it cannot be built"):
        Toolchain(tmp_path, sources=["build"]).build(["vault@2.0"])


# -- images ---------------------------------------------------------------------------------------------------


def image(digest: str) -> Archive:
    return archive(digest, url="", image=IMAGE)


@pytest.fixture
def platform() -> dict[str, str]:
    system, _, architecture = this_platform().partition("-")
    return {"os": system, "architecture": architecture}


@pytest.mark.parametrize("token", ["", "anonymous"])
def test_program_comes_out_of_an_image(
    server: Publisher, get: Get, platform: dict[str, str], token: str, tmp_path: Path
) -> None:
    server.token = token
    layers = [{"etc/os": b"base"}, {INSIDE: PROGRAM}, {"etc/later": b"..."}]
    digest = server.push(IMAGE, "v1.2.3", layers, platform)
    assert output(get(image(digest))) == "hello\n"
    read = [path for path, _ in server.asked if "/blobs/" in path]
    assert len(read) == 2, "the uppermost layers, until one has the program"


def test_endless_token_is_refused(server: Publisher, get: Get, said: list[str], platform: dict[str, str]) -> None:
    server.token = "a" * (1 << 20)
    digest = server.push(IMAGE, "v1.2.3", [{INSIDE: PROGRAM}], platform)
    assert "has more than 1048576 bytes" in refused(get, image(digest), said)


def test_manifest_with_a_wrong_digest_is_refused(
    server: Publisher, get: Get, said: list[str], platform: dict[str, str]
) -> None:
    digest = server.push(IMAGE, "v1.2.3", [{INSIDE: PROGRAM}], platform)
    server.files[f"/registry.publisher.test/v2/team/up/manifests/{digest}"] += b" "
    assert "is not the pinned image" in refused(get, image(digest), said)


def test_layer_with_a_wrong_digest_is_refused(
    server: Publisher, get: Get, said: list[str], platform: dict[str, str]
) -> None:
    digest = server.push(IMAGE, "v1.2.3", [{INSIDE: PROGRAM}], platform)
    blob = next(path for path in server.files if "/blobs/" in path)
    server.files[blob] = bytes(len(server.files[blob]))
    assert "is not the pinned file" in refused(get, image(digest), said)


@pytest.mark.parametrize("mark", ["up/bin/.wh.tiny", "up/.wh.bin", "up/bin/.wh..wh..opq"])
def test_program_that_a_later_layer_removes_is_not_found(
    server: Publisher, get: Get, said: list[str], platform: dict[str, str], mark: str
) -> None:
    digest = server.push(IMAGE, "v1.2.3", [{INSIDE: PROGRAM}, {mark: b""}], platform)
    assert "does not contain" in refused(get, image(digest), said)


# -- the list that is shipped ---------------------------------------------------------------------------------


def test_shipped_downloads_belong_to_components() -> None:
    binaries = {(binary, component.line) for component in COMPONENTS for binary in component.packages}
    for entry in shipped():
        for binary in entry.members:
            assert (binary, entry.line) in binaries, entry.address


def test_shipped_downloads_are_listed_once() -> None:
    listed = [(binary, entry.version, entry.platform) for entry in shipped() for binary in entry.members]
    assert len(listed) == len(set(listed))
