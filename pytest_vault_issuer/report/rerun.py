"""The command that runs one test of a report again, on what it ran on."""

from __future__ import annotations

import os
import shlex
from importlib import resources
from pathlib import Path
from typing import Any

from ..requirements.catalogue import SUITE
from .load import Report

#: What a run of one test needs no more, or could not have: only a whole run can be certified.
_LEFT_OUT = frozenset(f"--vault-issuer-{name}" for name in ("report", "certify", "select", "keep-stack", "profile"))
_CERTIFY = "--vault-issuer-certify"


def command(report: Report, test: dict[str, Any]) -> str:
    """Return the command for a shell in the directory where the run was started.

    It says everything that differs from the defaults, wherever the run had it from. Secrets are not in it:
    the token of an existing Vault is in its file, or in the environment.

    :param test: an entry of a requirement's ``tests``.
    """
    given = [word for word in report["reproduction"]["options"] if word.partition("=")[0] not in _LEFT_OUT]
    # As they were judged: in certify mode there are more than were asked for.
    profiles = [f"--vault-issuer-profile={profile}" for profile in report["options"]["profiles"]]
    words = shlex.join(["pytest", *selecting(test["nodeid"]), *given, *profiles])
    certify = report["options"]["certify"] and _CERTIFY not in report["reproduction"]["command"].split()
    # An ini file or the environment asks for it: a variable overrules both.
    return f"VAULT_ISSUER_CERTIFY=false {words}" if certify else words


def selecting(nodeid: str, suite: Path | None = None) -> list[str]:
    """Return the arguments by which pytest runs just one test.

    :param suite: where the suite is; default where it is installed.
    """
    file, _, name = nodeid.partition("::")
    if not file.startswith(f"{SUITE}/"):
        return [nodeid]
    suite = suite or Path(str(resources.files(SUITE)))
    if suite.name != SUITE:
        # Of an editable install: by a module's name pytest finds the conftest only in a folder of the package's name.
        return [f"{os.path.relpath(suite)}/{file.rpartition('/')[2]}::{name}"]
    return ["--pyargs", f"{file.removesuffix('.py').replace('/', '.')}::{name}"]
