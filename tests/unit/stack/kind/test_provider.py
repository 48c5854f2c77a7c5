"""The provider ``kind`` before it starts anything: missing requirements, and the configuration of the cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.errors import ConfigurationError, StackError
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.stack.kind.cluster import configuration, find_program
from pytest_vault_issuer.stack.kind.engine import Engine, hint_for
from pytest_vault_issuer.stack.select import choose
from pytest_vault_issuer.toolchain import Toolchain

pytestmark = pytest.mark.usefixtures("no_engine")
FILE = """
[implementation]
name = "mine"
version = "1"
[run]
manifests = ["deploy"]
[features]
all = true
"""


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("testcontainers", reason="not run: the extra kind is not installed")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")


# -- what is missing ------------------------------------------------------------------------------------------


def test_an_engine_that_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"no container engine answers at unix:///.*No such file") as caught:
        Engine()
    assert "DOCKER_HOST" in caught.value.hint


@pytest.mark.parametrize("named", [True, False])
def test_a_program_that_is_missing(named: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="is not an executable file" if named else "is not in PATH") as caught:
        find_program("kind", tmp_path / "absent" if named else None)
    assert "--vault-issuer-kind-binary" in caught.value.hint


def test_programs_of_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "kind").write_text("#!/bin/sh\n")
    (tmp_path / "kind").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert find_program("kind", None) == tmp_path / "kind"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Check a session on ``kind`` on a machine where nothing is built and only kind is in the PATH."""
    (tmp_path / "kind").write_text("#!/bin/sh\n")
    (tmp_path / "kind").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VAULT_ISSUER_CACHE", str(tmp_path / "cache"))

    def build(**settings: Any) -> None:
        try:
            Session(Settings(stack="kind", **settings), SessionKey.new(), print).build()
        finally:
            assert not (tmp_path / "cache").exists(), "nothing was built"

    return build


def test_nothing_is_built_without_an_engine(asked: Callable[..., None]) -> None:
    with pytest.raises(StackError, match="no container engine answers"):
        asked(implementation="cert-manager")


def test_a_mirror_needs_the_nodes_image_to_be_named(asked: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"from docker\.io, not from mirror\.test") as caught:
        asked(implementation="cert-manager", registry_mirror="mirror.test")
    assert "--vault-issuer-node-image" in caught.value.hint
    # kind's configuration may name the image, too; then the engine is missing.
    file = tmp_path / "kind.yaml"
    file.write_text("{kind: Cluster, apiVersion: kind.x-k8s.io/v1alpha4, nodes: [{image: 'kindest/node:v1.36.3'}]}")
    with pytest.raises(StackError, match="no container engine answers"):
        asked(implementation="cert-manager", registry_mirror="mirror.test", kind_config=file)


def test_auto_without_an_engine_builds(tmp_path: Path) -> None:
    assert choose(Settings(), Toolchain(tmp_path))[0] == "process"


def errors() -> Any:
    return pytest.importorskip("docker.errors", reason="not run: the extra kind is not installed")


class Images:
    """Replaces docker's client for images, because no registry is available; records the requests."""

    def __init__(self) -> None:
        self.images = self
        self.calls: list[str] = []

    def get(self, name: str) -> None:
        if name != "mine:1":
            raise errors().ImageNotFound(name)

    def pull(self, name: str) -> Images:
        self.calls.append(f"pull {name}")
        return self

    def tag(self, name: str) -> None:
        self.calls.append(f"tag {name}")


@pytest.mark.parametrize(
    ("image", "mirror", "calls"),
    [
        ("mine:1", "mirror.test", []),
        ("quay.io/a/b:2", "", ["pull quay.io/a/b:2"]),
        ("quay.io/a/b:2", "mirror.test/hub", ["pull mirror.test/hub/a/b:2", "tag quay.io/a/b:2"]),
        ("a/b@sha256:0", "", ["pull a/b@sha256:0"]),
    ],
)
def test_an_image_is_pulled_through_the_mirror_and_has_its_own_name(image: str, mirror: str, calls: list[str]) -> None:
    engine, images = object.__new__(Engine), Images()
    vars(engine).update(client=images, _errors=errors())
    engine.provide(image, mirror)
    assert images.calls == calls


def test_an_image_named_by_a_digest_cannot_be_pulled_through_a_mirror() -> None:
    engine = object.__new__(Engine)
    vars(engine).update(client=Images(), _errors=errors())
    with pytest.raises(ConfigurationError, match="its name contains a digest"):
        engine.provide("a/b@sha256:0", "mirror.test")


@pytest.mark.parametrize(
    ("complaint", "said"),
    [
        ("write /var/lib/x: no space left on device", "disk is full"),
        (
            "all predefined address pools have been fully subnetted",
            "docker network prune",
        ),
    ],
)
def test_error_of_an_engine_has_its_hint(complaint: str, said: str) -> None:
    assert said in hint_for(complaint)


# -- a cluster's configuration --------------------------------------------------------------------------------


def patches(config: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for patch in config["kubeadmConfigPatches"]:
        merged |= yaml.safe_load(patch)
    return merged


def test_the_api_server_writes_its_audit_log_where_tests_read_it() -> None:
    config = configuration(None, Path("/run/of/ours"))
    assert config["nodes"] == [
        {"role": "control-plane", "extraMounts": [{"hostPath": "/run/of/ours", "containerPath": "/vault-issuer"}]}
    ]
    arguments = patches(config)["apiServer"]["extraArgs"]
    assert arguments["audit-log-path"] == "/vault-issuer/audit.jsonl"


def test_nothing_is_mounted_on_a_remote_engine() -> None:
    config = configuration(None, None)
    assert config["nodes"] == [{"role": "control-plane"}]
    assert "apiServer" not in patches(config)


def test_the_users_configuration_is_kept(tmp_path: Path) -> None:
    own = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "featureGates": {"SomeGate": True},
        "nodes": [
            {"role": "control-plane", "extraMounts": [{"hostPath": "/a", "containerPath": "/a"}]},
            {"role": "worker"},
        ],
        "kubeadmConfigPatches": ["kind: KubeletConfiguration\n"],
    }
    file = tmp_path / "kind.yaml"
    file.write_text(yaml.safe_dump(own))
    config = configuration(file, Path("/ours"))
    assert config["featureGates"] == {"SomeGate": True}
    assert [len(node.get("extraMounts", [])) for node in config["nodes"]] == [2, 0]
    assert config["kubeadmConfigPatches"][0] == "kind: KubeletConfiguration\n"
    assert len(config["kubeadmConfigPatches"]) == 2


@pytest.mark.parametrize("text", [None, "kind: Deployment\n", "- a\n", "{"])
def test_a_configuration_that_cannot_be_used(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "kind.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match="--vault-issuer-kind-config"):
        configuration(file, None)
