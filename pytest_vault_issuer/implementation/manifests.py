"""Reads manifests: files, folders, kustomizations, and Helm charts."""

from __future__ import annotations

import contextlib
import re
import reprlib
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..inputs.documents import DocumentError, parse_documents, read_documents
from ..kube.client import Object
from ..toolchain.images import check_image, tag_of
from .spec import NAMESPACE, Implementation
from .workloads import is_workload

#: What makes a folder a kustomization.
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: Seconds; a kustomization may refer to files on the internet.
_LIMIT = 120
_API_VERSION = re.compile(r"([a-z0-9.-]+/)?[a-z0-9]+")
_KIND = re.compile(r"[A-Za-z0-9]+")
#: A path segment, the widest form of names: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_NAME = re.compile(r"[^/%\s]+")
#: Path of the pod spec in an object, by kind.
_PODS = {
    "Pod": ("spec",),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), ("spec", "template", "spec")),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}


@dataclass(frozen=True)
class Manifests:
    """The objects that an implementation declares.

    :ivar crds: its CustomResourceDefinitions.
    :ivar objects: all other objects.
    """

    crds: list[Object]
    objects: list[Object]

    @property
    def have_workloads(self) -> bool:
        """Whether a part of the implementation runs in the cluster."""
        return any(map(is_workload, self.objects))

    @property
    def images(self) -> list[str]:
        """The container images that its workloads name."""
        return [container["image"] for item in self.objects for container in _containers(item)]


def read_manifests(implementation: Implementation, kubectl: Callable[[], Path], helm: Callable[[], Path]) -> Manifests:
    """Return the objects that an implementation declares.

    :param kubectl: as for :func:`read`.
    :param helm: returns the path of helm; only called if there is a chart.
    :raises ConfigurationError: as :func:`read` does, and if a chart cannot be rendered.
    """
    description = implementation.run
    images = description.image_overrides
    crds = list(read(map(implementation.resolve, description.crds), kubectl, images))
    objects = list(read(map(implementation.resolve, [*description.rbac, *description.manifests]), kubectl, images))
    if description.chart:
        chart = implementation.resolve(description.chart)
        with _of(chart):
            rendered = parse_documents(_rendered(implementation, chart, helm()))
            # The program of `command` replaces that of the chart.
            as_process = bool(description.command) and not description.image
            if as_process:
                rendered = [item for item in rendered if not (isinstance(item, dict) and item.get("kind") in _PODS)]
            objects += _objects(rendered, images)
    return Manifests(crds, objects)


def check_paths(implementation: Implementation) -> None:
    """Check that the manifests that an implementation file names exist, before anything starts.

    :raises ConfigurationError: if one does not exist.
    """
    description = implementation.run
    named = {
        "crds": description.crds,
        "rbac": description.rbac,
        "manifests": description.manifests,
        "chart": [description.chart] if description.chart else [],
        "values": description.values,
    }
    for key, paths in named.items():
        for path in map(implementation.resolve, paths):
            if not path.exists():
                raise ConfigurationError(
                    f"[run] {key}: {path} does not exist", hint="give a path relative to the implementation file"
                )


def _rendered(implementation: Implementation, chart: Path, helm: Path) -> bytes:
    """Return the objects of a chart with the values of the implementation file: with CRDs, without tests."""
    description = implementation.run
    namespace = description.service_account.partition("/")[0]
    command = [str(helm), "template", implementation.name, str(chart), f"--namespace={namespace}", "--include-crds"]
    command += ["--no-hooks", *(f"--values={implementation.resolve(path)}" for path in description.values)]
    command += [f"--set={path}={value}" for path, value in description.set.items()]
    return _output(command, chart)


def read(
    paths: Iterable[Path], kubectl: Callable[[], Path], images: Mapping[str, str] | None = None
) -> Iterator[Object]:
    """Yield the objects in manifests.

    :param paths: files, folders (their YAML files are read in alphabetical order), and kustomizations.
    :param kubectl: returns the path of kubectl; only called if there is a kustomization.
    :param images: replacement image by the name in the manifests, with or without its tag.
    :raises ConfigurationError: if a file cannot be read, a kustomization cannot be built, a document is not a
        Kubernetes object, or the tag of an image moves.
    """
    for path in paths:
        if _is_folder(path) and any((path / name).is_file() for name in KUSTOMIZATIONS):
            with _of(path):
                yield from _objects(parse_documents(_kustomized(path, kubectl())), images)
            continue
        for file in sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if _is_folder(path) else [path]:
            with _of(file):
                yield from _objects(read_documents(file), images)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # reading it reports the error
        return False


@contextlib.contextmanager
def _of(source: Path) -> Iterator[None]:
    """Add the name of the manifest to errors."""
    try:
        yield
    except DocumentError as error:
        raise _unusable(source, str(error)) from error
    except ConfigurationError as error:  # about an image
        raise ConfigurationError(f"{source}, {error.message}", hint=error.hint) from error


