"""Builds of tiny real modules: what they keep and remove, and how two concurrent builds interact."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ConfigurationError, ToolchainError
from pytest_vault_issuer.timeouts import poll
from pytest_vault_issuer.toolchain import CRDS, Component, Toolchain, digests
from pytest_vault_issuer.toolchain import cache as toolchain_cache
from pytest_vault_issuer.toolchain.provenance import unpinned
from tests.support.processes import processes_of
from tests.unit.conftest import LIMIT

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="no Go on the PATH")

#: Seconds after which a build of a tiny module has failed; enough for a cold standard library on a busy machine.
PATIENCE = 300
HELLO = 'package main\n\nfunc main() { println("hello") }\n'
#: Takes long with an empty cache, so that a test can interrupt it.
LONG = 'package main\n\nimport "net/http"\n\nfunc main() { _ = http.ListenAndServe("", nil) }\n'
#: Builds in another process. Arguments: the cache, the module.
SCRIPT = """
import pathlib, sys
from pytest_vault_issuer.toolchain import Component, Toolchain
component = Component("tiny", pathlib.Path(sys.argv[2]), {"tiny": "."}, "example.test/up")
Toolchain(pathlib.Path(sys.argv[1]), [component]).build(keep_go_caches=True)
"""


def module(directory: Path, source: str = HELLO, more: str = "") -> Component:
    directory.mkdir()
    (directory / "go.mod").write_text(f"module m\n\ngo 1.26.0\n\nrequire example.test/up v1.2.3\n{more}")
    (directory / "main.go").write_text(source)
    return Component("tiny", directory, {"tiny": "."}, "example.test/up")


@pytest.fixture(autouse=True)
def _real_go(_own_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the real Go, because these tests build."""
    monkeypatch.delenv("VAULT_ISSUER_GO", raising=False)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with Go's caches, so that the tests do not compile the runtime repeatedly."""
    base = tmp_path_factory.mktemp("compiled")
    Toolchain(base / "cache", [module(base / "module")]).build(keep_go_caches=True, progress=lambda line: None)
    return base / "cache" / "go-caches"


@pytest.fixture
def cache(compiled: Path, tmp_path: Path) -> Path:
    shutil.copytree(compiled, tmp_path / "cache" / "go-caches")
    return tmp_path / "cache"


@pytest.fixture
def component(tmp_path: Path) -> Component:
    return module(tmp_path / "module")


def start(cache: Path, component: Component) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(cache), str(component.directory)],
        stderr=subprocess.PIPE,
        text=True,
    )


def start_after(first: subprocess.Popen[str], cache: Path, component: Component) -> subprocess.Popen[str]:
    """Start a build when another one is compiling."""
    await_line(first, "compiling")
    return start(cache, component)


