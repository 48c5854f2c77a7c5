"""Detects in a controller's repository its manifests, its build command, and its CI system."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..implementation.manifests import KUSTOMIZATIONS
from ..inputs.documents import DocumentError, parse_documents
from ..inputs.files import text_of
from ..kube.client import Object
from .files import GITHUB, GITLAB
from .source import MAKEFILES

#: Folders that usually contain manifests, in addition to the directory itself.
_FOLDERS = ("config", "deploy", "manifests", "crds", "crd", "rbac")
_BINDINGS = {"RoleBinding", "ClusterRoleBinding"}
_RBAC = {"Role", "ClusterRole", *_BINDINGS}
#: Objects that a file of RBAC may contain, too: they grant nothing, and a session creates them anyway.
_BESIDE = {"ServiceAccount", "Namespace"}


@dataclass(frozen=True)
class Rbac:
    """The RBAC in a repository.

    :ivar files: files and folders that contain only RBAC.
    :ivar copied: objects for the service account that are in files with other objects; :ivar sources: these files.
    :ivar bound: whether a binding in `files` or `copied` names the service account.
    """

    files: tuple[str, ...]
    copied: tuple[Object, ...]
    sources: tuple[str, ...]
    bound: bool


def crds_in(directory: Path, group: str) -> tuple[str, ...]:
    """Return the files and folders that contain only CustomResourceDefinitions of a group."""

    def is_one(item: Object) -> bool:
        return item.get("kind") == "CustomResourceDefinition" and (item.get("spec") or {}).get("group") == group

    return _holding(directory, is_one)


def rbac_of(directory: Path, account: str) -> Rbac:
    """Return the Roles and bindings of a controller.

    Files of a Helm chart are left out: its templates read them, and add what they lack, such as bindings.

    :param account: ``namespace/name`` of its service account; '' if it is unknown.
    """
    found = _holding(directory, lambda item: item.get("kind") in _RBAC | _BESIDE, _is_rbac)
    files = tuple(path for path in found if not _in_chart(directory, path))
    pure = [item for path in files for file in _manifests(directory / path) for item in _objects(file)]
    if not account or _bind(pure, account):
        return Rbac(files, (), (), bound=True)
    mixed = {}
    for folder in _places(directory):
        for file in _manifests(folder):
            path = file.relative_to(directory).as_posix()
            objects = [item for item in _objects(file) if _is_rbac(item)]
            if _bind(objects, account) and not _in_chart(directory, path):
                mixed[path] = objects
    sources, objects = next(iter(mixed.items()), ("", []))
    known = [_identity(item) for item in pure]
    copied = tuple(item for item in objects if _identity(item) not in known)
    return Rbac(files, copied, (sources,) if sources else (), bound=bool(copied))


def _is_rbac(item: Object) -> bool:
    return item.get("kind") in _RBAC


def _bind(objects: Iterable[Object], account: str) -> bool:
    """Whether a binding names a service account."""
    subjects = [one for item in objects if item.get("kind") in _BINDINGS for one in item.get("subjects") or []]
    return any(f"{one.get('namespace')}/{one.get('name')}" == account for one in subjects if isinstance(one, dict))


def _identity(item: Object) -> tuple[object, ...]:
    metadata = item.get("metadata") or {}
    return item.get("kind"), metadata.get("namespace"), metadata.get("name")


def _in_chart(directory: Path, path: str) -> bool:
    folders = [Path(path), *Path(path).parents]
    return any((directory / folder / "Chart.yaml").is_file() for folder in folders)


def ci_of(directory: Path) -> str:
    """Return the CI system of a repository, '' if it is unknown."""
    if (directory / ".github").is_dir() or "github.com" in text_of(directory / ".git/config"):
        return GITHUB
    return GITLAB if (directory / ".gitlab-ci.yml").is_file() or "gitlab" in text_of(directory / ".git/config") else ""


def is_go(directory: Path) -> bool:
    """Whether a repository is a Go module."""
    return (directory / "go.mod").is_file()


def build_of(directory: Path, command: str) -> str:
    """Return the command that builds the program of a command from a repository, '' if it is unknown.

    A program without a slash, or with an absolute path, does not belong to the repository.
    """
    try:
        program = next(iter(shlex.split(command)), "")
    except ValueError:  # rendering the implementation file reports it
        return ""
    if "/" not in program or program.startswith("/"):
        return ""
    if any(re.search(r"^build *:(?!=)", text_of(directory / name), re.MULTILINE) for name in MAKEFILES):
        return "make build"
    if is_go(directory):
        for folder in (".", f"./cmd/{Path(program).name}", "./cmd"):
            if (directory / folder / "main.go").is_file():
                return f"go build -o {shlex.quote(program)} {folder}"
    return ""


def _holding(
    directory: Path, allowed: Callable[[Object], bool], wanted: Callable[[Object], bool] | None = None
) -> tuple[str, ...]:
    """Return the files with only allowed objects, relative to the directory; a folder replaces all its files.

    :param wanted: such an object is in each file; by default, an allowed one.
    """
    found: list[Path] = []
    for folder in _places(directory):
        files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        right = [
            file
            for file in _manifests(folder)
            if any(map(wanted or allowed, objects := _objects(file))) and all(map(allowed, objects))
        ]
        # A kustomization may change the files in its folder, or leave some out.
        whole = folder != directory and right and right == files
        found += [folder] if whole else right
    return tuple(path.relative_to(directory).as_posix() for path in found)


def _places(directory: Path) -> list[Path]:
    """Return the directory and the folders that usually contain manifests."""
    return [directory, *sorted(f for name in _FOLDERS for f in _folders(directory / name))]


def _manifests(path: Path) -> list[Path]:
    """Return the manifests in a folder, or the file itself."""
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
    return [file for file in files if file.name not in KUSTOMIZATIONS]


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield folder
        yield from (entry for entry in folder.rglob("*") if entry.is_dir())


def _objects(file: Path) -> list[Object]:
    """Return the objects in a file; [] if it is not a manifest: a template may have the name of a YAML file."""
    try:
        documents = [document for document in parse_documents(text_of(file).encode()) if document]
    except DocumentError:
        return []
    return documents if all(isinstance(document, dict) for document in documents) else []
