"""Manifests: files, folders, lists and kustomizations."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.implementation.manifests import read, read_manifests


def config_map(name: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"


def names(path: Path, kubectl: Callable[[], Path] | None = None) -> list[str]:
    def unexpected() -> Path:
        raise AssertionError("kubectl is for kustomizations")

    return [item["metadata"]["name"] for item in read([path], kubectl or unexpected)]


def test_a_file_of_several_objects(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(config_map("one") + "---\n---\n" + config_map("two"))
    assert names(file) == ["one", "two"]


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.txt"):
        (tmp_path / name).write_text(config_map(name[0]))
    assert names(tmp_path) == ["a", "b"]


def test_a_list_is_its_items(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    items = "".join(f"- {config_map(name)}".replace("\n", "\n  ").rstrip() + "\n" for name in ("one", "two"))
    file.write_text(f"apiVersion: v1\nkind: List\nitems:\n{items}")
    assert names(file) == ["one", "two"]


def deployment(image: str, *, initial: str = "sidecar:1") -> str:
    pod = f"{{initContainers: [{{name: first, image: '{initial}'}}], containers: [{{name: main, image: '{image}'}}]}}"
    return f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: mine}}\nspec: {{template: {{spec: {pod}}}}}\n"


def cron_job(image: str) -> str:
    pod = f"{{containers: [{{name: main, image: '{image}'}}]}}"
    job = f"{{spec: {{template: {{spec: {pod}}}}}}}"
    return f"apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: mine}}\nspec: {{jobTemplate: {job}}}\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (deployment("mine"), "deploy.yaml, Deployment mine, container main: image=mine names no version"),
        (deployment("mine:1", initial="a/b:latest"), "Deployment mine, container first: image=a/b:latest"),
        (cron_job("localhost:5000/mine"), "CronJob mine, container main: image=localhost:5000/mine"),
    ],
)
def test_an_image_whose_version_moves(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "deploy.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        names(file)
    assert place in caught.value.message
    assert "image_overrides = {" in caught.value.hint
    assert ":1.2.3" in caught.value.hint


def test_the_images_of_workloads(tmp_path: Path) -> None:
    (tmp_path / "deploy.yaml").write_text(deployment("mine:1") + "---\n" + config_map("x"))
    described = load_implementation("cert-manager").with_run(rbac=[], manifests=[str(tmp_path)])
    found = read_manifests(described, Path, Path)
    assert found.have_workloads
    assert found.images == ["sidecar:1", "mine:1"]


@pytest.mark.parametrize("text", [None, "a: [", "\t", "- a"])
def test_a_file_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "wrong.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"wrong\.yaml cannot be read"):
        names(file)


@pytest.fixture
def kubectl() -> Path:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("not run: there is no kubectl in PATH")
    return Path(found)


def test_a_kustomization(tmp_path: Path, kubectl: Path) -> None:
    (tmp_path / "map.yaml").write_text(config_map("one"))
    (tmp_path / "kustomization.yaml").write_text("resources: [map.yaml]\nnamePrefix: my-\n")
    assert names(tmp_path, lambda: kubectl) == ["my-one"]


def test_a_kustomization_that_cannot_be_built(tmp_path: Path, kubectl: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(ConfigurationError, match=r"absent\.yaml"):
        names(tmp_path, lambda: kubectl)


# -- images and charts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["controller", "controller:latest"])
def test_image_without_version_gets_the_one_that_the_file_names(tmp_path: Path, named: str) -> None:
    """Projects of kubebuilder name controller:latest."""
    file = tmp_path / "deploy.yaml"
    file.write_text(deployment("controller:latest"))
    (item,) = read([file], Path, {named: "my/controller:dev"})
    images = [container["image"] for container in item["spec"]["template"]["spec"]["containers"]]
    assert images == ["my/controller:dev"]


def test_override_of_another_image_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "deploy.yaml"
    file.write_text(deployment("mine:1"))
    (item,) = read([file], Path, {"mine:2": "my/controller:dev", "min": "my/controller:dev"})
    assert item["spec"]["template"]["spec"]["containers"][0]["image"] == "mine:1"


CHART = {"implementation": {"name": "mine", "version": "1"}, "features": {"all": True}}


@pytest.fixture
def helm(tmp_path: Path) -> Path:
    """Return a helm that prints its arguments in a ConfigMap, and a Deployment."""
    program = tmp_path / "helm"
    said = config_map("called") + 'data:\n  arguments: "$*"\n---\n' + deployment("controller:latest")
    program.write_text(f"#!/bin/sh\ncat <<END\n{said}END\n")
    program.chmod(0o755)
    return program


def with_chart(tmp_path: Path, **run: object) -> Implementation:
    run = {"chart": "chart", "image_overrides": {"controller": "mine:1"}, "service_account": "ns/mine", **run}
    return Implementation.from_mapping({**CHART, "run": run}, tmp_path)


def test_chart_is_rendered_with_its_values(tmp_path: Path, helm: Path) -> None:
    described = with_chart(tmp_path, values=["dev.yaml"], set={"image.tag": "1"})
    found = read_manifests(described, Path, lambda: helm)
    assert found.images == ["sidecar:1", "mine:1"]
    (called, _) = found.objects
    assert called["data"]["arguments"].split() == [
        "template",
        "mine",
        str(tmp_path / "chart"),
        "--namespace=ns",
        "--include-crds",
        "--no-hooks",
        f"--values={tmp_path / 'dev.yaml'}",
        "--set=image.tag=1",
    ]


def test_command_replaces_the_deployment_of_the_chart(tmp_path: Path, helm: Path) -> None:
    found = read_manifests(with_chart(tmp_path, command=["./mine"]), Path, lambda: helm)
    assert [item["kind"] for item in found.objects] == ["ConfigMap"]


def test_chart_that_cannot_be_rendered_is_named(tmp_path: Path) -> None:
    failing = tmp_path / "helm"
    failing.write_text("#!/bin/sh\necho 'Error: Chart.yaml file is missing' >&2\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"chart cannot be read: Error: Chart\.yaml file is missing"):
        read_manifests(with_chart(tmp_path), Path, lambda: failing)


def test_values_need_a_chart(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="values or set, but no chart"):
        with_chart(tmp_path, chart="", set={"a": "b"})
