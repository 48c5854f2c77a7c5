"""The sources of an image decide whether it is built again; incomplete images are removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from images.builder import BINARIES, Builder
from images.components import ALL
from images.recipes import RECIPES
from images.store import Store, key_of

from pytest_vault_issuer.toolchain import COMPONENTS, find


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Store:
    return Store(tmp_path / "images", said.append)


def test_entry_is_created_once(store: Store) -> None:
    made = []

    def make(draft: Path) -> None:
        made.append(draft)
        (draft / "image.tar").write_text("x")

    with store.locked():
        places = {store.get("thing", "k1", make), store.get("thing", "k1", make)}
    assert len(made) == 1
    assert (places.pop() / "image.tar").read_text() == "x"


def test_incomplete_entry_is_removed(store: Store) -> None:
    def fail(draft: Path) -> None:
        (draft / "root").mkdir()
        raise OSError("no space")

    with store.locked(), pytest.raises(OSError, match="no space"):
        store.get("thing", "k1", fail)
    assert [path.name for path in store.directory.iterdir()] == ["lock"]


def test_remains_of_a_killed_process_are_removed_by_the_next(store: Store) -> None:
    left = store.directory / ".making-thing-abc" / "root"
    left.mkdir(parents=True)
    with store.locked():
        assert not left.parent.exists()


def test_clean_keeps_kept_stacks(store: Store) -> None:
    with store.locked():
        for key in ("old", "new"):
            store.get("thing", key, lambda draft: (draft / "image.tar").write_text("four") and None)
        assert store.clean([store.place("thing", "new")]) == 4
    assert sorted(path.name for path in store.directory.iterdir()) == ["lock", "thing-new"]


@pytest.mark.parametrize(
    "other", [["ab", "d"], ["a", "bc"], ["abc"], ["abc", "d", ""]], ids=["fewer letters", "shifted", "fewer", "more"]
)
def test_a_key_is_of_these_inputs_only(other: list[str]) -> None:
    assert key_of(["abc", "d"]) != key_of(other)


def test_a_key_changes_with_a_file(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text("one")
    before = key_of([recipe])
    recipe.write_text("two")
    assert key_of([recipe]) != before


def test_the_toolchain_keeps_its_own_components() -> None:
    assert set(COMPONENTS) <= set(ALL)
    assert len({component.name for component in ALL}) == len({c.name for c in COMPONENTS}) + 5


def test_a_node_is_of_the_release_of_the_toolchain() -> None:
    assert find("kubernetes-node", "", ALL).version == find("kubernetes").version


def test_every_recipe_is_of_binaries_that_can_be_built_and_of_files_that_exist(tmp_path: Path, said: list[str]) -> None:
    builder = Builder(tmp_path, said.append)
    for recipe in RECIPES.values():
        assert bool(builder.toolchain.missing(recipe.binaries)) == bool(recipe.binaries)
        assert all(source.is_file() for source in recipe.sources)
        assert not recipe.image.endswith(":latest")
    assert builder.toolchain.missing(BINARIES) == ["kind", "kubectl"]
