"""``vault-issuer doctor``: checks whether this machine can run the suite."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from ..doctor import ABSENT, BROKEN, OK, Finding, examine
from ..text import printable
from .output import add_command, add_format, markdown_table, show

_MARKS = {OK: "ok", ABSENT: "--", BROKEN: "!!"}


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    parser = add_command(
        commands,
        "doctor",
        "check whether this machine can run the suite, and how to fix what is missing",
        "Check everything that a session needs: Python, the components or how to get them (downloads; Go, disk,\n"
        "module proxy), given binaries, memory, limits, temporary files, optional extras, container engine, kind and\n"
        "kubectl. Each line that is not `ok` has a fix. `!!`: the suite cannot run. `--`: a part of it cannot run.\n"
        "Exit status: 0 if the suite can run here, possibly after a download or build; 1 if it cannot.",
        """
vault-issuer doctor
vault-issuer doctor --format markdown     # for a bug report; contains no credentials
""",
    )
    add_format(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    findings = examine()
    able = not any(finding.state == BROKEN for finding in findings)
    rows = [[finding.subject, _MARKS[finding.state], finding.detail, finding.fix] for finding in findings]
    show(
        options.format,
        {"able": able, "findings": [vars(finding) for finding in findings]},
        [*markdown_table(["what", "", "found", "fix"], rows), "", _verdict(findings)],
        [*_pretty(findings), "", _verdict(findings)],
    )
    return 0 if able else 1


def _pretty(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        yield f"{_MARKS[finding.state]}  {finding.subject:<{width}}  {printable(finding.detail)}"
        if finding.fix:
            yield f"    {'':<{width}}  fix: {printable(finding.fix)}"


def _verdict(findings: Sequence[Finding]) -> str:
    broken = [finding.subject for finding in findings if finding.state == BROKEN]
    if broken:
        return f"the suite cannot run here yet: {', '.join(broken)}"
    return "the suite can run here: pytest --pyargs vault_issuer_conformance --vault-issuer=cert-manager"
