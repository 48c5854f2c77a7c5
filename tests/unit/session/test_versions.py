"""Versions of components that a session builds and uses."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError, ToolchainError
from pytest_vault_issuer.kube.client import Kubernetes
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.stack.local.vault import VaultProcesses
from pytest_vault_issuer.stack.select import STATE
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.supervisor.run_directory import RunDirectory, new_path
from pytest_vault_issuer.toolchain import COMPONENTS, KUBERNETES, Toolchain, find
from pytest_vault_issuer.vault.client import VaultServer

OLDEST = {component.name: component for component in COMPONENTS}
FILE = """
[implementation]
name = "mine"
version = "1"
contract = "1.15"
[features]
all = true
"""

STACK = Stack("process", "", True, Kubernetes("k", "", ""), VaultServer("https://v"), {}, "", vault_binary="/bao")


def run(**settings: Any) -> Session:
    return Session(Settings(**settings), SessionKey.new(), lambda line: None)


def lines(toolchain: Toolchain) -> dict[str, str]:
    return {name: component.line for name, component in toolchain.components.items()}


NEWEST = {name: find(name).line for name in OLDEST}


def test_default_cell_has_the_newest_of_each() -> None:
    assert lines(run().toolchain) == NEWEST
    assert lines(run(implementation="cert-manager").toolchain) == NEWEST


def test_the_implementation_chooses_the_release_and_options_the_rest() -> None:
    asked = {"vault_version": OLDEST["vault"].line, "kubernetes_version": OLDEST["kube-apiserver"].line}
    chosen = run(implementation=f"cert-manager@{OLDEST['cert-manager'].line}", **asked).toolchain
    assert lines(chosen) == {name: component.line for name, component in OLDEST.items()}


def test_an_issuer_that_follows_an_older_release_gets_the_newest_types(tmp_path: Path) -> None:
    """The contract of a controller selects requirements; a session does not build that release of cert-manager."""
    (tmp_path / "mine.toml").write_text(FILE)
    assert lines(run(implementation=str(tmp_path / "mine.toml")).toolchain) == NEWEST


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the components that a session requests from the toolchain, which builds nothing."""
    asked: list[str] = []

    def build(self: Toolchain, components: Iterable[str], *, keep_go_caches: bool, **_: Any) -> None:
        kept = ", caches kept" if keep_go_caches else ""
        asked.extend(f"{name} {self.components[name].line}{kept}" for name in components)

    monkeypatch.setattr(Toolchain, "build", build)
    return asked


def test_only_needed_components_are_built(built: list[str]) -> None:
    run(implementation="cert-manager@1.18").build()
    stack = [f"{name} {NEWEST[name]}" for name in (*KUBERNETES, "vault")]
    assert built == [*stack, "cert-manager-crds 1.18", "cert-manager 1.18", "cert-manager-webhook 1.18"]
    built.clear()
    run(implementation="cert-manager@1.18", kubeconfig=Path("k"), vault_addr="https://vault.test").build()
    assert built == ["cert-manager-crds 1.18", "cert-manager 1.18"]


def test_controller_of_another_project_needs_only_the_crds_of_cert_manager(built: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FILE)
    run(implementation=str(tmp_path / "mine.toml")).build()
    expected = [f"{name} {NEWEST[name]}" for name in (*KUBERNETES, "vault", "cert-manager-crds")]
    assert built == expected


CHART = FILE + '[run]\nchart = "chart"\n'


def test_helm_is_built_only_for_a_chart_without_another_helm(
    built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "mine.toml").write_text(CHART)
    with pytest.raises(ToolchainError, match="helm is not built"):  # nothing is cached here
        _ = run(implementation=str(tmp_path / "mine.toml")).manifests
    assert built == [f"helm {NEWEST['helm']}"]
    built.clear()
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\n")
    helm.chmod(0o755)
    assert run(implementation=str(tmp_path / "mine.toml")).manifests.objects == []
    assert built == []


def test_kubectl_is_built_only_for_a_kustomization_without_another_kubectl(
    built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "kustomization.yaml").write_text("resources: []\n")
    (tmp_path / "mine.toml").write_text(FILE + '[run]\nmanifests = ["base"]\n')
    with pytest.raises(ConfigurationError, match="kubectl is not in PATH"):  # nothing is built here
        _ = run(implementation=str(tmp_path / "mine.toml")).manifests
    assert built == [f"kubectl {NEWEST['kubectl']}"]
    built.clear()
    (tmp_path / "bin").mkdir()
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text("#!/bin/sh\n")
    kubectl.chmod(0o755)
    assert run(implementation=str(tmp_path / "mine.toml")).manifests.objects == []
    assert built == []


def test_go_caches_are_kept_for_the_next_version(built: list[str]) -> None:
    run(implementation="cert-manager@1.18", vault_binary=Path("bao"), keep_go_caches=True).build()
    kubernetes = [f"{name} {NEWEST[name]}" for name in KUBERNETES]
    release = ["cert-manager-crds 1.18", "cert-manager 1.18", "cert-manager-webhook 1.18"]
    assert built == [f"{name}, caches kept" for name in (*kubernetes, *release)]


@pytest.mark.parametrize(
    ("implementation", "expected"),
    [("cert-manager@1.18", ["cert-manager 1.18", "cert-manager-webhook 1.18"]), ("sample-controller", [])],
)
def test_joined_session_builds_only_its_controller(
    built: list[str], implementation: str, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / STATE).write_text(STACK.to_json())
    run(implementation=implementation, join=tmp_path).build()
    assert built == expected


def test_a_run_that_joins_another_starts_further_vaults_from_the_same_program() -> None:
    other = RunDirectory(new_path(), os.getpid())
    other.open()
    other.write(STATE, STACK.to_json())
    joining = run(implementation="sample-controller", join=other.path)
    try:
        launcher = joining.launcher()
        assert isinstance(launcher, VaultProcesses)
        assert launcher.binary == Path("/bao")
    finally:
        joining.close()
        other.close()


def test_header_names_the_versions_to_build() -> None:
    one = run(implementation="cert-manager@1.15", vault_binary=Path("bao"))
    kubernetes = find("kubernetes").version
    assert (one.provider.name, one.provider.reason) == (
        "process",
        f"after building etcd {kubernetes}, kube-apiserver {kubernetes}, kube-controller-manager {kubernetes}, "
        "cert-manager-crds v1.15.3",
    )
