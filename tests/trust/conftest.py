"""One stack for each worker, a rotating sample of whole runs, and the matrix at the end."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.toolchain import Toolchain

from .defects import DEFECTS
from .judging import SHARE, Bench, share
from .variants import RIGHT_ISSUERS

#: Decides which defects are run in full; the day by default, so that in time it is everyone's turn.
SEED = "TRUST_SEED"
#: How many are.
SAMPLE = "TRUST_SAMPLE"


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault(SEED, date.today().isoformat())  # workers inherit it, also past midnight


def drawn(names: Sequence[str]) -> list[str]:
    """Those of some mutants that are judged, in an order of the seed's."""
    shuffled = random.Random(os.environ[SEED]).sample(names, len(names))
    return shuffled[: math.ceil(len(names) * share())]


def sample() -> set[str]:
    """The names of the defects that are run in full."""
    return set(drawn([defect.name for defect in DEFECTS])[: int(os.environ.get(SAMPLE, "3"))])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the defects and the variants that are not drawn."""
    wanted = {*drawn([defect.name for defect in DEFECTS]), *drawn([variant.name for variant in RIGHT_ISSUERS])}
    not_drawn = pytest.mark.skip(reason=f"not in the share that is judged today, {SHARE}={share()}")
    for item in items:
        if "bench" in item.fixturenames and item.callspec.id not in wanted:  # type: ignore[attr-defined]
            item.add_marker(not_drawn)


@pytest.fixture
def full(defect: Any) -> bool:
    """Whether the whole suite is run on a defect, not only what it can touch."""
    return defect.name in sample()


@pytest.fixture(scope="session")
def built(toolchain: Toolchain) -> None:
    """What is judged here runs on real components."""


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the matrix, and write it where TRUST_REPORT says."""
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "defect" and report.when == "call"
    ]
    if not rows:
        return
    lines = ["| defect | breaks | failed | run |", "|---|---|---|---|"]
    for name, breaks, failed, full in sorted(rows, key=lambda row: (row[1], row[0])):
        lines.append(
            f"| {name} | {breaks} | {', '.join(failed) or '-'} | {'whole suite' if full else 'what it can touch'} |"
        )
    terminalreporter.section(f"{len(rows)} defects (sample of {os.environ[SEED]}: {', '.join(sorted(sample()))})")
    terminalreporter.write_line("\n".join(lines))
    if path := os.environ.get("TRUST_REPORT"):
        Path(path).write_text("\n".join(lines) + "\n")
