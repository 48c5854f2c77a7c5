"""Judges mutants on a stack that stays up: each in a run of the suite of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.requirements.catalogue import SUITE
from pytest_vault_issuer.requirements.features import PROFILES
from pytest_vault_issuer.session.session import Session, SessionKey

from .inner import VARIABLE
from .mutants import PACKAGE, Mutant

#: Seconds after which the run of one mutant is broken.
LIMIT = 1200
#: The share of defects and of right issuers that are judged, drawn with the day's seed; all (1) by default.
SHARE = "TRUST_SHARE"
#: The sample controller answers within moments, so that shorter timeouts suffice for what a mutant prevents.
TIMEOUT_SCALE = 0.5
#: Runs that share a stack: what tests leave in it, namespaces and mounts, makes it slower by and by.
RUNS_PER_STACK = 25


def share() -> float:
    """Return the share that is judged."""
    return float(os.environ.get(SHARE, "1"))


def _modules(selection: list[str]) -> list[str]:
    """Return what to run for some requirements: the fewer modules are collected, the sooner a run begins.

    They are told by what to leave out: a module that is named by itself is collected without the suite's conftest.
    """
    areas = {identifier.split("-")[1].lower() for identifier in selection}
    modules = [Path(str(path)) for path in resources.files(SUITE).iterdir() if path.name.startswith("test_")]
    others = [path for path in modules if areas and path.stem.split("_")[1] not in areas]
    return [SUITE, *(f"--ignore={path}" for path in sorted(others))]


@dataclass(frozen=True)
class Judgement:
    """What the suite said of a mutant.

    :ivar outcomes: by requirement, those that were judged.
    :ivar output: what the run printed.
    """

    outcomes: dict[str, str]
    output: str

    def of(self, *outcomes: str) -> set[str]:
        """The requirements with one of these outcomes."""
        return {identifier for identifier, outcome in self.outcomes.items() if outcome in outcomes}


class Bench:
    """A stack and the runs that use it; another stack when it has served enough of them."""

    def __init__(self) -> None:
        self._run: Session | None = None
        self._served = 0

    def judge(self, mutant: Mutant, directory: Path, selection: Iterable[str] = ()) -> Judgement:
        """Run the suite on a mutant.

        :param directory: an empty one.
        :param selection: requirements; all where there is none.
        """
        source = mutant.write(directory)
        selection = list(selection)
        command = [sys.executable, "-m", "pytest", "--pyargs", *_modules(selection), "-q"]
        command += ["-p", "no:cacheprovider", "-p", "trust.inner"]
        own_group = source / PACKAGE / "sample-controller.toml"
        command += [f"--vault-issuer={own_group if mutant.own_group else 'trust.inner:implementation'}"]
        command += [f"--vault-issuer-join={self._stack()}", f"--vault-issuer-report={directory / 'report'}"]
        command += [f"--vault-issuer-timeout-scale={TIMEOUT_SCALE}"]
        command += [f"--vault-issuer-profile={profile}" for profile in PROFILES]
        command += [f"--vault-issuer-select={part}" for part in selection]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "VAULT_ISSUER"))}
        kept |= {k: v for k, v in os.environ.items() if k == "VAULT_ISSUER_CACHE"}
        own = {"PYTHONPATH": str(Path(__file__).parents[1]), VARIABLE: str(source), "TRUST_NAME": mutant.name}
        run = subprocess.run(
            command, cwd=directory, env=kept | own, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        report = directory / "report" / "report.json"
        assert report.exists(), run.stdout + run.stderr
        entries = json.loads(report.read_text())["requirements"]
        return Judgement({e["id"]: e["outcome"] for e in entries if e["tests"]}, run.stdout)

    def _stack(self) -> Path:
        if self._run is not None and self._served >= RUNS_PER_STACK:
            self.close()
        if self._run is None:
            self._run, self._served = Session(Settings(stack="process"), SessionKey.new(), print), 0
            self._run.stack()
        self._served += 1
        return self._run.directory.path

    def close(self) -> None:
        """End the stack."""
        if self._run is not None:
            self._run.close()
            self._run = None
