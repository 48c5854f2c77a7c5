"""What a run that judges a mutant is given: the mutant as its implementation, and no test that cannot tell more."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.judge.hooks import requirement_ids
from pytest_vault_issuer.report.outcomes import Outcome

from .mutants import PACKAGE, RBAC

#: Names the folder of the mutant's source, for :func:`implementation`.
VARIABLE = "TRUST_MUTANT"


def implementation() -> Implementation:
    """Return the sample controller's description with the mutant's source in the place of its own."""
    right = load_implementation("sample-controller")
    command = right.run.command
    changed = Path(os.environ[VARIABLE]) / PACKAGE / RBAC
    module = command.index("-m") + 1
    return replace(
        right.with_run(
            command=[sys.executable, "-m", PACKAGE, *command[module + 1 :]],
            rbac=[str(changed) if changed.exists() else str(right.resolve(path)) for path in right.run.rbac],
        ),
        name=os.environ["TRUST_NAME"],
        directory=Path(os.environ[VARIABLE]),  # where it runs, and so finds the package
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out tests of requirements that have failed already: each would wait as long for the same answer."""
    results = item.config.pluginmanager.get_plugin("vault-issuer-conformance").results
    ids = [identifier for identifier in requirement_ids(item) if identifier in results]
    if ids and all(results[identifier].outcome is Outcome.FAILED for identifier in ids):
        pytest.skip("its requirements have failed already")
