"""Runs the whole suite many times, half of them on a busy machine, and prints a table of the results.

A suite that gates an upgrade must not fail by chance. Run it with ``tox run -e soak -- --runs 20``. During every second
run, a process keeps each core busy. It prints a line for each run and a table at the end. The exit status is 1 if any
run had a failure or an error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_vault_issuer.requirements.features import DOCUMENTED, PROFILES


@dataclass
class Outcome:
    """One run; `seconds` of wall time, `wrong` what failed or was an error, by test."""

    loaded: bool
    seconds: float
    status: int
    verdicts: dict[str, str]
    wrong: dict[str, str]


@contextlib.contextmanager
def load(wanted: bool) -> Iterator[None]:
    """Keep every core busy."""
    count = (os.cpu_count() or 1) if wanted else 0
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def run(
    implementation: str, profiles: Iterable[str], workers: int, loaded: bool, keep: Path | None, arguments: list[str]
) -> Outcome:
    """Run the suite once; keep the output of a run that failed in the folder `keep`."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pytest", "--pyargs", "vault_issuer_conformance", "-q", f"-n{workers}"]
        command += [f"--vault-issuer={implementation}", f"--vault-issuer-report={directory}", "-p", "no:cacheprovider"]
        command += [f"--vault-issuer-profile={profile}" for profile in profiles]
        with load(loaded):
            began = time.perf_counter()
            done = subprocess.run(
                [*command, *arguments], check=False, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            seconds = time.perf_counter() - began
        path = Path(directory) / "report.json"
        report = json.loads(path.read_text()) if path.exists() else {"profiles": {}, "requirements": []}
    wrong = {
        test["nodeid"]: f"{test['outcome']}: {test['message'].splitlines()[0] if test['message'] else ''}"
        for entry in report["requirements"]
        for test in entry["tests"]
        if test["outcome"] in ("failed", "error")
    }
    if keep is not None and (wrong or done.returncode):
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{int(time.time())}.log").write_bytes(done.stdout)
    verdicts = {name: profile["verdict"] for name, profile in report["profiles"].items()}
    return Outcome(loaded, seconds, done.returncode, verdicts, wrong)


def table(outcomes: list[Outcome]) -> str:
    """Return the runs as Markdown."""
    lines = ["| run | load | seconds | exit | verdicts | failures |", "|---|---|---|---|---|---|"]
    for number, outcome in enumerate(outcomes, 1):
        verdicts = ", ".join(f"{name} {verdict}" for name, verdict in outcome.verdicts.items())
        cores = "every core" if outcome.loaded else "none"
        lines.append(
            f"| {number} | {cores} | {outcome.seconds:.0f} | {outcome.status} | {verdicts} | {len(outcome.wrong)} |"
        )
    for loaded, name in ((False, "none"), (True, "every core")):
        seconds = [outcome.seconds for outcome in outcomes if outcome.loaded is loaded]
        if seconds:
            lines.append(f"| median | {name} | {statistics.median(seconds):.0f} | | | |")
    return "\n".join(lines)


def main() -> int:
    """Run, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--profile", action="append", choices=PROFILES, help=f"default: {' and '.join(DOCUMENTED)}")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--vault-issuer", default="cert-manager", dest="implementation")
    parser.add_argument("--keep", type=Path, help="folder for the output of runs that failed")
    options, arguments = parser.parse_known_args()
    outcomes: list[Outcome] = []
    for number in range(options.runs):
        profiles, loaded = options.profile or DOCUMENTED, number % 2 == 1
        outcomes.append(run(options.implementation, profiles, options.workers, loaded, options.keep, arguments))
        print(f"{number + 1}: {outcomes[-1].seconds:.0f} s, {outcomes[-1].verdicts}", flush=True)
        for test, what in outcomes[-1].wrong.items():
            print(f"   {test}: {what}", flush=True)
    print(table(outcomes))
    return 1 if any(outcome.wrong or outcome.status for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
