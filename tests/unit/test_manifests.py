"""Manifests: files, folders, lists and kustomizations."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation.manifests import read


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


@pytest.mark.parametrize("text", [None, "a: [", "\t"])
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