def _objects(documents: Iterable[Any], images: Mapping[str, str] | None = None) -> Iterator[Object]:
    for document in documents:
        for item in _items(document):
            _check(item)
            for container in _containers(item):
                container["image"] = _overridden(container["image"], images or {})
                place = f"{item['kind']} {item['metadata']['name']}, container {container['name']}: image"
                _check_image(place, container["image"])
            yield item


def _overridden(image: str, images: Mapping[str, str]) -> str:
    tag = tag_of(image)
    name = image.partition("@")[0].removesuffix(f":{tag}" if tag else "")
    return images.get(image) or images.get(name) or image


def _check_image(place: str, image: str) -> None:
    """Refuse an image whose tag moves, such as kubebuilder's ``controller:latest``.

    :raises ConfigurationError: if the tag moves; the hint names the key that replaces the image.
    """
    try:
        check_image(place, image)
    except ConfigurationError as error:
        name = image.removesuffix(":latest")
        raise ConfigurationError(
            error.message, hint=f'name your image: [run] image_overrides = {{ "{name}" = "my/{name}:1.2.3" }}'
        ) from error


def _items(document: Any) -> Iterator[Any]:
    """Yield the objects of a document: itself, or the items of a List."""
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind != "List" and not (isinstance(kind, str) and kind.endswith("List") and "items" in document):
        yield document
        return
    items = document.get("items", [])
    if not isinstance(items, list):
        raise DocumentError(f"the items of {kind} must be a list, got {_type(items)}")
    for item in items:
        yield from _items(item)


def _check(item: Any) -> None:
    """Check that an object has the fields of every Kubernetes object.

    :raises DocumentError: if a field is missing or wrong; the message names it.
    """
    if not isinstance(item, dict):
        raise DocumentError(f"{reprlib.repr(item)} is not a Kubernetes object")
    for key, form in (("apiVersion", _API_VERSION), ("kind", _KIND)):
        if not isinstance(item.get(key), str) or not form.fullmatch(item[key]):
            raise DocumentError(f"{key} of an object {_is_missing(item.get(key))}")
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        raise DocumentError(f"metadata of {_a(item['kind'])} {_is_missing(metadata)}")
    name = metadata.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in (".", ".."):
        raise DocumentError(f"metadata.name of {_a(item['kind'])} {_is_missing(name)}")
    place = f"{item['kind']} {name}"
    namespace = metadata.get("namespace", "default")
    if not isinstance(namespace, str) or not NAMESPACE.fullmatch(namespace):
        raise DocumentError(f"{place}: metadata.namespace {_is_missing(namespace)}")
    labels = metadata.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise DocumentError(f"{place}: metadata.labels must be a mapping of strings to strings")
    for container in _all_containers(item):
        if not isinstance(container, dict):
            raise DocumentError(f"{place}: a container must be a mapping, got {_type(container)}")
        if not isinstance(container.get("name"), str) or not container["name"]:
            raise DocumentError(f"{place}: name of a container {_is_missing(container.get('name'))}")
        if not isinstance(container.get("image") or "", str):
            raise DocumentError(f"{place}, container {container['name']}: image {_is_missing(container['image'])}")


def _is_missing(value: Any) -> str:
    return "is missing" if value in (None, "") else f"cannot be {reprlib.repr(value)}"


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"


def _type(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a string", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _containers(item: Object) -> Iterator[Object]:
    """Yield the containers of an object's pods that name an image."""
    return (container for container in _all_containers(item) if container.get("image"))


def _all_containers(item: Object) -> Iterator[Any]:
    path = _PODS.get(item["kind"])
    if path is None:
        return
    pods: Any = item
    for key in path:
        pods = pods.get(key) or {}
        if not isinstance(pods, dict):
            raise DocumentError(
                f"{item['kind']} {item['metadata']['name']}: {key} must be a mapping, got {_type(pods)}"
            )
    for key in ("initContainers", "containers"):
        containers = pods.get(key) or []
        if not isinstance(containers, list):
            raise DocumentError(
                f"{item['kind']} {item['metadata']['name']}: {key} must be a list, got {_type(containers)}"
            )
        yield from containers


def _kustomized(folder: Path, kubectl: Path) -> bytes:
    return _output([str(kubectl), "kustomize", str(folder)], folder)


def _output(command: list[str], source: Path) -> bytes:
    """Return the output of a command that reads manifests."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LIMIT, check=True, stdin=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        raise _unusable(source, error.stderr.decode(errors="replace").strip()) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unusable(source, str(error)) from error
    return done.stdout


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the manifest {path} cannot be read: {why}", hint="check [run] crds, rbac, manifests and chart"
    )
