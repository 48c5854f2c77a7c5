"""The images that a session needs, under the names that the engine pulls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vault_issuer.cli.main import main

FILE = """
[implementation]
name = "mine"
version = "1"
[run]
manifests = ["deploy.yaml"]
images = ["mine:1.4.0"]
[features]
all = true
"""
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: mine}
spec: {template: {spec: {containers: [{name: main, image: "mine:1.4.0"}, {name: side, image: "quay.io/a/side:2"}]}}}
"""
NODE = "--node-image=kindest/node:v1.36.3"
MIRROR = "mirror.test:5000/hub"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "deploy.yaml").write_text(MANIFEST)
    (tmp_path / "mine.toml").write_text(FILE)
    return f"--implementation={tmp_path / 'mine.toml'}"


def names(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    assert main(["stack", "images", "--format=names", *options]) == 0
    return capsys.readouterr().out.split()


def test_images_of_the_stack(capsys: pytest.CaptureFixture[str]) -> None:
    assert names(capsys) == ["hashicorp/vault:1.21.2"]
    assert names(capsys, NODE) == ["hashicorp/vault:1.21.2", "kindest/node:v1.36.3"]
    assert names(capsys, "--kind-cluster=mine", "--vault-image=openbao/openbao:2.4.1") == ["openbao/openbao:2.4.1"]


def test_images_of_a_controller_in_the_cluster(capsys: pytest.CaptureFixture[str], file: str) -> None:
    assert names(capsys, NODE, "--image=issuer:1")[2:] == ["issuer:1"]
    assert names(capsys, NODE, file)[2:] == ["mine:1.4.0"], "the nodes pull the others"


def test_images_come_from_the_mirror(capsys: pytest.CaptureFixture[str], file: str) -> None:
    assert names(capsys, NODE, file, f"--registry-mirror={MIRROR}") == [
        f"{MIRROR}/hashicorp/vault:1.21.2",
        f"{MIRROR}/kindest/node:v1.36.3",
        f"{MIRROR}/library/mine:1.4.0",
        f"{MIRROR}/a/side:2",
    ]


def test_node_images_of_a_configuration(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "kind.yaml"
    head = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"
    config.write_text(f"{head}nodes: [{{role: control-plane, image: 'kindest/node:v1'}}]")
    assert names(capsys, f"--kind-config={config}")[1:] == ["kindest/node:v1"]


def test_a_mirror_without_the_nodes_image_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "images", f"--registry-mirror={MIRROR}"]) == 2
    assert "--vault-issuer-node-image" in capsys.readouterr().err


def test_options_come_from_the_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ISSUER_REGISTRY_MIRROR", MIRROR)
    monkeypatch.setenv("VAULT_ISSUER_NODE_IMAGE", "kindest/node:v1")
    assert names(capsys) == [f"{MIRROR}/hashicorp/vault:1.21.2", f"{MIRROR}/kindest/node:v1"]


def test_output_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "images", "--image=issuer:1"]) == 0
    printed = capsys.readouterr().out
    assert "issuer:1" in printed
    assert "give --node-image to list it" in printed
    assert main(["stack", "images", NODE, "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == {
        "image": "hashicorp/vault:1.21.2",
        "pulled_as": "hashicorp/vault:1.21.2",
        "purpose": "Vault",
    }
