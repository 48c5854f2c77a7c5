"""Detects in a repository how its program is called, where it is built, and which flags its source declares.

Manifests show only the flags that a pod needs. On one machine, a program also needs free ports, and no leader election.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..inputs.files import text_of

_DOCKERFILES = ("Dockerfile", "Containerfile")
#: In the order in which make looks for them.
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
#: The exec form: https://docs.docker.com/reference/dockerfile/#entrypoint
_ENTRYPOINT = re.compile(r"^ENTRYPOINT\s+(\[.*\])\s*$", re.MULTILINE | re.IGNORECASE)
#: Programs that only start another one.
_INITS = {"tini", "dumb-init"}
_RECIPE = re.compile(r"^build *:(?!=).*\n((?:\t.*\n|\s*\n)*)", re.MULTILINE)
_OUTPUT = re.compile(r"\bgo build\b[^\n]*\s-o[ =](?P<path>[\w./-]+)(?=\s|$)")
#: A declaration with flag, pflag or a FlagSet, such as StringVar(&address, "metrics-bind-address", ":8080", …).
_DECLARED = re.compile(
    r"\.(?:String|Bool|Int)\w*\(\s*(?:&?[\w.]+,\s*)?\"(?P<name>[\w-]+)\",\s*(?:\"\w?\",\s*)?(?P<default>\"[^\"]*\"|\w+)"
)
#: An address to listen at on a fixed port; port 0 turns a server off, or is free.
_LISTENS = re.compile(r"\"(?P<host>(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::1?\])?:)[1-9]\d*\"")
_SERVER_PORT = re.compile(r"(metrics|health|healthz|probe|readiness|readyz|pprof)[\w-]*port")
_LEADER = re.compile(r"(enable-)?leader-elect(ion)?")
_ISSUER_LIB = re.compile(r"^\s*(?:require\s+)?github\.com/cert-manager/issuer-lib\s", re.MULTILINE)
#: https://github.com/cert-manager/issuer-lib, api/v1alpha1/issuer_interface.go
_IDENTIFIER = re.compile(
    r"\(\s*(?:\w+\s+)?\*?(?P<kind>\w+)\)\s*GetIssuerTypeIdentifier\(\)\s*string\s*\{"
    r"\s*return\s+\"(?P<type>[\w.-]+)\"\s*\}"
)
#: The identifier of ClusterIssuers of cert-manager.io: https://github.com/cert-manager/issuer-lib, intree/
_INTREE = "cmclusterissuers.issuer.cert-manager.io"
_NAMESPACE = "cluster-resource-namespace"
#: Calls that declare the flags of controller-runtime or kubectl, which contain ``--kubeconfig``.
_DECLARES_KUBECONFIG = ("flag.Parse()", "AddGoFlag", "genericclioptions.NewConfigFlags(")
#: Files of a repository whose programs are not written in Go.
_OTHER_LANGUAGES = (
    "pyproject.toml",
    "setup.py",
    "requirements.txt",
    "Cargo.toml",
    "pom.xml",
    "build.gradle",
    "package.json",
)


def entrypoint(directory: Path) -> str:
    """Return the name of the program that the repository's image starts; '' if it is unknown."""
    for found in _ENTRYPOINT.findall(_first_text(directory, _DOCKERFILES)):
        try:
            words = [str(word) for word in json.loads(found)]
        except ValueError:
            continue
        names = [word.rpartition("/")[2] for word in words if not word.startswith("-")]
        if names := [name for name in names if name not in _INITS]:
            return names[0]
    return ""


def built(directory: Path, program: str) -> str:
    """Return the file that ``make build`` writes for a program, relative to the repository; '' if it is unknown."""
    recipes = _RECIPE.findall(f"{_first_text(directory, MAKEFILES)}\n")
    paths = [path.removeprefix("./") for recipe in recipes for path in _OUTPUT.findall(recipe)]
    paths = [path for path in paths if not path.startswith("/") and ".." not in path.split("/")]
    of_program = [path for path in paths if path.rpartition("/")[2] == program]
    return next(iter(of_program or (paths if len(paths) == 1 else ())), "")


