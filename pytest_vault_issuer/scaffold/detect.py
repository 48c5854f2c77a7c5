"""Detects in a controller's repository its manifests, its build command, and its CI system."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from ..implementation.manifests import KUSTOMIZATIONS
from .files import GITHUB, GITLAB
from .source import MAKEFILES

#: Folders that usually contain manifests, in addition to the directory itself.
_FOLDERS = ("config", "deploy", "manifests", "crds", "crd", "rbac")
_RBAC = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"}


def crds_in(directory: Path, group: str) -> tuple[str, ...]:
    """Return the files and folders that contain only CustomResourceDefinitions of a group."""

    def is_one(item: dict[str, Any]) -> bool:
        return item.get("kind") == "CustomResourceDefinition" and (item.get("spec") or {}).get("group") == group

    return _holding(directory, is_one)


def rbac_in(directory: Path) -> tuple[str, ...]:
    """Return files and folders that contain Roles, bindings and ServiceAccounts, and nothing else.

    Files of a Helm chart are left out: its templates read them, and add what they lack, such as bindings.
    """
    found = _holding(directory, lambda item: item.get("kind") in _RBAC)
    return tuple(path for path in found if not _in_chart(directory, path))


def _in_chart(directory: Path, path: str) -> bool:
    folders = [Path(path), *Path(path).parents]
    return any((directory / folder / "Chart.yaml").is_file() for folder in folders)


def ci_of(directory: Path) -> str:
    """Return the CI system of a repository, '' if it is unknown."""
    if (directory / ".github").is_dir() or "github.com" in _text(directory / ".git/config"):
        return GITHUB
    return GITLAB if (directory / ".gitlab-ci.yml").is_file() or "gitlab" in _text(directory / ".git/config") else ""


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
    if any(re.search(r"^build *:(?!=)", _text(directory / name), re.MULTILINE) for name in MAKEFILES):
        return "make build"
    if is_go(directory):
        for folder in (".", f"./cmd/{Path(program).name}", "./cmd"):
            if (directory / folder / "main.go").is_file():
                return f"go build -o {shlex.quote(program)} {folder}"
    return ""


def _holding(directory: Path, wanted: Callable[[dict[str, Any]], bool]) -> tuple[str, ...]:
    """Return the files with only wanted objects, relative to the directory; a folder replaces all its files."""
    folders = [directory, *sorted(f for name in _FOLDERS for f in _folders(directory / name))]
    found: list[Path] = []
    for folder in folders:
        files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        manifests = [file for file in files if file.name not in KUSTOMIZATIONS]
        right = [file for file in manifests if (objects := _objects(file)) and all(map(wanted, objects))]
        # A kustomization may change the files in its folder, or leave some out.
        whole = folder != directory and right and right == files
        found += [folder] if whole else right
    return tuple(path.relative_to(directory).as_posix() for path in found)


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield folder
        yield from (entry for entry in folder.rglob("*") if entry.is_dir())


def _objects(file: Path) -> list[dict[str, Any]]:
    """Return the objects in a file; [] if it is not a manifest: a template may have the name of a YAML file."""
    try:
        documents = [document for document in yaml.safe_load_all(_text(file)) if document]
    except yaml.YAMLError:
        return []
    return documents if all(isinstance(document, dict) for document in documents) else []


def _text(file: Path) -> str:
    """Return the text of a file, '' if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
