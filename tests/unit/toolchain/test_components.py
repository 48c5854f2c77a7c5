"""What decides whether a component must be rebuilt."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
from packaging.version import Version

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.toolchain import BINARIES, COMPONENTS, Component, Toolchain, find, releases

#: One of each minor release of a component.
EACH = {f"{component.name}@{component.line}": component for component in COMPONENTS}


@pytest.fixture
def component(tmp_path: Path) -> Component:
    directory = tmp_path / "module"
    directory.mkdir()
    (directory / "go.mod").write_text("module m\n\ngo 1.26.0\n\nrequire example.test/up v1.2.3\n")
    (directory / "main.go").write_text("package main\n\nfunc main() {}\n")
    return Component("tiny", directory, {"tiny": "."}, "example.test/up")


def test_every_binary_of_the_stack_has_one_component() -> None:
    assert sorted(BINARIES) == [
        "cert-manager-controller",
        "cert-manager-webhook",
        "etcd",
        "helm",
        "kube-apiserver",
        "kube-controller-manager",
        "kubectl",
        "vault",
    ]


@pytest.mark.parametrize("shipped", EACH.values(), ids=EACH)
def test_versions_come_from_go_mod(shipped: Component) -> None:
    if shipped.released:
        pytest.skip("it is no Go module")
    go_mod = (shipped.directory / "go.mod").read_text()
    assert re.search(rf"\b{re.escape(shipped.upstream)} {re.escape(shipped.version)}\b", go_mod)
    assert f"\ngo {shipped.go_version[0]}.{shipped.go_version[1]}" in go_mod


def test_versions_are_unique() -> None:
    assert len(EACH) == len(COMPONENTS)


@pytest.mark.parametrize("shipped", EACH.values(), ids=EACH)
def test_a_version_is_found_by_its_line_and_by_its_full_name(shipped: Component) -> None:
    assert shipped.released or shipped.directory.name == shipped.line
    for text in (shipped.line, shipped.version, shipped.version.removeprefix("v")):
        assert find(shipped.name, text) is shipped
    leader = shipped.follows or shipped.name
    assert Toolchain(versions={leader: shipped.line}).components[shipped.name] is shipped


@pytest.mark.parametrize(("name", "newer"), [("kubernetes", 1), ("vault", 0), ("cert-manager", 0)])
def test_default_is_the_newest_release_or_the_one_before(name: str, newer: int) -> None:
    """A new minor release of Kubernetes is first tested beside the default, for which an image of a node exists."""
    built = sorted((c for c in releases(name) if not c.released), key=lambda c: Version(c.version))
    default = built[-1 - newer]
    assert find(name) is default
    assert Toolchain().components[default.name] is default


def test_unknown_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no cert-manager 1\.1\n") as caught:
        Toolchain(versions={"cert-manager": "1.1"})
    assert caught.value.hint == "one of: " + ", ".join(
        c.version.removeprefix("v") for c in COMPONENTS if c.name == "cert-manager"
    )


def test_kubernetes_reports_the_version_of_its_module() -> None:
    kubernetes = find("kubernetes")
    linking = next(flag for flag in kubernetes.flags if flag.startswith("-ldflags="))
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion={kubernetes.version}" in linking


def test_the_key_does_not_depend_on_where_the_module_is(component: Component, tmp_path: Path) -> None:
    shutil.copytree(component.directory, tmp_path / "elsewhere")
    assert dataclasses.replace(component, directory=tmp_path / "elsewhere").key == component.key


@pytest.mark.parametrize("name", ["go.mod", "main.go"])
def test_the_key_changes_with_each_file(component: Component, name: str) -> None:
    before = component.key
    with (component.directory / name).open("a") as file:
        file.write("// changed\n")
    assert component.key != before


def test_a_shared_file_is_part_of_every_version(component: Component, tmp_path: Path) -> None:
    (component.directory / "main.go").rename(tmp_path / "main.go")
    shared = dataclasses.replace(component, shared=tmp_path)
    assert list(shared.sources) == ["main.go", "go.mod"]
    before = shared.key
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { println() }\n")
    assert shared.key != before


def test_the_key_changes_with_the_recipe(component: Component) -> None:
    keys = {
        component.key,
        dataclasses.replace(component, stamps={"a.b": "1"}).key,
        dataclasses.replace(component, packages={"other": "."}).key,
    }
    assert len(keys) == 3
