"""Reads manifests: files, folders, and kustomizations."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import yaml

from ..cluster.api import Object
from ..errors import ConfigurationError

#: What makes a folder a kustomization.
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: Seconds; a kustomization may name files in the internet.
_LIMIT = 120


def read(paths: Iterable[Path], kubectl: Callable[[], Path]) -> Iterator[Object]:
    """Yield the objects in manifests.

    :param paths: files, folders whose YAML files are read in the order of their names, and kustomizations.
    :param kubectl: called for its path where there is a kustomization.
    :raises ConfigurationError: for a file that cannot be read, or a kustomization that cannot be built.
    """
    for path in paths:
        if any((path / name).is_file() for name in KUSTOMIZATIONS):
            yield from _objects(_kustomized(path, kubectl()), path)
            continue
        for file in sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]:
            try:
                text = file.read_text()
            except OSError as error:
                raise _unusable(file, str(error)) from error
            yield from _objects(text, file)


def _objects(text: str, source: Path) -> Iterator[Object]:
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise _unusable(source, str(error)) from error
    for document in documents:
        # As kubectl prints several objects.
        yield from document["items"] if document.get("kind") == "List" else [document]


def _kustomized(folder: Path, kubectl: Path) -> str:
    try:
        done = subprocess.run(
            [str(kubectl), "kustomize", str(folder)], capture_output=True, text=True, timeout=_LIMIT, check=True
        )
    except subprocess.CalledProcessError as error:
        raise _unusable(folder, error.stderr.strip()) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unusable(folder, str(error)) from error
    return done.stdout


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"the manifest {path} cannot be read: {why}", hint="check [run] crds, rbac and manifests")
