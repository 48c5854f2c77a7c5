"""The components: Go modules and packages, and the binaries that they produce."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigurationError
from ..requirements.features import check_known

MODULES = Path(__file__).parent / "modules"
#: Increase it after a change of the build that changes no file of a module.
_RECIPE = 1
#: Component with cert-manager's CRDs. Every stack needs them, and only sessions that judge cert-manager its programs.
CRDS = "cert-manager-crds"
#: Name of the components of a local Kubernetes together: their version is selected by it.
KUBERNETES = "kubernetes"
#: Components by the name of a group; the first has the version of the group.
GROUPS = {KUBERNETES: ("kube-apiserver", "kube-controller-manager", "etcd")}
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
    """One version of a Go module of this package, and its binaries.

    :ivar directory: files of this version: go.mod and go.sum, which pin everything, and Go files, if any.
    :ivar packages: Go package by name of the binary.
    :ivar upstream: module whose version is that of the component.
    :ivar shared: directory of the Go files for all versions; None if there are none.
    :ivar stamps: Go variables with the version, by name; without them, binaries report another version.
    :ivar crds: directory in the upstream module whose YAML files are kept beside the binaries.
    :ivar inside: new folder in a copy of the upstream module. The shared Go files are built there, so that they may
        import internal packages of the module; '' for a separate module. The upstream go.sum pins such a build.
    :ivar follows: component or group whose version this one has; '' for its own version.
    :ivar released: version of a component that is only downloaded, and never built; '' for a Go module.
    :ivar is_optional: whether only a session that needs it builds it.
    :ivar minutes: measured duration of a full build on 2 cores.
    :ivar peak: measured growth of Go's caches during the build, in MB.
    :ivar kept: measured size of the binaries, in MB.
    """

    name: str
    directory: Path
    packages: dict[str, str] = field(hash=False)
    upstream: str
    shared: Path | None = None
    stamps: dict[str, str] = field(default_factory=dict, hash=False)
    crds: str = ""
    inside: str = ""
    follows: str = ""
    released: str = ""
    is_optional: bool = False
    minutes: float = 1.0
    peak: int = 500
    kept: int = 1

    @property
    def products(self) -> tuple[str, ...]:
        """What it is built for: its binaries, or its own name if it consists of CRDs only."""
        return tuple(self.packages) or (self.name,)

    @property
    def version(self) -> str:
        """The version of the upstream module in go.mod, such as ``v1.36.3``."""
        if self.released:
            return self.released
        found = re.search(rf"^\s*(?:require )?{re.escape(self.upstream)} (v\S+)", self._go_mod, re.MULTILINE)
        assert found is not None, f"{self.directory}/go.mod does not require {self.upstream}"
        return found[1]

    @property
    def line(self) -> str:
        """Its minor release, such as ``1.36``."""
        return ".".join(self.version.lstrip("v").split(".")[:2])

    @property
    def sources(self) -> dict[str, Path]:
        """All files of the module by name: those of this version and the shared ones."""
        if self.released:
            return {}
        return {
            path.name: path
            for directory in (self.shared, self.directory)
            if directory is not None
            for path in sorted(directory.iterdir())
            if path.is_file() and not (self.inside and directory == self.directory and path.suffix == ".go")
        }

    @property
    def go_version(self) -> tuple[int, int]:
        """The oldest Go that can build it."""
        if self.released:
            return 0, 0
        found = re.search(r"^go (\d+)\.(\d+)", self._go_mod, re.MULTILINE)
        assert found is not None, f"{self.directory}/go.mod has no go directive"
        return int(found[1]), int(found[2])

    @property
    def key(self) -> str:
        """Hash of everything that determines the binaries, except for the version of Go."""
        digest = hashlib.sha256(repr((_RECIPE, self.packages, self.flags, sys.platform, platform.machine())).encode())
        for name, path in sorted(self.sources.items()):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    @property
    def flags(self) -> list[str]:
        """Flags of ``go build``: reproducible, small, and without debug information, which would take long."""
        major, minor = self.line.split(".")
        link = ["-s", "-w"]
        link += [
            f"-X {name}={value.format(version=self.version, major=major, minor=minor)}"
            for name, value in self.stamps.items()
        ]
        return ["-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", f"-ldflags={' '.join(link)}"]

    @property
    def _go_mod(self) -> str:
        return (self.directory / "go.mod").read_text()


#: Package, and measured minutes, peak and size, by binary of Kubernetes. Each component after the first builds on the
#: compiled packages of those before it. kubectl is only for kustomizations and for people.
_KUBERNETES_BINARIES: dict[str, tuple[str, float, int, int]] = {
    "kube-apiserver": ("k8s.io/kubernetes/cmd/kube-apiserver", 3, 3000, 106),
    "kube-controller-manager": ("k8s.io/kubernetes/cmd/kube-controller-manager", 1, 1000, 96),
    "etcd": ("go.etcd.io/etcd/server/v3", 0.5, 300, 27),
    "kubectl": ("k8s.io/kubernetes/cmd/kubectl", 0.5, 300, 60),
}


def _kubernetes(line: str) -> Iterable[Component]:
    """Return a component for each binary, so that each may come from another source."""
    for name, (package, minutes, peak, kept) in _KUBERNETES_BINARIES.items():
        yield Component(
            name,
            MODULES / "kubernetes" / line,
            {name: package},
            "k8s.io/kubernetes",
            stamps=_KUBERNETES_STAMPS,
            follows=KUBERNETES,
            is_optional=name == "kubectl",
            minutes=minutes,
            peak=peak,
            kept=kept,
        )


def _vault(line: str, *, minutes: float, peak: int, kept: int) -> Component:
    return Component(
        "vault",
        MODULES / "vault" / line,
        {"vault": "."},
        "github.com/hashicorp/vault",
        shared=MODULES / "vault",
        minutes=minutes,
        peak=peak,
        kept=kept,
    )


def _cert_manager(line: str, kept: int) -> Component:
    return Component(
        "cert-manager",
        MODULES / "cert_manager" / line,
        {"cert-manager-controller": "."},
        "github.com/cert-manager/cert-manager",
        shared=MODULES / "cert_manager",
        stamps={"github.com/cert-manager/cert-manager/pkg/util.AppVersion": "{version}"},
        minutes=2,
        peak=1900,
        kept=kept,
    )


def _cert_manager_crds(line: str) -> Component:
    return Component(
        CRDS,
        MODULES / "cert_manager" / line,
        {},  # the module is downloaded, without those that it requires, and nothing is compiled
        "github.com/cert-manager/cert-manager",
        crds="deploy/crds",
        follows="cert-manager",
        minutes=0.1,
        peak=40,
        kept=1,
    )


def _cert_manager_webhook(line: str, kept: int) -> Component:
    folder = "vault-issuer-webhook"
    return Component(
        "cert-manager-webhook",
        MODULES / "cert_manager" / line,  # go.mod and go.sum pin the release that is copied
        {"cert-manager-webhook": f"./{folder}"},
        "github.com/cert-manager/cert-manager",
        shared=MODULES / "cert_manager_webhook",
        stamps={"github.com/cert-manager/cert-manager/pkg/util.AppVersion": "{version}"},
        inside=folder,
        follows="cert-manager",
        minutes=1,
        peak=1900,
        kept=kept,
    )


def _helm(line: str, *, kubernetes: str) -> Component:
    """Return helm.

    :param kubernetes: release of the Kubernetes libraries that it requires. Without this stamp, charts see 1.20.
    """
    major, minor = kubernetes.split(".")
    capabilities = "helm.sh/helm/v3/pkg/chartutil"
    return Component(
        "helm",
        MODULES / "helm" / line,
        {"helm": "helm.sh/helm/v3/cmd/helm"},
        "helm.sh/helm/v3",
        stamps={
            "helm.sh/helm/v3/internal/version.version": "{version}",
            f"{capabilities}.k8sVersionMajor": major,
            f"{capabilities}.k8sVersionMinor": minor,
        },
        is_optional=True,
        minutes=2,
        peak=1900,
        kept=60,
    )


#: Release of cert-manager -> measured MB of its controller, and of its webhook.
_CERT_MANAGERS = {"1.21": (71, 65), "1.20": (65, 60), "1.19": (63, 58), "1.18": (61, 56), "1.15": (55, 50)}
#: In the order of the builds, the longest first. The first version of each name is the default.
COMPONENTS = (
    *_kubernetes("1.36"),
    *_kubernetes("1.37"),
    *_kubernetes("1.35"),
    # Releases of Vault need a vault/sdk that was not published separately. These are the newest releases of each minor
    # version that work with a published sdk. None works with 1.20.0 to 1.20.3, 1.21.3, 1.21.4, or 1.14: 1.14.2 compiles
    # with 0.10.2, and fails at the first write ("defines a CreateOperation but no ExistenceCheck").
    _vault("1.21", minutes=4, peak=3700, kept=126),
    _vault("1.19", minutes=4, peak=3700, kept=119),
    # Not proved: this release is not published as a Go module, and was only downloaded by users.
    Component("vault", MODULES / "vault", {"vault": ""}, "", released="v2.0.3", minutes=0, peak=0, kept=160),
    *(_cert_manager(line, kept) for line, (kept, _) in _CERT_MANAGERS.items()),
    *(_cert_manager_webhook(line, kept) for line, (_, kept) in _CERT_MANAGERS.items()),
    *map(_cert_manager_crds, _CERT_MANAGERS),
    _helm("3.22", kubernetes="1.37"),
)
BINARIES = tuple(dict.fromkeys(binary for component in COMPONENTS for binary in component.packages))


def members(name: str) -> tuple[str, ...]:
    """Return the names of the components of a group, or the name itself."""
    return GROUPS.get(name, (name,))


def releases(name: str, components: Iterable[Component] = COMPONENTS) -> list[Component]:
    """Return all versions of a component, the default first; those of the first component of a group."""
    return [component for component in components if component.name == members(name)[0]]


def find(name: str, version: str = "", components: Iterable[Component] = COMPONENTS) -> Component:
    """Return the component with a name and a version.

    :param name: of a component, or of a group for the first component in it.
    :param version: a minor release (1.18) or a full version (1.18.2 or v1.18.2); '' for the default.
    :raises ConfigurationError: if there is none; it lists the existing ones.
    """
    components = list(components)
    check_known("component", [name], dict.fromkeys([*(component.name for component in components), *GROUPS]))
    named = releases(name, components)
    for component in named:
        if version.removeprefix("v") in ("", component.line, component.version.lstrip("v")):
            return component
    raise ConfigurationError(
        f"there is no {name} {version}",
        hint=f"one of: {', '.join(component.version.lstrip('v') for component in named)}",
    )
