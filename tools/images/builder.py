"""Makes what is asked for, once: binaries by the toolchain, images from them, all kept in its cache."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pytest_vault_issuer.toolchain import Toolchain

from .archive import Image, write
from .components import ALL
from .docker import LABEL, Docker
from .engine import Engine
from .recipes import RECIPES, Recipe
from .store import Store, key_of

#: Binaries that are wanted for themselves.
BINARIES = ("kind", "kubectl")
_ARCHIVE = "image.tar"


class Builder:
    """Everything that is made here, in one cache directory.

    :param cache: default the toolchain's.
    :param say: gets lines for people.
    """

    def __init__(self, cache: Path | None, say: Callable[[str], None]) -> None:
        self._say = say
        self.toolchain = Toolchain(cache, ALL)
        self.store = Store(self.toolchain.cache / "images", say)
        self.engine = Engine(self.toolchain.cache / "engine", say)

    def build(self, names: Iterable[str], *, keep_go_caches: bool = False) -> None:
        """Compile what is missing for images and binaries, all at once, so that they share what they have in common.

        :raises ToolchainError: as the toolchain does.
        """
        wanted = [binary for name in names for binary in (RECIPES[name].binaries if name in RECIPES else (name,))]
        if missing := self.toolchain.missing(wanted):
            self.toolchain.build(missing, progress=self._say, keep_go_caches=keep_go_caches)

    def binary(self, name: str) -> Path:
        """Return a binary that was built."""
        path = self.toolchain.path(name)
        assert path is not None, f"{name} is not built"
        return path

    def archive(self, name: str) -> Path:
        """Return the archive of an image, made if need be."""
        recipe = RECIPES[name]
        key = self._key(recipe)

        def make(draft: Path) -> None:
            began = time.monotonic()
            self.build([name])
            binaries = {binary: self.binary(binary) for binary in recipe.binaries}
            with tempfile.TemporaryDirectory(dir=draft) as scratch:
                content = recipe.make(binaries, Path(scratch), lambda line: self._say(f"{name}: {line}"))
                self._say(f"{name}: writing the archive of {recipe.image}")
                image = Image(recipe.image, content, {**recipe.config, "Labels": {LABEL: key}})
                write(draft / _ARCHIVE, [image], platform.machine())
            size = (draft / _ARCHIVE).stat().st_size / 10**6
            self._say(f"{name}: done in {time.monotonic() - began:.0f} s, {size:.0f} MB")

        with self.store.locked():
            return self.store.get(name, key, make) / _ARCHIVE

    def load(self, name: str, docker: Docker) -> str:
        """Give an engine an image, unless it has it, and return the image's name."""
        recipe = RECIPES[name]
        if not docker.holds(recipe.image, self._key(recipe)):
            archive = self.archive(name)
            self._say(f"{name}: loading {recipe.image} into the engine")
            docker.load(archive)
        return recipe.image

    def clean(self, *, old: bool) -> int:
        """Remove every image's archive, or those that the present recipes do not make; return the bytes freed."""
        with self.store.locked():
            kept = [self.store.place(name, self._key(recipe)) for name, recipe in RECIPES.items()] if old else []
            return self.store.clean(kept)

    def _key(self, recipe: Recipe) -> str:
        components = [
            f"{status.component} {status.version} {status.key}"
            for status in self.toolchain.status()
            if status.chosen and set(recipe.binaries) & set(status.binaries)
        ]
        config = repr(sorted(recipe.config.items()))
        return key_of([recipe.image, config, platform.machine(), *components, *recipe.sources])
