"""What a repository shows of an issuer: its manifests, what builds it, and where its CI runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from ..implementation.manifests import KUSTOMIZATIONS
from .files import GITHUB, GITLAB

#: Where manifests usually are, beside the directory itself.
_FOLDERS = ("config", "deploy", "manifests", "crds", "crd", "rbac")
#: In the order in which make looks for them.
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_RBAC = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"}


def crds_in(directory: Path, group: str) -> tuple[str, ...]:
    """Return files and folders that hold the CustomResourceDefinitions of a group, and nothing else."""

    def is_one(item: dict[str, Any]) -> bool:
        return item.get("kind") == "CustomResourceDefinition" and (item.get("spec") or {}).get("group") == group

    return _holding(directory, is_one)


def rbac_in(directory: Path) -> tuple[str, ...]:
    """Return files and folders that hold Roles, bindings and ServiceAccounts, and nothing else."""
    return _holding(directory, lambda item: item.get("kind") in _RBAC)


def ci_of(directory: Path) -> str:
    """Return the CI system that a repository uses, '' where nothing shows it."""
    if (directory / ".github").is_dir() or "github.com" in _text(directory / ".git/config"):
        return GITHUB
    return GITLAB if (directory / ".gitlab-ci.yml").is_file() or "gitlab" in _text(directory / ".git/config") else ""


def is_go(directory: Path) -> bool:
    """Whether a repository is a module of Go."""
    return (directory / "go.mod").is_file()


def build_of(directory: Path, command: str) -> str:
    """Return what builds the program of a command from a repository, '' where nothing shows it.

    A program without a slash is one of the machine's, and an absolute path none of the repository's.
    """
    try:
        program = next(iter(shlex.split(command)), "")
    except ValueError:  # said where the file is made of it
        return ""
    if "/" not in program or program.startswith("/"):
        return ""
    if any(re.search(r"^build *:(?!=)", _text(directory / name), re.MULTILINE) for name in _MAKEFILES):
        return "make build"
    if is_go(directory):
        for folder in (".", f"./cmd/{Path(program).name}", "./cmd"):
            if (directory / folder / "main.go").is_file():
                return f"go build -o {shlex.quote(program)} {folder}"
    return ""


def _holding(directory: Path, wanted: Callable[[dict[str, Any]], bool]) -> tuple[str, ...]:
    """Return what holds only wanted objects, relative to the directory; a folder in the place of all its files."""
    folders = [directory, *sorted(f for name in _FOLDERS for f in _folders(directory / name))]
    found: list[Path] = []
    for folder in folders:
        files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        manifests = [file for file in files if file.name not in KUSTOMIZATIONS]
        right = [file for file in manifests if (objects := _objects(file)) and all(map(wanted, objects))]
        # A kustomization may change what is in the files beside it, or leave some out.
        whole = folder != directory and right and right == files
        found += [folder] if whole else right
    return tuple(path.relative_to(directory).as_posix() for path in found)


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield folder
        yield from (entry for entry in folder.rglob("*") if entry.is_dir())


def _objects(file: Path) -> list[dict[str, Any]]:
    """Return a file's objects; [] for what is no manifest: templates are YAML by their name alone."""
    try:
        documents = [document for document in yaml.safe_load_all(_text(file)) if document]
    except yaml.YAMLError:
        return []
    return documents if all(isinstance(document, dict) for document in documents) else []


def _text(file: Path) -> str:
    """Return a file's text, '' where there is none to read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
