"""The images of Kubernetes' own components, under the names that kubeadm asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import debian
from ..archive import Entry, Image

_PATH = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
#: What kube-proxy runs; it takes the rules of nftables, as the node does.
_PROXY_PROGRAMS = ("usr/sbin/xtables-nft-multi", "usr/sbin/xtables-legacy-multi", "usr/sbin/conntrack", "usr/sbin/nft")
#: A library's path as ldd tells it; /lib is a link to /usr/lib.
_LIBRARY = re.compile(r"(/lib\S*) \(0x")
_PROXY_LINKS = tuple(
    f"ip{family}tables{variant}{action}"
    for family in ("", "6")
    for variant in ("", "-nft", "-legacy")
    for action in ("", "-save", "-restore")
)


def images(binaries: Mapping[str, Path], names: Iterable[str], pause: str, root: Path) -> list[Image]:
    """Return the images of the components.

    :param names: those that kubeadm lists.
    :param pause: the one that containerd is configured with.
    :param root: Debian, for what kube-proxy runs.
    :raises KeyError: for a component that there is no binary of.
    """
    return [
        *(_component(name, binaries, root) for name in names if _program(name) != "pause"),
        Image(pause, (Entry("/pause", binaries["pause"]),), {"Entrypoint": ["/pause"]}),
    ]


def _program(image: str) -> str:
    return image.rpartition(":")[0].rpartition("/")[2]


def _component(name: str, binaries: Mapping[str, Path], root: Path) -> Image:
    program = _program(name)
    place = f"/usr/local/bin/{program}"
    entries = [Entry(place, binaries[program]), Entry("/tmp", mode=0o1777)]  # noqa: S108 - the image's own
    if program == "kube-proxy":
        entries += _proxy_entries(root)
    # kubeadm names the command of all but CoreDNS.
    return Image(name, tuple(entries), _PATH | ({"Entrypoint": [place]} if program == "coredns" else {}))


def _proxy_entries(root: Path) -> list[Entry]:
    extensions = sorted(str(path.relative_to(root)) for path in root.glob("usr/lib/*/xtables/*.so"))
    programs = [*_PROXY_PROGRAMS, *extensions]
    # The libraries of each extension too: one that is lacking shows only once a rule needs it.
    listed = debian.in_root(root, f"ldd {' '.join(f'/{name}' for name in programs)}")
    libraries = sorted({f"usr{path}" for path in _LIBRARY.findall(listed)})
    links = {name: f"xtables-{'legacy' if 'legacy' in name else 'nft'}-multi" for name in _PROXY_LINKS}
    return [
        *(Entry(f"/{name}", _file(root, root / name)) for name in (*programs, *libraries)),
        *(Entry(f"/usr/sbin/{name}", link=target) for name, target in links.items()),
        *(Entry(f"/{name}", link=f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")),
        Entry("/run"),  # iptables' lock
    ]


def _file(root: Path, path: Path) -> Path:
    """Return what a link in a root file system leads to; absolute ones mean that root."""
    while path.is_symlink():
        target = path.readlink()
        path = root / target.relative_to("/") if target.is_absolute() else path.parent / target
    return path
