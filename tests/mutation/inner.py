"""A pytest plugin for the sessions that judge a build: it provides the build and skips tests that add no
information."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.judge.items import requirement_ids
from pytest_vault_issuer.report.outcomes import Outcome

from .builds import PACKAGE, RBAC

#: The directory with the build's source, for :func:`implementation`.
SOURCE = "MUTATION_SOURCE"
#: The implementation that the build replaces: an implementation file, or the name of a built-in one.
DESCRIBED = "MUTATION_DESCRIBED"
#: The name of the build.
NAME = "MUTATION_NAME"
#: The sample controller's workers of each kind.
WORKERS = 20
#: A file for the times of the tests, one JSON object a line; see :mod:`.trace`.
TIMES = "MUTATION_TIMES"
#: Ids of requirements, a JSON list: their tests run in this order.
ORDER = "MUTATION_ORDER"


def implementation() -> Implementation:
    """Return the described implementation with the build's source instead of its own."""
    described = load_implementation(os.environ[DESCRIBED])
    command = described.run.command
    changed = Path(os.environ[SOURCE]) / PACKAGE / RBAC
    module = command.index("-m") + 1

    def own(word: str) -> str:
        """Return the path of a file of the described implementation; return other words unchanged."""
        path = described.resolve(word)
        return str(path) if path.exists() else word

    return replace(
        described.with_run(
            command=[sys.executable, "-m", PACKAGE, *command[module + 1 :]],
            # Set explicitly, so that a mutant that handles one object at a time does not count as a controller with one
            # worker.
            concurrency=described.run.concurrency or (WORKERS if described.name == "sample-controller" else 0),
            crds=[own(path) for path in described.run.crds],
            rbac=[str(changed) if changed.exists() else own(path) for path in described.run.rbac],
            manifests=[own(path) for path in described.run.manifests],
            chart=own(described.run.chart) if described.run.chart else "",
            processes=[replace(one, command=[own(word) for word in one.command]) for one in described.run.processes],
        ),
        name=os.environ[NAME],
        directory=Path(os.environ[SOURCE]),  # the working directory, in which Python finds the package
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into the order of their requirements."""
    place = {identifier: number for number, identifier in enumerate(json.loads(os.environ.get(ORDER, "[]")))}
    items.sort(key=lambda item: min((place.get(i, len(place)) for i in requirement_ids(item)), default=len(place)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests whose requirements have all failed already: each would wait as long for the same result."""
    results = item.config.pluginmanager.get_plugin("vault-issuer-conformance").results.requirements
    ids = [identifier for identifier in requirement_ids(item) if identifier in results]
    if ids and all(results[identifier].outcome is Outcome.FAILED for identifier in ids):
        pytest.skip("its requirements have failed already")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """Write the begin and the end of each test, if a file is named for it."""
    start = time.time()
    try:
        return (yield)
    finally:
        if path := os.environ.get(TIMES):
            entry = {"ids": requirement_ids(item), "start": start, "end": time.time()}
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
