"""A pytest plugin for bench_cpu.py: writes wall-clock time and CPU seconds of each test as a line of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

_TICKS = os.sysconf("SC_CLK_TCK")


def _cpu_of_all() -> float:
    """Return the CPU seconds of all running processes of the session; 0 if it has several workers."""
    ticks = 0
    if "PYTEST_XDIST_WORKER" in os.environ:  # other tests run at the same time
        return 0.0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (entry / "stat").read_text().rpartition(") ")[2].split()
            if stat[0] != "Z" and _is_ours(entry):
                ticks += int(stat[11]) + int(stat[12])
    return ticks / _TICKS


_ours: dict[Path, bool] = {}


def _is_ours(process: Path) -> bool:
    if process not in _ours:
        environment = (process / "environ").read_bytes()
        _ours[process] = os.environ["BENCH_CPU_TESTS"].encode() in environment or b"VAULT_ISSUER_RUN=" in environment
    return _ours[process]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure one test with its fixtures."""
    wall, cpu, whole = time.perf_counter(), time.process_time(), _cpu_of_all()
    result = yield
    line = {
        "test": item.nodeid,
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "all": _cpu_of_all() - whole,
    }
    with Path(os.environ["BENCH_CPU_TESTS"]).open("a") as file:
        file.write(json.dumps(line) + "\n")
    return result