def loopback(host: str) -> str:
    """Return the host of an address to listen on; 127.0.0.1 instead of all interfaces, which other machines reach.

    :param host: with its colon: ``0.0.0.0:``; '' for a port without a host.
    """
    return "127.0.0.1:" if host in (":", "0.0.0.0:", "[::]:") else host


def uses_issuer_lib(directory: Path) -> bool:
    """Whether a Go module is built with cert-manager's issuer-lib."""
    return _ISSUER_LIB.search(text_of(directory / "go.mod")) is not None


def signer_type(directory: Path, group: str, kind: str) -> str:
    """Return the part of a signerName before the slash that issuer-lib expects for a cluster-scoped kind.

    :return: '' if the source does not show it.
    """
    for file in _go_files(directory):
        for found in _IDENTIFIER.finditer(text_of(file)):
            if found["kind"] == kind:
                return found["type"]
    return _INTREE if group == "cert-manager.io" and kind == "ClusterIssuer" else ""


def takes_kubeconfig(directory: Path, program: str) -> bool:
    """Whether a program may have the flag ``--kubeconfig``; True if its source does not show that it has none.

    controller-runtime declares the flag in Go's package flag:
    https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/client/config. The flags of kubectl contain it, too:
    https://pkg.go.dev/k8s.io/cli-runtime/pkg/genericclioptions#ConfigFlags.

    :param program: its name; its source is in the directory, ``cmd`` or ``cmd/PROGRAM``.
    """
    if not (directory / "go.mod").is_file():
        return not any((directory / name).is_file() for name in _OTHER_LANGUAGES)
    texts = [text_of(file) for file in _sources(directory, program)]
    if not texts or any('"kubeconfig"' in text_of(file) for file in _go_files(directory)):
        return True
    return any(mark in text for text in texts for mark in _DECLARES_KUBECONFIG)


def flags(directory: Path, program: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return the flags that a process on this machine needs in addition to those given.

    These are a free port on the loopback interface for each fixed one, no leader election if it is the default, and
    the namespace of the Secrets of cluster-scoped issuer objects.

    :param program: its name; its source is in the directory, ``cmd`` or ``cmd/PROGRAM``.
    """
    taken = {word.lstrip("-").partition("=")[0] for word in given}
    found: dict[str, str] = {}
    for file in _sources(directory, program):
        for declared in _DECLARED.finditer(text_of(file)):
            name, value = declared["name"], _value(declared["name"], declared["default"])
            if value and name not in taken:
                found.setdefault(name, f"--{name}={value}")
    return tuple(found.values())


def _value(name: str, default: str) -> str:
    if (listens := _LISTENS.fullmatch(default)) is not None:
        return f"{loopback(listens['host'])}{{free_port}}"
    if _SERVER_PORT.fullmatch(name) and default.isdigit() and default != "0":
        return "{free_port}"
    if _LEADER.fullmatch(name) and default == "true":
        return "false"
    return "{cluster_resource_namespace}" if name == _NAMESPACE else ""


def _sources(directory: Path, program: str) -> Iterator[Path]:
    commands = directory / "cmd"
    folders = [folder for folder in sorted(commands.iterdir()) if folder.is_dir()] if commands.is_dir() else []
    own = [folder for folder in folders if folder.name == program] or (folders if len(folders) == 1 else [])
    files = [*sorted(directory.glob("*.go")), *sorted(commands.glob("*.go"))]
    for file in [*files, *(file for folder in own for file in sorted(folder.rglob("*.go")))]:
        if not file.name.endswith("_test.go"):
            yield file


def _go_files(directory: Path) -> Iterator[Path]:
    """Yield the Go files of a repository: a program may declare its flags in any package."""
    for file in directory.rglob("*.go"):
        if "vendor" not in file.relative_to(directory).parts and not file.name.endswith("_test.go"):
            yield file


def _first_text(directory: Path, names: Iterable[str]) -> str:
    return next((text for name in names if (text := text_of(directory / name))), "")
