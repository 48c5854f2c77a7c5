"""The node's root file system: Debian, and in it kind's own files, as its Dockerfile arranges them."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_vault_issuer.toolchain.go import Go, find_go

from .. import debian
from ..components import KIND

FILES = Path(__file__).parent / "files"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus"),
    *("conntrack", "iptables", "nftables", "iproute2", "ethtool", "ebtables", "socat"),
    *("util-linux", "mount", "kmod", "libseccomp2", "pigz", "e2fsprogs"),
    *("bash", "ca-certificates", "curl", "jq", "procps"),
    *("runc", "containerd", "containernetworking-plugins"),
)
#: Units that make no sense in a container, as in kind's Dockerfile.
_UNWANTED_UNITS = (
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
    # kind has its own
    "lib/systemd/system/containerd.service",
)
#: Of the machine that makes the image, or of no use in it.
_UNWANTED_FILES = (
    "etc/hostname",
    "etc/resolv.conf",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    *(f"usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
)
_KUBELET_FLAGS = "--runtime-cgroups=/system.slice/containerd.service --fail-cgroupv1=false"
_CONTAINERD = "etc/containerd/config.toml"


def kind_files(scratch: Path) -> Path:
    """Return the directory with the files of kind's base image, from its Go module.

    :raises ToolchainError: as go's.
    """
    module = scratch / "kind"
    module.mkdir()
    for name, path in KIND.sources.items():
        shutil.copy(path, module / name)
    go = Go(find_go(KIND.go_version), scratch / "go")
    downloaded = json.loads(go.run("mod", "download", "-json", KIND.upstream, directory=module))
    return Path(downloaded["Dir"]) / "images" / "base" / "files"


def arrange(root: Path, files: Path) -> None:
    """Turn a root file system of :data:`PACKAGES` into that of kind's base image."""
    for pattern in (*_UNWANTED_UNITS, *_UNWANTED_FILES):
        _remove(root.glob(pattern))
    for source in sorted(path for path in files.rglob("*") if path.is_file()):
        relative = source.relative_to(files)
        mode = 0o755 if relative.parent.name == "bin" else 0o644
        _put(root / relative, source.read_bytes(), mode)
    _put(root / "kind/bin/keep-traffic-inside.sh", (FILES / "keep-traffic-inside.sh").read_bytes(), 0o755)
    for name, place in (
        ("keep-traffic-inside.service", "etc/systemd/system"),
        ("10-bridge.conflist", "etc/cni/net.d"),
        ("default-cni.yaml", "kind/manifests"),
        ("default-storage.yaml", "kind/manifests"),
    ):
        _put(root / place / name, (FILES / name).read_bytes(), 0o644)
    for program in ("containerd", "ctr"):
        (root / "usr/local/bin" / program).symlink_to(f"/usr/bin/{program}")
    plugins = root / "opt/cni/bin"
    plugins.mkdir(parents=True)
    for plugin in sorted((root / "usr/lib/cni").iterdir()):
        (plugins / plugin.name).symlink_to(f"/usr/lib/cni/{plugin.name}")
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    with (root / "etc/systemd/journald.conf").open("a") as journald:
        journald.write("ReadKMsg=no\n")
    (root / "etc/default/kubelet").write_text(f"KUBELET_EXTRA_ARGS={_KUBELET_FLAGS}\n")
    # Where CAP_SYS_RESOURCE is lacking, no container may have a lower score than its parent.
    containerd = (root / _CONTAINERD).read_text()
    (root / _CONTAINERD).write_text(
        containerd.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    )
    spec = _container_spec(json.loads(debian.in_root(root, "ctr oci spec")))
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec))
    services = ("kubelet", "containerd", "undo-mount-hacks", "keep-traffic-inside")
    debian.in_root(root, f"systemctl --quiet enable {' '.join(services)}; systemctl --quiet mask systemd-binfmt")


def pause_image(root: Path) -> str:
    """Return the image that containerd holds a pod's namespaces with."""
    config = tomllib.loads((root / _CONTAINERD).read_text())
    image = config["plugins"]["io.containerd.grpc.v1.cri"]["sandbox_image"]
    assert isinstance(image, str)
    return image


def _container_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return containerd's own default for containers with kind's hook, and without limits that may not be raised."""
    process = {name: value for name, value in spec["process"].items() if name != "rlimits"}
    hooks = {"createContainer": [{"path": "/kind/bin/mount-product-files.sh"}]}
    return {**spec, "process": process, "hooks": hooks}


def _put(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
