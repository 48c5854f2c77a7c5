"""Puts the node image together."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import archive, debian
from . import components, root

#: As in kind's Dockerfile: systemd is told that it is in a container, and ends on a signal of its own.
CONFIG: Mapping[str, Any] = {
    "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
    "StopSignal": "SIGRTMIN+3",
    "Env": ["container=docker", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
}
#: Of the toolchain; the first three are in the node itself, kind tells which files it expects, the rest are images.
BINARIES = (
    *("kubeadm", "kubelet", "kubectl", "kind"),
    *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns", "pause"),
)
SOURCES = tuple(sorted(path for path in Path(__file__).parent.rglob("*") if path.is_file() and path.suffix != ".pyc"))
#: A containerd that only keeps images: its root is the node's.
_IMPORT = """\
containerd --root /var/lib/containerd --state /run/import --address /run/import.sock --log-level error &
export CONTAINERD_ADDRESS=/run/import.sock
timeout 60 bash -c 'until ctr version >/dev/null 2>&1; do sleep 0.1; done'
ctr --namespace k8s.io images import --all-platforms --no-unpack /components.tar
kill %1
wait
rm -rf /components.tar /run/import /run/import.sock
"""


def make(binaries: Mapping[str, Path], scratch: Path, say: Callable[[str], None]) -> Path:
    """Return the node's root file system; as root, and on Debian where debootstrap is lacking.

    :raises ToolchainError: for a step that cannot be done here, or fails.
    """
    debian.require_root("making a node image (chroot, mounts, Debian's packages)")
    debian.install("debootstrap", "debootstrap", "it makes the node's root file system", say)
    target = scratch / "root"
    say(f"debootstrap of Debian {debian.SUITE}: systemd, containerd, runc and iptables of the node (1 min)")
    debian.bootstrap(target, root.PACKAGES)
    say("the files of kind's own base image, from its Go module: entrypoint, units, containerd's configuration")
    root.arrange(target, root.kind_files(scratch))
    for name in ("kubeadm", "kubelet", "kubectl"):
        shutil.copy(binaries[name], target / "usr/bin" / name)
    version = debian.run([str(binaries["kubeadm"]), "version", "-o", "short"]).strip()
    (target / "kind/version").write_text(version)
    names = debian.run([str(binaries["kubeadm"]), "config", "images", "list", "--kubernetes-version", version]).split()
    say(f"images of Kubernetes {version}'s components, under the names that kubeadm asks for")
    images = components.images(binaries, names, root.pause_image(target), target)
    archive.write(target / "components.tar", images, platform.machine())
    say("giving them to the node's containerd, so that a cluster starts without a registry")
    debian.in_root(target, _IMPORT)
    return target