def await_line(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    pytest.fail(f"the build ended without saying {word!r}")


def drafts(cache: Path) -> list[str]:
    return [path.name for path in cache.glob(".building-*")]


def test_built_program_runs_and_nothing_else_remains(cache: Path, component: Component) -> None:
    toolchain = Toolchain(cache, [component])
    assert toolchain.path("tiny") is None
    assert toolchain.missing(["tiny"]) == ["tiny"]
    toolchain.build(progress=lambda line: None)
    binary = toolchain.path("tiny")
    assert binary is not None
    assert subprocess.run([binary], capture_output=True, text=True, check=True).stderr == "hello\n"
    assert toolchain.missing(["tiny"]) == []
    assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == [binary.parent.parent.name]


def test_versions_are_built_beside_each_other_and_only_when_asked_for(cache: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "main.go").write_text(HELLO.replace('"hello"', "word"))
    versions = []
    for number in (3, 2):
        directory = tmp_path / f"1.{number}"
        directory.mkdir()
        (directory / "go.mod").write_text(f"module m\n\ngo 1.26.0\n\nrequire example.test/up v1.{number}.0\n")
        (directory / "word.go").write_text(f'package main\n\nconst word = "{number}"\n')
        versions.append(Component("tiny", directory, {"tiny": "."}, "example.test/up", shared))
    newest, old = Toolchain(cache, versions), Toolchain(cache, versions, {"tiny": "1.2"})
    newest.build(keep_go_caches=True, progress=lambda line: None)
    assert [entry.built for entry in newest.status()] == [True, False]
    assert [entry.chosen for entry in old.status()] == [False, True]
    assert old.missing(["tiny"]) == ["tiny"]
    newest.build(["tiny@1.2"], progress=lambda line: None)
    said = []
    for toolchain in (newest, old):
        binary = toolchain.path("tiny")
        assert binary is not None
        said.append(subprocess.run([binary], capture_output=True, text=True, check=True).stderr)
    assert said == ["3\n", "2\n"]
    assert newest.clean(old=True) == 0, "both are of this version of ours"
    with pytest.raises(ConfigurationError, match=r"there is no tiny 1\.1"):
        newest.build(["tiny@1.1"])


def test_status_lists_built_components(cache: Path, component: Component) -> None:
    toolchain = Toolchain(cache, [component])
    (before,) = toolchain.status()
    toolchain.build(progress=lambda line: None)
    (after,) = toolchain.status()
    assert (before.built, before.bytes) == (False, 0)
    assert (after.built, after.version, after.binaries) == (True, "v1.2.3", ("tiny",))
    assert after.bytes > 100_000


def test_go_caches_are_kept_with_the_option(cache: Path, component: Component) -> None:
    Toolchain(cache, [component]).build(keep_go_caches=True, progress=lambda line: None)
    assert (cache / "go-caches" / "build").is_dir()


def test_disk_and_time_are_printed_before_a_build(cache: Path, component: Component) -> None:
    lines: list[str] = []
    Toolchain(cache, [component]).build(progress=lines.append)
    assert "tiny v1.2.3" in lines[0]
    assert "min" in lines[0]
    assert "of disk during the build" in lines[0]


def test_warm_cache_is_checked_without_any_process(
    cache: Path, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    Toolchain(cache, [component]).build(progress=lambda line: None)
    monkeypatch.setenv("VAULT_ISSUER_GO", "/no/go")
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: pytest.fail(f"{args} was started"))
    Toolchain(cache, [component]).build(progress=lambda line: pytest.fail(line))


def test_a_changed_module_is_built_beside_the_old_one(cache: Path, component: Component) -> None:
    Toolchain(cache, [component]).build(keep_go_caches=True, progress=lambda line: None)
    old = Toolchain(cache, [component]).path("tiny")
    (component.directory / "main.go").write_text(HELLO.replace("hello", "changed"))
    toolchain = Toolchain(cache, [component])
    assert toolchain.path("tiny") is None
    toolchain.build(progress=lambda line: None)
    new = toolchain.path("tiny")
    assert old is not None
    assert new is not None
    assert old.is_file()
    assert subprocess.run([new], capture_output=True, text=True, check=True).stderr == "changed\n"
    assert toolchain.clean(old=True) > 0
    assert not old.exists()
    assert new.is_file()


def test_clean_leaves_no_directory(cache: Path, component: Component) -> None:
    toolchain = Toolchain(cache, [component])
    toolchain.build(keep_go_caches=True, progress=lambda line: None)
    assert toolchain.clean() > 1_000_000
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    assert toolchain.path("tiny") is None


def test_second_of_two_builds_waits_and_finds_the_result(cache: Path, component: Component) -> None:
    both = [start(cache, component), start(cache, component)]
    said = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("building tiny" in output for output in said) == 1
    binary = Toolchain(cache, [component]).path("tiny")
    assert binary is not None
    assert drafts(cache) == []


def test_build_that_waits_for_another_says_so_and_runs_no_go(
    cache: Path, component: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The go command of the first build waits until the second build has reported that it waits."""
    log, gate, go = tmp_path / "log", tmp_path / "gate", tmp_path / "go"
    os.mkfifo(gate)
    hold = f'[ "$1" = build ] && cat "{gate}"'
    go.write_text(f'#!/bin/sh\necho "$PPID $1" >> "{log}"\n{hold}\nexec "{shutil.which("go")}" "$@"\n')
    go.chmod(0o755)
    monkeypatch.setenv("VAULT_ISSUER_GO", str(go))
    with start(cache, component) as first, start_after(first, cache, component) as second:
        try:
            await_line(second, "another build is under way")
            gate.write_text("go on\n")
            first.communicate(timeout=PATIENCE)
            second.communicate(timeout=PATIENCE)
        finally:
            first.kill()
            second.kill()
    assert (first.returncode, second.returncode) == (0, 0)
    assert {int(line.split()[0]) for line in log.read_text().splitlines()} == {first.pid}
    assert Toolchain(cache, [component]).path("tiny") is not None


def test_failed_build_is_reported_and_the_next_one_replaces_it(cache: Path, component: Component) -> None:
    (component.directory / "main.go").write_text(HELLO.replace("println", "nonsense"))
    with pytest.raises(ToolchainError, match="undefined: nonsense") as caught:
        Toolchain(cache, [component]).build(progress=lambda line: None)
    assert caught.value.hint
    assert (cache / "go-caches" / "build").is_dir(), "Go's caches are kept after a failure"
    assert Toolchain(cache, [component]).path("tiny") is None
    (component.directory / "main.go").write_text(HELLO)
    Toolchain(cache, [component]).build(progress=lambda line: None)
    assert Toolchain(cache, [component]).path("tiny") is not None
    assert drafts(cache) == []
    assert not (cache / "go-caches").exists(), "and cleared after success"


def test_a_killed_build_leaves_a_draft_that_the_next_one_removes(cache: Path, tmp_path: Path) -> None:
    component = module(tmp_path / "module", LONG)
    with start(cache, component) as process:
        await_line(process, "compiling")
        assert poll(lambda: drafts(cache) or None, timeout=PATIENCE)
        process.kill()
    assert Toolchain(cache, [component]).path("tiny") is None
    (left,) = drafts(cache)
    (component.directory / "main.go").write_text(HELLO)
    toolchain = Toolchain(cache, [component])
    toolchain.build(keep_go_caches=True, progress=lambda line: None)
    assert toolchain.path("tiny") is not None
    assert left not in drafts(cache)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_an_interrupted_build_ends_go_and_its_compilers(cache: Path, tmp_path: Path) -> None:
    component = module(tmp_path / "module", LONG)
    with start(cache, component) as process:
        await_line(process, "compiling")
        compiling = poll(lambda: [c for c in processes_of(cache) if "/compile " in c] or None, timeout=PATIENCE)
        assert compiling
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert processes_of(cache) == []
    assert Toolchain(cache, [component]).path("tiny") is None


def test_a_module_that_cannot_be_fetched_is_refused_in_words(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = 'package main\n\nimport _ "example.test/up"\n\nfunc main() {}\n'
    component = module(tmp_path / "module", source)
    digest = "h1:" + "A" * 43 + "="
    (component.directory / "go.sum").write_text(
        f"example.test/up v1.2.3 {digest}\nexample.test/up v1.2.3/go.mod {digest}\n"
    )
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(ToolchainError, match="refuses a module") as caught:
        Toolchain(cache, [component]).build(progress=lambda line: None)
    assert "GOPROXY" in caught.value.hint
    assert (cache / "go-caches" / "build").is_dir(), "Go's caches are kept after a failure"
    assert Toolchain(cache, [component]).path("tiny") is None


def test_settings_of_go_neither_change_a_build_nor_run_a_program(
    cache: Path, component: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without modules, go would build from GOPATH; GOCACHEPROG is a program that returns compiled packages."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ntouch "{tmp_path}/ran"\n')
    program.chmod(0o755)
    for name, value in {"GO111MODULE": "off", "GOCACHEPROG": str(program), "GOFLAGS": f"-toolexec={program}"}.items():
        monkeypatch.setenv(name, value)
    toolchain = Toolchain(cache, [component])
    toolchain.build(progress=lambda line: None)
    binary = toolchain.path("tiny")
    assert binary is not None
    assert unpinned(binary, component.directory / "go.sum") == ""
    assert not (tmp_path / "ran").exists()


def test_program_outside_of_go_sum_is_detected_by_its_own_module_list(
    cache: Path, component: Component, tmp_path: Path
) -> None:
    """Such as a program that was built with GO111MODULE=off, or with another go.sum."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "main.go").write_text(HELLO)
    go = shutil.which("go")
    assert go is not None
    own = {"GO111MODULE": "off", "GOCACHE": str(cache / "go-caches" / "build"), "CGO_ENABLED": "0"}
    command = [go, "build", *component.flags, "-o", "tiny", "."]
    subprocess.run(command, cwd=other, env={**os.environ, **own}, check=True)
    assert unpinned(other / "tiny", component.directory / "go.sum") == "it was not built from a Go module"


def published(proxy: Path, module: str, version: str, files: dict[str, str]) -> str:
    """Publish a module in a proxy that is a directory; return the lines of go.sum that pin it.

    https://go.dev/ref/mod#goproxy-protocol, and for the hash https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash.
    """

    def hashed(named: dict[str, str]) -> str:
        lines = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(named.items())]
        return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()

    place = proxy / module / "@v"
    place.mkdir(parents=True)
    archived = {f"{module}@{version}/{name}": text for name, text in files.items()}
    with zipfile.ZipFile(place / f"{version}.zip", "w") as archive:
        for name, text in archived.items():
            archive.writestr(name, text)
    (place / f"{version}.mod").write_text(files["go.mod"])
    (place / f"{version}.info").write_text(json.dumps({"Version": version}))
    go_mod = hashed({"go.mod": files["go.mod"]})
    return f"{module} {version} {hashed(archived)}\n{module} {version}/go.mod {go_mod}\n"


def test_program_inside_a_copy_of_its_module_uses_internal_packages(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = {
        "go.mod": "module example.test/up\n\ngo 1.26.0\n",
        "go.sum": "",
        "internal/said.go": 'package internal\n\nconst Said = "from inside"\n',
    }
    sums = published(tmp_path / "proxy", "example.test/up", "v1.2.3", upstream)
    monkeypatch.setenv("GOPROXY", (tmp_path / "proxy").as_uri())
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "main.go").write_text(
        'package main\n\nimport "example.test/up/internal"\n\nfunc main() { println(internal.Said) }\n'
    )
    component = dataclasses.replace(
        module(tmp_path / "module", "package main\n\nthis is not built\n"),
        packages={"tiny": "./ours"},
        shared=shared,
        inside="ours",
    )
    (component.directory / "go.sum").write_text(sums)
    toolchain = Toolchain(cache, [component])
    toolchain.build(progress=lambda line: None)
    binary = toolchain.path("tiny")
    assert binary is not None
    assert subprocess.run([binary], capture_output=True, text=True, check=True).stderr == "from inside\n"
    assert sorted(path.name for path in binary.parent.parent.iterdir()) == ["bin", "manifest.json", "verified.json"]


def test_crds_need_only_the_module(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = {
        "go.mod": "module example.test/up\n\ngo 1.26.0\n\nrequire example.test/absent v1.0.0\n",
        "deploy/things.yaml": "kind: CustomResourceDefinition\n",
        "main.go": 'package main\n\nimport _ "example.test/absent"\n',
    }
    sums = published(tmp_path / "proxy", "example.test/up", "v1.2.3", upstream)
    # What it requires has a go.mod, as every module graph needs, and no code.
    sums += published(tmp_path / "proxy", "example.test/absent", "v1.0.0", {"go.mod": "module example.test/absent\n"})
    (tmp_path / "proxy/example.test/absent/@v/v1.0.0.zip").unlink()
    monkeypatch.setenv("GOPROXY", (tmp_path / "proxy").as_uri())
    component = dataclasses.replace(
        module(tmp_path / "module"), name=CRDS, packages={}, crds="deploy", follows="cert-manager"
    )
    (component.directory / "go.sum").write_text(sums)
    toolchain = Toolchain(cache, [component])
    assert toolchain.missing([CRDS]) == [CRDS]
    toolchain.build(progress=lambda line: None)
    assert toolchain.missing([CRDS]) == []
    crds = toolchain.crds()
    assert crds is not None
    assert [path.name for path in crds.iterdir()] == ["things.yaml"]


# -- what is in the cache is used as it was built, or not at all -----------------------------------------------


@pytest.fixture
def built(cache: Path, component: Component) -> Toolchain:
    toolchain = Toolchain(cache, [component])
    toolchain.build(progress=lambda line: None, keep_go_caches=True)
    return toolchain


def binary_of(toolchain: Toolchain) -> Path:
    binary = toolchain.path("tiny")
    assert binary is not None
    return binary


def truncate(binary: Path) -> None:
    os.truncate(binary, 0)


def change(binary: Path) -> None:
    """Write other bytes of the same length into a file, and restore its modification time."""
    before = binary.stat()
    with binary.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    os.utime(binary, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGES = [truncate, change, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_program_is_not_used_and_built_again(built: Toolchain, damage: Callable[[Path], None]) -> None:
    binary = binary_of(built)
    damage(binary)
    assert built.path("tiny") is None
    assert built.missing(["tiny"]) == ["tiny"]
    lines: list[str] = []
    built.build(progress=lines.append, keep_go_caches=True)
    assert str(binary) in lines[0]
    assert lines[0].startswith("building again: ")
    assert subprocess.run([binary_of(built)], capture_output=True, text=True, check=True).stderr == "hello\n"


def test_programs_are_on_the_disk_before_the_manifest_that_vouches_for_them(
    tmp_path: Path, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure, a build is complete or absent."""
    flush, flushed = os.fsync, []

    def noted(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    draft, place = toolchain_cache._draft(tmp_path, component), tmp_path / "place"
    (draft / "bin" / "tiny").write_text("program")
    toolchain_cache._keep(draft, component, place)
    paths = [place / "bin" / "tiny", place / "bin", place / digests.MANIFEST, place, tmp_path]
    assert flushed == [path.stat().st_ino for path in paths]


def test_a_program_that_was_looked_at_is_not_hashed_again(built: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    binary_of(built)
    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    binary_of(built)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1}', '{"files": {}}', "\x00"])
def test_a_damaged_manifest_is_built_again(built: Toolchain, text: str) -> None:
    (binary_of(built).parent.parent / "manifest.json").write_text(text)
    assert built.path("tiny") is None
    built.build(progress=lambda line: None, keep_go_caches=True)
    binary_of(built)


def test_wait_for_another_build_ends(tmp_path: Path, component: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other build holds the lock in this process and never ends."""
    cache = tmp_path / "cache"
    toolchain = Toolchain(cache, [component])
    monkeypatch.setattr(toolchain_cache, "_REPORT_EVERY", 0.01)
    monkeypatch.setenv("VAULT_ISSUER_GO", "/no/go")  # if it waited until the lock is free, it would build nothing
    lines: list[str] = []
    with ThreadPoolExecutor(1) as pool, toolchain._lock(lines.append, 0):
        build = pool.submit(Toolchain(cache, [component]).build, progress=lines.append, wait_limit=0.1)
        with pytest.raises(ToolchainError) as caught:
            build.result(LIMIT)
    assert f"process {os.getpid()} on {socket.gethostname()} builds in {cache}" in caught.value.message
    assert "VAULT_ISSUER_CACHE" in caught.value.hint
    assert len(lines) > 1, "it says that it waits, again and again"
    assert set(lines) == {f"another build is under way: waiting for process {os.getpid()} on {socket.gethostname()}"}


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a directory that even root cannot write")
def test_a_cache_that_cannot_be_written_is_named(component: Component) -> None:
    with pytest.raises(ToolchainError, match="the cache /sys/kernel cannot be written: ") as caught:
        Toolchain(Path("/sys/kernel"), [component]).build(progress=lambda line: None)
    assert "VAULT_ISSUER_CACHE" in caught.value.hint


def test_a_cache_that_cannot_be_read_is_named(component: Component, tmp_path: Path) -> None:
    toolchain = Toolchain(tmp_path, [component])
    (toolchain.status()[0].place / "manifest.json").mkdir(parents=True)
    with pytest.raises(ToolchainError, match=f"the cache {tmp_path} cannot be read: Is a directory") as caught:
        toolchain.missing(["tiny"])
    assert "VAULT_ISSUER_CACHE" in caught.value.hint


def test_a_full_disk_is_seen_before_the_build(
    cache: Path, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(cache)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(ToolchainError, match="1 MB of free disk") as caught:
        Toolchain(cache, [component]).build(progress=lambda line: None)
    assert "VAULT_ISSUER_CACHE" in caught.value.hint
