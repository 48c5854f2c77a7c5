"""The command that repeats tests of a report, with the settings of their session."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from ..requirements.catalogue import SUITE
from .load import Report
from .outcomes import Outcome

#: Options that a part of a session does not need or cannot have: only a complete session can be certified.
_LEFT_OUT = frozenset(f"--vault-issuer-{name}" for name in ("report", "certify", "select", "keep-stack", "profile"))
_CERTIFY = "--vault-issuer-certify"


def command(report: Report, test: dict[str, Any]) -> str:
    """Return the command for a shell in the directory where the session started.

    It contains every setting that differs from its default, from any source. It contains no secrets: the token of an
    existing Vault is in its file or in the environment.

    :param test: an entry of a requirement's ``tests``.
    """
    words = shlex.join(["pytest", *arguments(report, [test["nodeid"]])])
    certify = report["options"]["certify"] and _CERTIFY not in report["reproduction"]["command"].split()
    # If an ini file or the environment turns on certify mode, the variable turns it off.
    return f"VAULT_ISSUER_CERTIFY=false {words}" if certify else words


def arguments(report: Report, nodeids: Iterable[str]) -> list[str]:
    """Return the arguments with which pytest runs only these tests, with every setting that differs from its default.

    Those of :data:`_LEFT_OUT` are not among them.
    """
    given = [word for word in report["reproduction"]["options"] if word.partition("=")[0] not in _LEFT_OUT]
    # The judged profiles: in certify mode these are more than the selected ones.
    profiles = [f"--vault-issuer-profile={profile}" for profile in report["options"]["profiles"]]
    # One --pyargs counts for all tests.
    selected = dict.fromkeys(word for nodeid in nodeids for word in selecting(nodeid))
    return [*selected, *given, *profiles]


def failed(report: Report) -> list[str]:
    """Return the node ids of the tests that failed or were errors; known failures are not among them."""
    tests = [test for entry in report["requirements"] for test in entry["tests"]]
    return list(dict.fromkeys(t["nodeid"] for t in tests if t["outcome"] in (Outcome.FAILED, Outcome.ERROR)))


def selecting(nodeid: str, suite: Path | None = None) -> list[str]:
    """Return the arguments with which pytest runs only one test.

    :param suite: the directory of the suite, by default the installed one.
    """
    file, _, name = nodeid.partition("::")
    if not file.startswith(f"{SUITE}/"):
        return [nodeid]
    suite = suite or Path(str(resources.files(SUITE)))
    if suite.name != SUITE:
        # In an editable install, pytest finds the conftest by module name only in a folder with the package's name.
        return [f"{os.path.relpath(suite)}/{file.rpartition('/')[2]}::{name}"]
    return ["--pyargs", f"{file.removesuffix('.py').replace('/', '.')}::{name}"]
