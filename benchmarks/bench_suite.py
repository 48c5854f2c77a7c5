"""Measures the times of a session: the start of the stack and of the controller, the core profile, and its areas.

Run it with ``tox run -e benchmark`` (or ``python benchmarks/bench_suite.py``). ``--cold`` also measures a build of the
toolchain into an empty cache. ``--kind`` also measures the same start on kind, in the same rounds. It prints medians,
minima and maxima in seconds, and asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.toolchain import Toolchain, to_stderr


def starts(kind: bool, image: str | None) -> list[Settings]:
    """Return the settings to measure; options from the environment complete them.

    :param kind: whether to start on kind, too. :param image: image of cert-manager to run there, too.
    """
    wanted: list[dict[str, str]] = [{"stack": "process"}]
    if kind:
        wanted.append({"stack": "kind"})
    if kind and image:
        wanted.append({"stack": "kind", "image": image})
    return [
        Settings.collect(lambda name, w=w: w.get(name.removeprefix("vault-issuer-")), lambda _: "")
        for w in ({"vault-issuer": "cert-manager"} | more for more in wanted)
    ]


def measure_start(settings: Settings) -> dict[str, float]:
    """Start and end a stack with cert-manager on it, and time the parts."""
    run = Session(settings, SessionKey.new(), to_stderr)
    where = f"{settings.stack}, cert-manager {'in the cluster' if settings.image else 'as a process'}"
    times = {}
    try:
        for name, step in (("stack ready", run.stack), ("cert-manager answers", run.running), ("end", run.close)):
            began = time.perf_counter()
            step()
            times[f"{where}: {name}"] = time.perf_counter() - began
    finally:
        run.close()
    return times


def measure_suite(workers: int) -> dict[str, float]:
    """Run the whole core profile in a process of its own, and time it and its areas."""
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        command = [sys.executable, "-m", "pytest", "--pyargs", "vault_issuer_conformance", "-q", f"-n{workers}"]
        options = ["--vault-issuer=cert-manager", f"--vault-issuer-report={directory}", "-p", "no:cacheprovider"]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, cwd=directory)
        times = {f"core run, -n {workers}": time.perf_counter() - began}
        report = json.loads((Path(directory) / "report.json").read_text())
    areas: dict[str, float] = defaultdict(float)
    for requirement in report["requirements"]:
        areas[requirement["area"]] += sum(test["duration_s"] for test in requirement["tests"])
    return times | {f"  tests of {area}, summed": seconds for area, seconds in areas.items()}


def measure_warm_check() -> dict[str, float]:
    """Run ``vault-issuer toolchain build`` with everything built."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from pytest_vault_issuer.cli import main; main(['toolchain', 'build'])"],
                   check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    return {"toolchain, warm": time.perf_counter() - began}


def measure_cold_build() -> dict[str, float]:
    """Build the toolchain into an empty cache."""
    with tempfile.TemporaryDirectory() as directory:
        toolchain = Toolchain(Path(directory))
        began = time.perf_counter()
        toolchain.build()
        seconds = time.perf_counter() - began
        print(f"left behind: {sum(entry.bytes for entry in toolchain.status()) / 10**6:.0f} MB")
    return {"toolchain, cold": seconds}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cold", action="store_true", help="also build the toolchain from an empty cache (once)")
    parser.add_argument("--kind", action="store_true", help="also start on kind; its options are taken as always, "
                        "from the environment (VAULT_ISSUER_NODE_IMAGE …)")  # fmt: skip
    parser.add_argument("--image", help="with --kind: of cert-manager, to start it in the cluster too")
    parser.add_argument("--start-only", action="store_true", help="measure what starts and ends, not the suite")
    options = parser.parse_args()
    Toolchain().build()
    rounds: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        measured = [measure_start(settings) for settings in starts(options.kind, options.image)]
        measured.append(measure_warm_check())
        if not options.start_only:
            measured.append(measure_suite(options.workers))
        for times in measured:
            for name, seconds in times.items():
                rounds[name].append(seconds)
    if options.cold:
        for name, seconds in measure_cold_build().items():
            rounds[name].append(seconds)
    print(f"{'':34}{'median':>9}{'min':>9}{'max':>9}   seconds, {options.rounds} rounds")
    for name, values in rounds.items():
        print(f"{name:34}{statistics.median(values):9.2f}{min(values):9.2f}{max(values):9.2f}")


if __name__ == "__main__":
    main()
