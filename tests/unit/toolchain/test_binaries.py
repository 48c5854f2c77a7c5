"""Binaries of the user replace those of the toolchain."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ConfigurationError, ToolchainError
from pytest_vault_issuer.toolchain import COMPONENTS, Toolchain, resolve
from pytest_vault_issuer.toolchain.digests import seal


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def built(tmp_path: Path) -> Toolchain:
    """Return a toolchain whose cache has a file for each binary; the tests do not run them."""
    toolchain = Toolchain(tmp_path / "cache")
    for component, status in zip(COMPONENTS, toolchain.status(), strict=True):
        place = toolchain.cache / f"{status.component}-{status.version}-{status.key}"
        for binary in status.binaries:
            executable(place / "bin" / binary)
        if component.crds:
            (place / "crds").mkdir(parents=True)
        seal(place, {})
    return toolchain


def test_cached_binaries_are_used_by_default(built: Toolchain) -> None:
    binaries = resolve(built)
    assert binaries.etcd == built.path("etcd")
    assert binaries.kube_controller_manager == built.path("kube-controller-manager")
    assert binaries.vault == built.path("vault")
    assert binaries.crds == built.crds()


def test_the_types_are_those_of_the_release(built: Toolchain) -> None:
    old = Toolchain(built.cache, versions={"cert-manager": "1.18"})
    assert resolve(old).crds == old.crds() != built.crds()
    assert old.path("cert-manager-controller") != built.path("cert-manager-controller")
    assert old.path("vault") == built.path("vault")


def test_binaries_of_the_user_come_first(built: Toolchain, tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    etcd, api = executable(assets / "etcd"), executable(assets / "kube-apiserver")
    bao = executable(tmp_path / "bao")
    binaries = resolve(built, kubernetes_dir=assets, vault=bao)
    assert (binaries.etcd, binaries.kube_apiserver, binaries.vault) == (etcd, api, bao)
    # KUBEBUILDER_ASSETS has no controller-manager.
    assert binaries.kube_controller_manager == built.path("kube-controller-manager")
    manager = executable(assets / "kube-controller-manager")
    assert resolve(built, kubernetes_dir=assets).kube_controller_manager == manager


def test_missing_binary_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="etcd is not built") as caught:
        resolve(Toolchain(tmp_path))
    assert "vault-issuer toolchain build" in caught.value.hint


def test_missing_binary_of_the_user_is_rejected(built: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere does not exist"):
        resolve(built, vault=tmp_path / "nowhere")
    executable(tmp_path / "assets" / "etcd")
    with pytest.raises(ConfigurationError, match="kube-apiserver does not exist"):
        resolve(built, kubernetes_dir=tmp_path / "assets")


def test_binary_of_the_user_that_is_not_executable_is_rejected(built: Toolchain, tmp_path: Path) -> None:
    vault = executable(tmp_path / "vault")
    vault.chmod(0o644)
    with pytest.raises(ConfigurationError, match="is not executable") as caught:
        resolve(built, vault=vault)
    assert "chmod +x" in caught.value.hint


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAULT_ISSUER_CACHE", str(tmp_path / "mine"))
    assert Toolchain().cache == tmp_path / "mine"
    monkeypatch.delenv("VAULT_ISSUER_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Toolchain().cache == tmp_path / "xdg" / "vault-issuer"
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Toolchain().cache == tmp_path / "Library" / "Caches" / "vault-issuer"
