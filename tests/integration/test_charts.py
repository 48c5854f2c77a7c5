"""Charts that the helm of the toolchain renders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.implementation.manifests import Manifests, read_manifests
from pytest_vault_issuer.toolchain import Toolchain, built, find

EXAMPLE = Path(__file__).parents[2] / "examples/sample-controller/chart.toml"


@pytest.fixture(scope="session")
def helm(toolchain: Toolchain) -> Path:
    """Return the program, which no other test needs."""
    toolchain.build(["helm"], progress=lambda line: print(line, flush=True))
    return built(toolchain, "helm")


@pytest.fixture
def example() -> Implementation:
    return load_implementation(str(EXAMPLE))


def rendered(implementation: Implementation, helm: Path) -> Manifests:
    return read_manifests(implementation, Path, lambda: helm)


def test_helm_is_the_pinned_release(helm: Path) -> None:
    said = subprocess.run([helm, "version", "--short"], capture_output=True, text=True, check=True).stdout
    assert said.strip().partition("+")[0] == find("helm").version


def test_chart_is_rendered_with_its_values(example: Implementation, helm: Path) -> None:
    """The chart requires a Kubernetes version that is newer than the one helm assumes without the version of its
    build."""
    found = rendered(example, helm)
    names = {(item["kind"], item["metadata"]["name"]) for item in found.objects}
    name = example.name
    assert names == {("ServiceAccount", "sample-controller"), ("ClusterRole", name), ("ClusterRoleBinding", name)}
    role = next(item for item in found.objects if item["kind"] == "ClusterRole")
    assert ["certificates"] in [rule["resources"] for rule in role["rules"]]
    assert [crd["spec"]["group"] for crd in found.crds] == ["sample-controller.example.com"] * 2


def test_workloads_of_the_chart_run_without_a_command(example: Implementation, helm: Path) -> None:
    found = rendered(example.with_run(command=[], set={"image": "mine:1"}), helm)
    assert found.have_workloads
    assert found.images == ["mine:1"]
    role = next(item for item in found.objects if item["kind"] == "ClusterRole")
    assert ["certificates"] not in [rule["resources"] for rule in role["rules"]]
