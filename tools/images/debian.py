"""Debian's packages: what a step needs of them on this machine, and a root file system of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pytest_vault_issuer.errors import ToolchainError

#: The release of the node, independent of the machine; its containerd and runc are tested.
SUITE = "bookworm"


def require_root(what: str) -> None:
    """Complain unless this is root on Linux.

    :raises ToolchainError: saying what needs it.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ToolchainError(f"{what} needs root on Linux", hint="run it as root, or in a virtual machine")


def install(command: str, package: str, why: str, say: Callable[[str], None]) -> None:
    """Install a package unless its command is there.

    :raises ToolchainError: where that is not Debian's way, or fails.
    """
    if shutil.which(command) is not None:
        return
    if shutil.which("apt-get") is None:
        raise ToolchainError(f"there is no {command}, and no apt-get to install it with", hint=f"install {command}")
    say(f"installing Debian's package {package}, as root: {why}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        run(["apt-get", "-qq", *arguments], environment=environment)


def unpack(package: str, scratch: Path) -> Path:
    """Fetch a package and return a directory with what is in it; nothing is installed, and no root is needed.

    :raises ToolchainError: where this is not Debian, or it cannot be fetched.
    """
    if shutil.which("apt-get") is None:
        raise ToolchainError(f"{package} is fetched with apt-get, and there is none", hint="make this image on Debian")
    run(["apt-get", "-qq", "download", package], directory=scratch)
    (archive,) = scratch.glob(f"{package}_*.deb")
    target = scratch / package
    run(["dpkg-deb", "--extract", str(archive), str(target)])
    return target


def bootstrap(root: Path, packages: Iterable[str]) -> None:
    """Make a root file system of Debian's essential packages and some more; its mounts end with the call.

    :raises ToolchainError: with what debootstrap says.
    """
    wanted = ",".join(packages)
    run(_apart(["debootstrap", "--variant=minbase", f"--include={wanted}", SUITE, str(root)]))


def in_root(root: Path, script: str) -> str:
    """Run a shell script in a root file system, with a /proc of its own, and return what it prints.

    Nothing that it starts or mounts outlives the call.

    :raises ToolchainError: when it fails.
    """
    enter = 'mount -t proc proc "$0/proc"; exec chroot "$0" bash -euo pipefail -c "$1"'
    return run(_apart(["sh", "-euc", enter, str(root), script]))


def _apart(command: Sequence[str]) -> list[str]:
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", *command]


def run(command: Sequence[str], *, environment: dict[str, str] | None = None, directory: Path | None = None) -> str:
    """Run a command and return its standard output.

    :raises ToolchainError: when it fails, with the end of what it printed.
    """
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=directory, check=False)
    if answer.returncode != 0:
        said = "\n".join((answer.stdout + answer.stderr).splitlines()[-15:])
        raise ToolchainError(f"{Path(command[0]).name} failed (status {answer.returncode}):\n{said}")
    return answer.stdout
