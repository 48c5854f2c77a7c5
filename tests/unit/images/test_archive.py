"""Archives of images: docker and containerd can read them, and the same content gives the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from images.archive import Entry, Image, write


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF")
    return path


def read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as opened:
        member = opened.extractfile(name)
        assert member is not None
        return member.read()


def blob(archive: Path, digest: str) -> bytes:
    content = read(archive, f"blobs/{digest.replace(':', '/')}")
    assert hashlib.sha256(content).hexdigest() == digest.removeprefix("sha256:")
    return content


def layer(archive: Path) -> tarfile.TarFile:
    (listed,) = json.loads(read(archive, "manifest.json"))
    return tarfile.open(fileobj=io.BytesIO(gzip.decompress(read(archive, listed["Layers"][0]))))


def test_docker_and_oci_name_the_same_image(tmp_path: Path, program: Path) -> None:
    archive = tmp_path / "image.tar"
    write(archive, [Image("example/thing:1", (Entry("/bin/thing", program),), {"User": "1"})], "x86_64")
    (listed,) = json.loads(read(archive, "manifest.json"))
    (described,) = json.loads(read(archive, "index.json"))["manifests"]
    assert listed["RepoTags"] == ["example/thing:1"]
    assert described["annotations"]["io.containerd.image.name"] == "example/thing:1"
    manifest = json.loads(blob(archive, described["digest"]))
    assert listed["Config"].endswith(manifest["config"]["digest"].removeprefix("sha256:"))
    assert listed["Layers"][0].endswith(manifest["layers"][0]["digest"].removeprefix("sha256:"))


def test_digest_of_a_layer_is_that_of_its_uncompressed_content(tmp_path: Path, program: Path) -> None:
    archive = tmp_path / "image.tar"
    write(archive, [Image("example/thing:1", (Entry("/bin/thing", program),))], "x86_64")
    (listed,) = json.loads(read(archive, "manifest.json"))
    config: dict[str, Any] = json.loads(read(archive, listed["Config"]))
    unpacked = gzip.decompress(read(archive, listed["Layers"][0]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"]
    assert (config["architecture"], config["os"]) == ("amd64", "linux")


def test_the_same_content_makes_the_same_bytes_at_another_time(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image("example/thing:1", (Entry("/bin/thing", program),))
    write(tmp_path / "first.tar", [image], "x86_64")
    os.utime(program, (0, 0))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    write(tmp_path / "second.tar", [image], "x86_64")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()


def test_images_share_common_layers(tmp_path: Path, program: Path) -> None:
    archive = tmp_path / "images.tar"
    write(archive, [Image(f"example/thing:{tag}", (Entry("/bin/thing", program),)) for tag in (1, 2)], "x86_64")
    with tarfile.open(archive) as opened:
        names = [name for name in opened.getnames() if name.startswith("blobs/")]
    assert len(names) == len(set(names)) == 3  # a layer, a configuration, a manifest: all are equal
    assert len(json.loads(read(archive, "index.json"))["manifests"]) == 2


def test_entries_come_with_the_directories_above_them(tmp_path: Path, program: Path) -> None:
    archive = tmp_path / "image.tar"
    entries = (Entry("/a/b/thing", program, mode=0o700), Entry("/tmp", mode=0o1777), Entry("/lib", link="usr/lib"))
    write(archive, [Image("example/thing:1", entries)], "x86_64")
    with layer(archive) as opened:
        found = {member.name: member for member in opened}
    assert list(found) == ["a", "a/b", "a/b/thing", "lib", "tmp"]
    assert found["a/b"].isdir()
    assert found["a/b/thing"].mode == 0o700
    assert found["tmp"].mode == 0o1777
    assert found["lib"].linkname == "usr/lib"


def test_a_directory_keeps_its_links_and_modes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/secret").write_text("x")
    (root / "etc/secret").chmod(0o640)
    (root / "etc/same").hardlink_to(root / "etc/secret")
    (root / "bin").symlink_to("usr/bin")
    archive = tmp_path / "image.tar"
    write(archive, [Image("example/root:1", root)], "aarch64")
    with layer(archive) as opened:
        found = {member.name: member for member in opened}
    assert found["bin"].linkname == "usr/bin"
    assert found["etc/same"].islnk() or found["etc/secret"].islnk()
    assert found["etc/secret"].mode == 0o640
    assert {member.mtime for member in found.values()} == {0}


def test_unknown_architecture_of_this_machine_is_reported(tmp_path: Path, program: Path) -> None:
    with pytest.raises(KeyError, match="riscv64"):
        write(tmp_path / "image.tar", [Image("example/thing:1", (Entry("/bin/thing", program),))], "riscv64")
