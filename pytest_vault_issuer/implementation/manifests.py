"""Reads manifests: files, folders, and kustomizations."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..cluster.api import Object
from ..errors import ConfigurationError
from ..images import check_image
from .description import Implementation
from .workloads import is_workload

#: What makes a folder a kustomization.
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: Seconds; a kustomization may name files in the internet.
_LIMIT = 120
#: Where in an object the pods are described, by its kind.
_PODS = {
    "Pod": ("spec",),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), ("spec", "template", "spec")),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}


@dataclass(frozen=True)
class Manifests:
    """What an implementation declares for the cluster.

    :ivar crds: its own CustomResourceDefinitions.
    :ivar objects: all the rest.
    """

    crds: list[Object]
    objects: list[Object]

    @property
    def have_workloads(self) -> bool:
        """Whether anything of it runs in the cluster."""
        return any(map(is_workload, self.objects))

    @property
    def images(self) -> list[str]:
        """The container images that its workloads name."""
        return [container["image"] for item in self.objects for container in _containers(item)]


def read_manifests(implementation: Implementation, kubectl: Callable[[], Path]) -> Manifests:
    """Return what an implementation declares.

    :param kubectl: as for :func:`read`.
    :raises ConfigurationError: as :func:`read` does.
    """
    described = implementation.run
    crds = read(map(implementation.resolve, described.crds), kubectl)
    objects = read(map(implementation.resolve, [*described.rbac, *described.manifests]), kubectl)
    return Manifests(list(crds), list(objects))


def read(paths: Iterable[Path], kubectl: Callable[[], Path]) -> Iterator[Object]:
    """Yield the objects in manifests.

    :param paths: files, folders whose YAML files are read in the order of their names, and kustomizations.
    :param kubectl: called for its path where there is a kustomization.
    :raises ConfigurationError: for a file that cannot be read, a kustomization that cannot be built, or an image whose
        version moves.
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
        if not isinstance(document, dict):
            raise _unusable(source, f"{document!r} is no object")
        # As kubectl prints several objects.
        for item in document["items"] if document.get("kind") == "List" else [document]:
            for container in _containers(item):
                place = f"{source}, {item['kind']} {item['metadata']['name']}, container {container['name']}: image"
                check_image(place, container["image"])
            yield item


def _containers(item: Object) -> Iterator[Object]:
    """Yield the containers of an object that has pods, as far as they name an image."""
    path = _PODS.get(item.get("kind", ""))
    if path is None:
        return
    pods: Object = item
    for key in path:
        pods = pods.get(key) or {}
    for container in [*(pods.get("initContainers") or []), *(pods.get("containers") or [])]:
        if container.get("image"):
            yield container


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
