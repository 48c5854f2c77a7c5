"""One stack for each worker, today's selection, and the table at the end."""

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
from .score import summary

#: A file for the table.
REPORT = "MUTATION_REPORT"


def pytest_configure(config: pytest.Config) -> None:
    set_seed()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the mutants that are not selected."""
    wanted = set(drawn([mutant.name for mutant in mutants()], share()))
    not_drawn = pytest.mark.skip(reason=f"not in today's share, {SHARE}={share()}")
    for item in items:
        mutant = item.callspec.params.get("mutant") if hasattr(item, "callspec") else None
        if mutant is not None and mutant.name not in wanted:
            item.add_marker(not_drawn)


@pytest.fixture
def full(mutant: Any) -> bool:
    """Return whether the whole suite judges this mutant, not only the requirements that it can affect."""
    return mutant.name in sample()


@pytest.fixture(scope="session")
def built(toolchain: Toolchain) -> None:
    """Build the components of the stack."""


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def recorded(terminalreporter: Any, wanted: str) -> list[Any]:
    """Return what tests recorded under a name."""
    return [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == wanted and report.when == "call"
    ]


def matrix(rows: list[list[Any]]) -> list[str]:
    """Return the table of mutants."""
    lines = ["| mutant | breaks | failed | judged by |", "|---|---|---|---|"]
    for name, breaks, failed, full in sorted(rows, key=lambda row: (row[1], row[0])):
        judged_by = "whole suite" if full else "what it can affect"
        lines.append(f"| {name} | {breaks} | {', '.join(failed) or '-'} | {judged_by} |")
    return lines


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table of mutants and the score of the mutants by rule, and write them to the file of
    MUTATION_REPORT."""
    lines = []
    if rows := recorded(terminalreporter, "mutant"):
        lines += [
            f"{len(rows)} mutants (sample of {os.environ[SEED]}: {', '.join(sorted(sample()))})",
            "",
            *matrix(rows),
        ]
    if entries := recorded(terminalreporter, "by rule"):
        lines += ["", *summary(entries)]
    if not lines:
        return
    terminalreporter.section("mutation testing")
    terminalreporter.write_line("\n".join(lines))
    if path := os.environ.get(REPORT):
        Path(path).write_text("\n".join(lines) + "\n")
