"""What images there are: their names, and what goes into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vault_issuer.toolchain import find

from . import archive, debian, openbao, program_images
from .archive import Entry
from .node import image

#: What becomes of an image's binaries: gets them by name, a directory to work in, and whom to tell of each step.
Make = Callable[[Mapping[str, Path], Path, Callable[[str], None]], tuple[Entry, ...] | Path]


@dataclass(frozen=True)
class Recipe:
    """How an image is made.

    :ivar image: its name and tag.
    :ivar binaries: those of the toolchain that are in it.
    :ivar config: how it is run, as in OCI's image configuration.
    :ivar make: returns what is in it.
    :ivar sources: files that decide what is in it.
    """

    image: str
    binaries: tuple[str, ...]
    config: Mapping[str, Any]
    make: Make
    sources: tuple[Path, ...]


def _version(component: str) -> str:
    return find(component).version.removeprefix("v")


def _files(*modules: Any) -> tuple[Path, ...]:
    return tuple(Path(module.__file__) for module in (archive, *modules))


RECIPES: Mapping[str, Recipe] = {
    "vault": Recipe(
        f"vault-issuer/vault:{_version('vault')}",
        ("vault", "vault-entrypoint"),
        program_images.VAULT,
        program_images.vault,
        _files(program_images),
    ),
    "openbao": Recipe(
        f"vault-issuer/openbao:{openbao.VERSION}",
        (),
        program_images.OPENBAO,
        program_images.bao,
        _files(program_images, openbao),
    ),
    "cert-manager": Recipe(
        f"vault-issuer/cert-manager-controller:{_version('cert-manager')}",
        ("cert-manager-controller",),
        program_images.CERT_MANAGER,
        program_images.cert_manager,
        _files(program_images),
    ),
    "busybox": Recipe(
        f"vault-issuer/busybox:{debian.SUITE}",
        (),
        program_images.BUSYBOX,
        program_images.busybox,
        _files(program_images, debian),
    ),
    "node": Recipe(
        f"vault-issuer/node:v{_version('kubernetes')}",
        image.BINARIES,
        image.CONFIG,
        image.make,
        (*_files(debian), *image.SOURCES),
    ),
}
