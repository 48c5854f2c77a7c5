"""Go programs of the images, beside those that the package's own toolchain builds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_vault_issuer.toolchain import COMPONENTS, Component, find

_MODULES = Path(__file__).parent / "modules"


class OwnProgram(Component):
    """A program of ours that has no upstream."""

    @property
    def version(self) -> str:
        """Ours; what it is made of is in its key."""
        return "v1.0.0"


#: Runs Vault in its image the way the official image does.
VAULT_ENTRYPOINT = OwnProgram(
    "vault-entrypoint", _MODULES / "vault_entrypoint", {"vault-entrypoint": "."}, "", minutes=0.2, peak=100, kept=6
)
#: Holds the namespaces of a pod.
PAUSE = OwnProgram("pause", _MODULES / "pause", {"pause": "."}, "", minutes=0.1, peak=80, kept=2)
KIND = Component(
    "kind", _MODULES / "kind", {"kind": "sigs.k8s.io/kind"}, "sigs.k8s.io/kind", minutes=0.5, peak=200, kept=8
)
#: What a node has besides the toolchain's own Kubernetes.
KUBERNETES_NODE = replace(
    find("kubernetes"),
    name="kubernetes-node",
    follows="",
    directory=_MODULES / "kubernetes_node",
    packages={name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kubeadm", "kubelet", "kube-proxy", "kube-scheduler")},
    minutes=5,
    peak=4600,
    kept=250,
)
COREDNS = Component(
    "coredns", _MODULES / "coredns", {"coredns": "."}, "github.com/coredns/coredns", minutes=2, peak=1500, kept=50
)
#: Everything that can be built, the toolchain's own included.
ALL = (KUBERNETES_NODE, COREDNS, KIND, VAULT_ENTRYPOINT, PAUSE, *COMPONENTS)
