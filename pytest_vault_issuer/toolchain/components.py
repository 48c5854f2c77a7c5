"""What is built: which Go modules and packages make which binaries."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

MODULES = Path(__file__).parent / "modules"
#: Raised when something about building changes that no file of a module shows.
_RECIPE = 1
_KUBERNETES_STAMPS = {
    f"{package}.{name}": value
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in (
        ("gitVersion", "{version}"),
        ("gitMajor", "{major}"),
        ("gitMinor", "{minor}"),
        ("gitTreeState", "clean"),
    )
}


@dataclass(frozen=True)
class Component:
    """One Go module of ours and the binaries that come out of it.

    :ivar directory: the module, with go.mod and go.sum that pin everything.
    :ivar packages: Go package by binary name.
    :ivar upstream: module whose version is the component's.
    :ivar stamps: Go variables that say the version, and what of it; unset, binaries call themselves something else.
    :ivar crds: directory in the upstream module whose YAML files are kept beside the binaries.
    :ivar minutes: measured duration of a build from nothing on 2 cores.
    """

    name: str
    directory: Path
    packages: dict[str, str]
    upstream: str
    stamps: dict[str, str] = field(default_factory=dict)
    crds: str = ""
    minutes: float = 1.0

    @property
    def version(self) -> str:
        """The upstream module's version in go.mod, such as ``v1.36.3``."""
        found = re.search(rf"^\s*(?:require )?{re.escape(self.upstream)} (v\S+)", self._go_mod, re.MULTILINE)
        assert found is not None, f"{self.directory}/go.mod does not require {self.upstream}"
        return found[1]

    @property
    def go_version(self) -> tuple[int, int]:
        """The oldest Go that can build it."""
        found = re.search(r"^go (\d+)\.(\d+)", self._go_mod, re.MULTILINE)
        assert found is not None, f"{self.directory}/go.mod has no go directive"
        return int(found[1]), int(found[2])

    @property
    def key(self) -> str:
        """Hash of everything that goes into the binaries, the version of Go excepted."""
        digest = hashlib.sha256(repr((_RECIPE, self.packages, self.flags, sys.platform, platform.machine())).encode())
        for path in sorted(self.directory.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    @property
    def flags(self) -> list[str]:
        """Flags of ``go build``: reproducible, small, and without debug information, which takes long to make."""
        major, minor = self.version.lstrip("v").split(".")[:2]
        link = ["-s", "-w"]
        link += [
            f"-X {name}={value.format(version=self.version, major=major, minor=minor)}"
            for name, value in self.stamps.items()
        ]
        return ["-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", f"-ldflags={' '.join(link)}"]

    @property
    def _go_mod(self) -> str:
        return (self.directory / "go.mod").read_text()


#: In the order in which they are started: the longest first.
COMPONENTS = (
    Component(
        "kubernetes",
        MODULES / "kubernetes",
        {
            "etcd": "go.etcd.io/etcd/server/v3",
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        },
        "k8s.io/kubernetes",
        stamps=_KUBERNETES_STAMPS,
        minutes=5,
    ),
    Component("vault", MODULES / "vault", {"vault": "."}, "github.com/hashicorp/vault", minutes=4),
    Component(
        "cert-manager",
        MODULES / "cert_manager",
        {"cert-manager-controller": "."},
        "github.com/cert-manager/cert-manager",
        stamps={"github.com/cert-manager/cert-manager/pkg/util.AppVersion": "{version}"},
        crds="deploy/crds",
        minutes=2,
    ),
)
BINARIES = tuple(binary for component in COMPONENTS for binary in component.packages)
