"""``vault-issuer requirements``: lists what is asked of an issuer."""

from __future__ import annotations

import argparse
from typing import Any

from ..requirements.catalogue import LEVELS, Catalogue, Requirement
from ..requirements.features import AREAS, FEATURES, PROFILES, check_known
from .output import add_command, add_format, markdown_table, print_json


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    parser = add_command(
        commands,
        "requirements",
        "list what is asked of an issuer",
        "List the requirements: id, level, statement, and the documentation that asks for it.\n"
        "Options narrow the list; with several, all have to hold.",
        """
vault-issuer requirements --area SIGN --level MUST
vault-issuer requirements --feature approle               # what claiming a feature means
vault-issuer requirements --profile core --format markdown
""",
    )
    parser.add_argument("--area", action="append", default=[], help=f"only this area: {', '.join(AREAS)}; repeatable")
    parser.add_argument("--level", choices=LEVELS, help="only this level")
    parser.add_argument("--profile", choices=PROFILES, help="only this profile")
    parser.add_argument("--feature", choices=tuple(FEATURES), help="only what this feature asks for")
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
    if options.format == "json":
        print_json([_as_dict(requirement) for requirement in listed])
    elif options.format == "markdown":
        rows = [[r.id, r.level, r.statement, r.citation] for r in listed]
        print("\n".join(markdown_table(["id", "level", "statement", "source"], rows)))
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
