"""``vault-issuer requirements``: lists the requirements for a controller."""

from __future__ import annotations

import argparse
from typing import Any

from ..requirements.catalogue import LEVELS, Catalogue, Requirement
from ..requirements.features import AREAS, FEATURES, PROFILES, check_known
from .output import add_command, add_format, markdown_table, show


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    parser = add_command(
        commands,
        "requirements",
        "list the requirements for a controller",
        "List the requirements: id, level, statement and source.\n"
        "Options narrow the list. A requirement is listed if all of them match.",
        """
vault-issuer requirements --area SIGN --level MUST
vault-issuer requirements --feature approle               # list what a feature requires
vault-issuer requirements --profile core --format markdown
""",
    )
    parser.add_argument("--area", action="append", default=[], help=f"area to list: {', '.join(AREAS)}; repeatable")
    parser.add_argument("--level", choices=LEVELS, help="level to list")
    parser.add_argument("--profile", choices=PROFILES, help="profile to list")
    parser.add_argument("--feature", choices=tuple(FEATURES), help="feature whose requirements to list")
    add_format(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    check_known("area", options.area, AREAS)
    listed = [
        requirement
        for requirement in Catalogue.load().requirements
        if (not options.area or requirement.area in options.area)
        and options.level in (None, requirement.level)
        and options.profile in (None, requirement.profile)
        and options.feature in (None, requirement.feature)
    ]
    rows = [[r.id, r.level, r.statement, r.citation] for r in listed]
    show(
        options.format,
        [requirement.entry() for requirement in listed],
        markdown_table(["id", "level", "statement", "source"], rows),
        [*map(_pretty, listed), f"{len(listed)} requirements"],
    )
    return 0


def _pretty(requirement: Requirement) -> str:
    feature = f" [{requirement.feature}]" if requirement.feature else ""
    head = f"{requirement.id} {requirement.level}{feature}"
    return f"{head}\n    {requirement.statement}\n    {requirement.citation}"
