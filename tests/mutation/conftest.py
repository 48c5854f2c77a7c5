"""One stack for each worker, the share that is judged today, and the table at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.toolchain import Toolchain

from .draw import SEED, drawn, sample, set_seed
from .judging import SHARE, Bench, share
from .load import mutants

#: A file for the table.
REPORT = "MUTATION_REPORT"


def pytest_configure(config: pytest.Config) -> None:
    set_seed()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the mutants that are not drawn."""
    wanted = set(drawn([mutant.name for mutant in mutants()], share()))
    not_drawn = pytest.mark.skip(reason=f"not in today's share, {SHARE}={share()}")
    for item in items:
        mutant = item.callspec.params.get("mutant") if hasattr(item, "callspec") else None
        if mutant is not None and mutant.name not in wanted:
            item.add_marker(not_drawn)


@pytest.fixture
def full(mutant: Any) -> bool:
    """Whether this mutant is judged by the whole suite, not only by the requirements that it can affect."""
    return mutant.name in sample()


@pytest.fixture(scope="session")
def built(toolchain: Toolchain) -> None:
    """Build the components of the stack."""


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table of mutants, and write it to the file that MUTATION_REPORT names."""
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "mutant" and report.when == "call"
    ]
    if not rows:
        return
    lines = ["| mutant | breaks | failed | judged by |", "|---|---|---|---|"]
    for name, breaks, failed, full in sorted(rows, key=lambda row: (row[1], row[0])):
        judged_by = "whole suite" if full else "what it can affect"
        lines.append(f"| {name} | {breaks} | {', '.join(failed) or '-'} | {judged_by} |")
    terminalreporter.section(f"{len(rows)} mutants (sample of {os.environ[SEED]}: {', '.join(sorted(sample()))})")
    terminalreporter.write_line("\n".join(lines))
    if path := os.environ.get(REPORT):
        Path(path).write_text("\n".join(lines) + "\n")
