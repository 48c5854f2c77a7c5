"""Selects the binaries of a session: those of the user, else those of the toolchain."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError, ToolchainError
from .cache import Toolchain

#: Binaries of a local Kubernetes.
KUBERNETES = ("etcd", "kube-apiserver", "kube-controller-manager")


@dataclass(frozen=True)
class Binaries:
    """Paths of the binaries of the provider ``process``, and of the directory with cert-manager's CRDs."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    vault: Path
    crds: Path


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
    )


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
