"""Measures the CPU seconds of a session, per kind of process and per test, and compares checkouts.

Run with ``tox run -e benchmark-cpu`` or ``python benchmarks/bench_cpu.py [NAME=CHECKOUT …]``, where each checkout has a
virtual environment in ``.venv``; without a checkout, this one and this interpreter. The rounds alternate between the
checkouts, and between the numbers of ``--workers`` if several are given, so that a change of the machine's load affects
them equally. CPU seconds are robust under load, wall-clock time is not. ``--tests COUNT`` prints the tests that take
most time, with CPU and wait of their worker apart, and with ``--workers 0`` the CPU of all processes during each test.

Python's bytecode is cached, as after the first session of an installation; ``--no-bytecode`` measures without the cache
(``PYTHONDONTWRITEBYTECODE=1``, which images often set).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
#: Seconds between two looks at the processes. "not attributed" contains the CPU time after the last look.
INTERVAL = 0.1
KINDS = ("pytest", "pytest workers", "kube-apiserver", "etcd", "kube-controller-manager", "Vault", "controller",
         "supervisor", "others", "not attributed")  # fmt: skip
_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36
#: A pytest plugin that appends one line of JSON per test to the file in this environment variable.
PER_TEST = "BENCH_CPU_TESTS"


def kind_of(arguments: list[str]) -> str:
    """Return the kind of a process, one of :data:`KINDS`, from its command line."""
    program = Path(arguments[0]).name
    if program in KINDS:
        return program
    if program in ("vault", "bao"):
        return "Vault"
    if program.startswith("python"):
        if any(argument.endswith("daemon.py") for argument in arguments):
            return "supervisor"
        if "pytest" in arguments:
            return "pytest"
        if arguments[1:2] in (["-c"], ["-u"]) and any("sys.stdin" in argument for argument in arguments):  # execnet
            return "pytest workers"
    return "others"


@dataclass
class Usage:
    """The CPU seconds of one process until the last look."""

    kind: str
    user: float = 0.0
    system: float = 0.0


@dataclass
class Session:
    """What one session used.

    :ivar cpu: seconds by kind; :ivar processes: number of processes by kind; :ivar tests: lines of the plugin.
    """

    wall: float
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    processes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tests: list[dict[str, float | str]] = field(default_factory=list)

    @property
    def total(self) -> float:
        """CPU seconds of all processes."""
        return sum(self.cpu.values())


class Looks:
    """Looks at the descendants of this process until it is closed. This process adopts orphans."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.usages: dict[tuple[int, str], Usage] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._thread.start()

    def _look_on(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        parents: dict[int, int] = {}
        seen: dict[int, list[str]] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(") ")[2].split()
                parents[int(entry.name)] = int(stat[1])
                seen[int(entry.name)] = stat
        for pid, stat in seen.items():
            ancestor = parents[pid]
            while ancestor not in (os.getpid(), 0) and ancestor in parents:
                ancestor = parents[ancestor]
            if ancestor == os.getpid():
                self._note(pid, stat)

    def _note(self, pid: int, stat: list[str]) -> None:
        usage = self.usages.setdefault((pid, stat[19]), Usage("others"))
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
            if arguments:  # a child has the command line of its parent until exec
                usage.kind = kind_of(arguments)
            if usage.kind == "others" and b"VAULT_ISSUER_RUN=" in Path(f"/proc/{pid}/environ").read_bytes():
                usage.kind = "controller"
        usage.user, usage.system = int(stat[11]) / _TICKS, int(stat[12]) / _TICKS

    def close(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()


def children_cpu() -> float:
    """Return the CPU seconds of all ended descendants that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(checkout: Path, arguments: list[str], workers: int, python_variables: dict[str, str]) -> Session:
    """Run one session in a checkout."""
    python = Path(sys.executable) if checkout == HERE else checkout / ".venv/bin/python"
    with tempfile.TemporaryDirectory() as directory:
        tests = Path(directory) / "tests.jsonl"
        command = [str(python), "-m", "pytest", "--pyargs", "vault_issuer_conformance", "-q", f"-n{workers}",
                   # users do not have Hypothesis, whose plugin imports it at the end of a session
                   "-p", "no:hypothesispytest",
                   "-p", "no:cacheprovider", "-p", "bench_cpu_plugin", *arguments]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), PER_TEST: str(tests)} | python_variables
        before, began, looks = children_cpu(), time.perf_counter(), Looks()
        ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
        with contextlib.suppress(ChildProcessError):
            while True:  # the supervisor and its orphans
                os.waitpid(-1, 0)
        session = Session(time.perf_counter() - began)
        looks.close()
        if ended.returncode:
            print(ended.stdout[-4000:], ended.stderr[-2000:], file=sys.stderr)
        if tests.exists():
            session.tests = [json.loads(line) for line in tests.read_text().splitlines()]
    for usage in looks.usages.values():
        session.cpu[usage.kind] += usage.user + usage.system
        session.processes[usage.kind] += 1
    session.cpu["not attributed"] = children_cpu() - before - session.total
    return session


def show_components(sessions: dict[str, list[Session]]) -> None:
    """Print the medians per kind of process, and the ratios to the first checkout."""
    names = list(sessions)
    print("".join([f"{'':26}", *(f"{name:>14}" for name in names), *(f"{'ratio':>8}" for _ in names[1:])]))

    def row(label: str, values: list[float], form: str = "14.1f") -> None:
        ratios = [f"{value / values[0]:8.2f}" if values[0] > 0 else f"{'':8}" for value in values[1:]]
        print("".join([f"{label:26}", *(f"{value:{form}}" for value in values), *ratios]))

    row("wall", [statistics.median(run.wall for run in runs) for runs in sessions.values()])
    row("CPU", [statistics.median(run.total for run in runs) for runs in sessions.values()])
    for kind in KINDS:
        row(f"  {kind}", [statistics.median(run.cpu[kind] for run in runs) for runs in sessions.values()])
    row("Vault processes", [statistics.median(run.processes["Vault"] for run in r) for r in sessions.values()], "14.0f")


def show_tests(sessions: dict[str, list[Session]], count: int) -> None:
    """Print the slowest tests of each checkout: medians of wall-clock time, CPU of the worker, wait, CPU of all."""
    for name, runs in sessions.items():
        by_test: dict[str, list[dict[str, float]]] = defaultdict(list)
        for run in runs:
            for line in run.tests:
                test = str(line["test"]).rpartition("/")[2]
                by_test[test].append({key: float(value) for key, value in line.items() if key != "test"})
        medians = {
            test: {key: statistics.median(line[key] for line in lines) for key in lines[0]}
            for test, lines in by_test.items()
        }
        print(f"\n{name}: tests {len(medians)}, seconds"
              f"\n{'wall':>8}{'CPU':>8}{'wait':>8}{'CPU of all':>12}  test")  # fmt: skip
        totals = {key: sum(values[key] for values in medians.values()) for key in ("wall", "cpu", "all")}
        slowest = sorted(medians.items(), key=lambda entry: -entry[1]["wall"])[:count]
        for test, values in [("all tests, summed", totals), *slowest]:
            wait = values["wall"] - values["cpu"]
            print(f"{values['wall']:8.2f}{values['cpu']:8.2f}{wait:8.2f}{values['all']:12.2f}  {test}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkouts", nargs="*", metavar="NAME=CHECKOUT", help="default: this checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[2], metavar="N", help="compares several numbers")
    parser.add_argument("--implementation", default="cert-manager")
    parser.add_argument("--tests", type=int, default=0, metavar="COUNT", help="also print the slowest tests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was measured, for each session")
    parser.add_argument("--select", action="append", default=[], metavar="ID", help="only these requirements")
    parser.add_argument("--no-bytecode", action="store_true", help="without the cache of Python's bytecode")
    options = parser.parse_args()
    named = dict(entry.split("=", 1) for entry in options.checkouts) or {"this": str(HERE)}
    arguments = [f"--vault-issuer={options.implementation}"]
    arguments += [f"--vault-issuer-select={identifier}" for identifier in options.select]
    compared = [(name, workers) for name in named for workers in options.workers]
    labels = [f"{name}, {workers}" if len(options.workers) > 1 else name for name, workers in compared]
    sessions: dict[str, list[Session]] = {label: [] for label in labels}
    with tempfile.TemporaryDirectory() as cache:
        python = {"PYTHONDONTWRITEBYTECODE": "1" if options.no_bytecode else "", "PYTHONPYCACHEPREFIX": cache}
        for checkout in named.values() if not options.no_bytecode else ():
            # the session imports what a stack needs, the collection the suite, which pytest compiles
            for first in ("--vault-issuer-select=VI-SIGN-001", "--collect-only"):
                measure(Path(checkout), [*arguments, first], 0, python)
        for number in range(options.rounds):
            for label, (name, workers) in zip(labels, compared, strict=True):
                session = measure(Path(named[name]), arguments, workers, python)
                sessions[label].append(session)
                print(f"round {number + 1}, {label}: {session.wall:.1f} s, CPU {session.total:.1f} s", file=sys.stderr)
    show_components(sessions)
    if options.tests:
        show_tests(sessions, options.tests)
    if options.json:
        options.json.write_text(json.dumps({n: [vars(run) for run in runs] for n, runs in sessions.items()}, indent=1))


if __name__ == "__main__":
    main()
