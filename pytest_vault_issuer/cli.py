"""The ``vault-issuer`` command."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

from . import __version__
from .errors import VaultIssuerError
from .features import AREAS, FEATURES, PROFILES, check_known
from .report import commands as report_commands
from .requirements import LEVELS, Catalogue, Requirement
from .toolchain import COMPONENTS, Toolchain, to_stderr


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    top = argparse.ArgumentParser(
        prog="vault-issuer",
        description="Tools around the conformance suite for Vault-backed certificate issuers.",
        epilog="The suite is run by pytest: pytest --pyargs vault_issuer_conformance --vault-issuer=cert-manager",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    toolchain = commands.add_parser(
        "toolchain",
        help="build the real components (Vault, Kubernetes, cert-manager) and see what is there",
        description="The components are built once from pinned Go modules and kept in the user's cache directory "
        "(VAULT_ISSUER_CACHE names another).",
    )
    actions = toolchain.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser("build", help="build what is missing")
    build.add_argument(
        "components",
        nargs="*",
        metavar="COMPONENT",
        help="default: the newest of each; or some of: " + ", ".join(f"{c.name}@{c.line}" for c in COMPONENTS),
    )
    build.add_argument(
        "--keep-go-caches", action="store_true", help="keep Go's module and build caches, several GB, for other builds"
    )
    status = actions.add_parser("status", help="show what is built, and where")
    status.add_argument("--format", choices=("pretty", "json"), default="pretty")
    clean = actions.add_parser("clean", help="remove what was built")
    clean.add_argument("--old", action="store_true", help="remove only what this version does not use")

    requirements = commands.add_parser("requirements", help="list what is asked of an issuer")
    requirements.add_argument("--area", action="append", default=[], help=f"only this area: {', '.join(AREAS)}")
    requirements.add_argument("--level", choices=LEVELS, help="only this level")
    requirements.add_argument("--profile", choices=PROFILES, help="only this profile")
    requirements.add_argument("--feature", choices=tuple(FEATURES), help="only what this feature asks for")
    requirements.add_argument("--format", choices=("pretty", "json", "markdown"), default="pretty")
    report_commands.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0 done, 2 an error that says what to do, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        if options.command == "report":
            return report_commands.run(options)
        if options.command == "requirements":
            return _requirements(options)
        return {"build": _build, "status": _status, "clean": _clean}[options.action](options)
    except VaultIssuerError as error:
        print(f"vault-issuer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run() -> None:
    """Entry point of the console script; SIGTERM ends it as Ctrl-C does, with everything it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())


def _build(options: argparse.Namespace) -> int:
    Toolchain().build(options.components or None, progress=to_stderr, keep_go_caches=options.keep_go_caches)
    return _status(argparse.Namespace(format="pretty"))


def _status(options: argparse.Namespace) -> int:
    toolchain = Toolchain()
    listed = toolchain.status()
    if options.format == "json":
        entries = [
            {
                "component": entry.component,
                "version": entry.version,
                "default": entry.chosen,
                "built": entry.built,
                "bytes": entry.bytes,
                "binaries": {name: str(entry.place / "bin" / name) if entry.built else "" for name in entry.binaries},
            }
            for entry in listed
        ]
        print(json.dumps({"cache": str(toolchain.cache), "components": entries}, indent=2))
        return 0
    for entry in listed:
        state = f"built, {entry.bytes / 10**6:.0f} MB" if entry.built else "not built"
        print(f"{entry.component} {entry.version}{' (default)' if entry.chosen else ''}: {state}")
        for name in entry.binaries if entry.built else ():
            print(f"  {entry.place / 'bin' / name}")
    return 0


def _clean(options: argparse.Namespace) -> int:
    toolchain = Toolchain()
    freed = toolchain.clean(old=options.old)
    print(f"{freed / 10**6:.0f} MB freed in {toolchain.cache}")
    return 0


def _requirements(options: argparse.Namespace) -> int:
    check_known("area", options.area, AREAS)
    listed = [
        requirement
        for requirement in Catalogue.load().requirements
        if (not options.area or requirement.area in options.area)
        and options.level in (None, requirement.level)
        and options.profile in (None, requirement.profile)
        and options.feature in (None, requirement.feature)
    ]
    if options.format == "json":
        print(json.dumps([_as_dict(requirement) for requirement in listed], indent=2))
    elif options.format == "markdown":
        print("| id | level | statement | source |\n|---|---|---|---|")
        for requirement in listed:
            print(f"| {requirement.id} | {requirement.level} | {requirement.statement} | {requirement.citation} |")
    else:
        for requirement in listed:
            feature = f" [{requirement.feature}]" if requirement.feature else ""
            print(f"{requirement.id} {requirement.level}{feature}")
            print(f"    {requirement.statement}\n    {requirement.citation}")
        print(f"{len(listed)} requirements")
    return 0


def _as_dict(requirement: Requirement) -> dict[str, Any]:
    return {
        "id": requirement.id,
        "area": requirement.area,
        "level": requirement.level,
        "profile": requirement.profile,
        "feature": requirement.feature,
        "statement": requirement.statement,
        "citation": requirement.citation,
        "since": requirement.since,
        "upstream": list(requirement.upstream),
    }
