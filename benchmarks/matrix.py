"""Runs the suite against releases of cert-manager on versions of Vault and Kubernetes, and tables what differs.

Run it with ``tox run -e matrix``. Arguments select cells: ``tox run -e matrix -- cert-manager@1.18 vault@1.19`` runs
two cells, each with the default versions of the other components. ``cert-manager@1.18+vault@1.19`` is one cell. Without
arguments, it runs every release on the default stack, and the newest release on every other Vault and Kubernetes.
``--all`` runs every combination. Each cell is a separate session. With ``--reports=DIR``, the reports stay in DIR, and
a cell that has passed is not run again, so that an interrupted matrix continues. The tables, in Markdown, go to the
standard output and into a file. The exit status is 1 unless every cell is conformant, or partial with a reason for each
requirement that was not judged.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report.load import load
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import CORE, DOCUMENTED, PROFILES
from pytest_vault_issuer.toolchain import COMPONENTS, Component, Toolchain, find, releases

NAMES = ("cert-manager", "vault", "kubernetes")
#: Lines of output to show if a session wrote no report.
TAIL = 30


@dataclass(frozen=True)
class Cell:
    """One release of cert-manager on one stack."""

    cert_manager: Component
    vault: Component
    kubernetes: Component

    @property
    def components(self) -> tuple[Component, ...]:
        """The three versions."""
        return self.cert_manager, self.vault, self.kubernetes

    @property
    def needed(self) -> tuple[Component, ...]:
        """All that its session needs: also the webhook and the CRDs of the release, and the rest of Kubernetes."""
        versions = {name: component.version for name, component in zip(NAMES, self.components, strict=True)}
        followers = (c for c in COMPONENTS if c.version == versions.get(c.follows) and not c.is_optional)
        return *self.components, *(c for c in followers if c not in self.components)

    @property
    def folder(self) -> str:
        """The name of the folder with the report."""
        return "+".join(f"{name}@{c.version.lstrip('v')}" for name, c in zip(NAMES, self.components, strict=True))

    @property
    def title(self) -> str:
        """The release, and the versions that are not the default, for the head of a column."""
        release, *stack = zip(NAMES, self.components, strict=True)
        others = [f"{name} {c.version.lstrip('v')}" for name, c in stack if c is not find(name)]
        return ", ".join([release[1].version.lstrip("v"), *others])


@dataclass(frozen=True)
class Session:
    """The result of a cell.

    :ivar report: {} if there is none; then `output` has the reason.
    :ivar seconds: 0 for one that was run before; :ivar selected: the requirements that were selected, () for all.
    """

    cell: Cell
    report: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    seconds: float = 0.0
    selected: tuple[str, ...] = ()

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome by requirement; `later` if it is newer than the release."""
        return {
            entry["id"]: "later" if entry["reason"] else entry["outcome"]
            for entry in self.report.get("requirements", [])
        }

    @property
    def problems(self) -> list[str]:
        """Why the cell does not pass; [] if it does.

        Requirements that the selection leaves out do not count.
        """
        if not self.report:
            return ["the run made no report"]
        found = [
            f"profile {profile} is {judged['verdict']}"
            for profile, judged in self.report["profiles"].items()
            if judged["verdict"] in ("non-conformant", "incomplete")
        ]
        wanting = [
            entry["id"]
            for entry in self.report["requirements"]
            if not entry["reason"]
            and (not self.selected or entry["id"] in self.selected)
            and entry["outcome"] in ("not-run", "unsupported")
            and (entry["level"], entry["profile"]) == ("MUST", CORE)
            and not all(test["message"] for test in entry["tests"] or [{"message": ""}])
        ]
        return found + ([f"not judged, and nothing says why: {', '.join(wanting)}"] if wanting else [])


def parse(text: str) -> Cell:
    """Return the cell of a text such as ``cert-manager@1.18+vault@1.19``.

    :raises ConfigurationError: for a component or version that does not exist, or that is named twice.
    """
    chosen: dict[str, Component] = {}
    for part in text.split("+"):
        name, _, version = part.partition("@")
        if name in chosen:
            raise ConfigurationError(f"{text}: {name} is named twice", hint="a cell has one version of each")
        chosen[name] = find(name, version)
    return Cell(*(chosen.get(name) or find(name) for name in NAMES))


def default_cells(*, product: bool = False) -> list[Cell]:
    """Return each version beside the default of the others, or every combination."""
    versions = [[release for release in releases(name) if not release.released] for name in NAMES]
    cells = [Cell(*combination) for combination in itertools.product(*versions)]
    if product:
        return cells
    return [cell for cell in cells if sum(c is not find(c.name) for c in cell.components) <= 1]


def before(cell: Cell, reports: Path) -> Session | None:
    """Return the earlier result of a cell if its report exists and passes, otherwise None.

    :raises ConfigurationError: for a report that cannot be read.
    """
    path = reports / cell.folder / json_report.FILE
    found = Session(cell, load(path)) if path.is_file() else Session(cell)
    return None if found.problems else found


def part_of(cell: Cell, profiles: Iterable[str]) -> tuple[str, ...]:
    """Return the selection of a part: the known differences of this release, and one requirement per area."""
    release, newest = (component.version.lstrip("v") for component in (cell.cert_manager, find("cert-manager")))
    known = load_implementation(f"cert-manager@{release}").known_failures.keys()
    others = known ^ load_implementation(f"cert-manager@{newest}").known_failures.keys()
    catalogue = Catalogue.load()
    later = {requirement.id for requirement in catalogue.requirements if requirement.later_than(release)}
    chosen = others | later | {requirement.id for requirement in catalogue.one_per_area(tuple(profiles))}
    return tuple(requirement.id for requirement in catalogue.select(tuple(profiles)) if requirement.id in chosen)


def run(
    cell: Cell,
    reports: Path,
    profiles: Iterable[str],
    workers: int,
    arguments: Sequence[str],
    selected: tuple[str, ...] = (),
) -> Session:
    """Run the suite for a cell, in a process and a folder of its own."""
    release, vault, kubernetes = (component.version for component in cell.components)
    report = reports.absolute() / cell.folder
    path = report / json_report.FILE
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pytest", "--pyargs", "vault_issuer_conformance", "-q", f"-n{workers}"]
        command += ["-p", "no:cacheprovider", f"--vault-issuer=cert-manager@{release}"]
        command += [f"--vault-issuer-vault-version={vault}", f"--vault-issuer-kubernetes-version={kubernetes}"]
        command += [f"--vault-issuer-profile={profile}" for profile in profiles]
        command += [f"--vault-issuer-select={identifier}" for identifier in selected]
        command += [f"--vault-issuer-report={report}", *arguments]
        began = time.perf_counter()
        done = subprocess.run(
            command, check=False, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        seconds = time.perf_counter() - began
    return Session(cell, load(path) if path.is_file() else {}, done.stdout, seconds, selected)


def verdicts(runs: Sequence[Session]) -> list[str]:
    """Return the table of verdicts: releases by stacks."""
    stacks = list(dict.fromkeys((run.cell.vault, run.cell.kubernetes) for run in runs))
    heads = [f"Vault {vault.version.lstrip('v')}, Kubernetes {kube.version.lstrip('v')}" for vault, kube in stacks]
    lines = [_row(["cert-manager", *heads]), _row(["---"] * (len(heads) + 1))]
    for release in dict.fromkeys(run.cell.cert_manager for run in runs):
        cells = []
        for stack in stacks:
            found = [r for r in runs if r.cell == Cell(release, *stack)]
            cells.append("; ".join(_verdict(r) for r in found))
        lines.append(_row([release.version.lstrip("v"), *cells]))
    return lines


def differences(runs: Sequence[Session]) -> list[str]:
    """Return the table of requirements with different outcomes, with the explanations."""
    judged = [run for run in runs if run.report]
    identifiers = dict.fromkeys(identifier for run in judged for identifier in run.outcomes)
    lines = [_row(["requirement", *(run.cell.title for run in judged), "why"]), _row(["---"] * (len(judged) + 2))]
    for identifier in identifiers:
        outcomes = [run.outcomes.get(identifier, "") for run in judged]
        if len(set(outcomes)) > 1:
            lines.append(_row([identifier, *outcomes, "; ".join(_reasons(identifier, judged))]))
    return lines if len(lines) > 2 else ["No requirement has another outcome in one cell than in another."]


def _reasons(identifier: str, runs: Iterable[Session]) -> list[str]:
    found = []
    for run in runs:
        entry = next(entry for entry in run.report["requirements"] if entry["id"] == identifier)
        if entry["reason"]:
            found.append(f"since {entry['since']}")
        elif entry["outcome"] == "known-failure":
            found.append(run.report["implementation"]["known_failures"][identifier])
        elif entry["outcome"] != "passed":
            messages = [test["message"].splitlines()[0] for test in entry["tests"] if test["message"]]
            found += messages[:1]
    return list(dict.fromkeys(found))


def _verdict(run: Session) -> str:
    if not run.report:
        return "no report"
    profiles = ", ".join(f"{name} {judged['verdict']}" for name, judged in run.report["profiles"].items())
    return f"{profiles} ({run.seconds / 60:.0f} min)" if run.seconds else profiles


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cells and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CELL", help="such as cert-manager@1.18+vault@1.19")
    parser.add_argument("--all", action="store_true", help="every combination")
    parser.add_argument("--profile", action="append", choices=PROFILES, help=f"default: {' and '.join(DOCUMENTED)}")
    parser.add_argument(
        "--part", action="store_true", help="only what a release does otherwise, and one requirement of each area"
    )
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path("matrix.md"))
    parser.add_argument("--reports", type=Path, help="folder for the cells' reports; default: they are not kept")
    parser.add_argument(
        "--keep-go-caches", action="store_true", help="keep Go's caches, several GB, for other versions"
    )
    parser.add_argument("--pytest", action="append", default=[], metavar="OPTION", help="passed on to pytest")
    options = parser.parse_args(arguments)
    if options.part and options.reports:
        parser.error("--part with --reports: the report of a part would stand for that of a whole cell")
    try:
        cells = [parse(text) for text in options.cells] or default_cells(product=options.all)
    except ConfigurationError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as temporary:
        reports = options.reports or Path(temporary)
        done = {cell: found for cell in cells if (found := before(cell, reports))}
        missing = [cell for cell in cells if cell not in done]
        if missing:
            # All at once: Go's caches are cleared after each build.
            names = dict.fromkeys(f"{c.name}@{c.version}" for cell in missing for c in cell.needed)
            Toolchain().build(names, keep_go_caches=options.keep_go_caches)
        for cell in missing:
            print(f"{cell.title}: running", file=sys.stderr, flush=True)
            profiles = options.profile or DOCUMENTED
            selected = part_of(cell, profiles) if options.part else ()
            done[cell] = run(cell, reports, profiles, options.workers, options.pytest, selected)
            for problem in done[cell].problems:
                print(f"{cell.title}: {problem}", file=sys.stderr, flush=True)
            if done[cell].problems:
                print("\n".join(done[cell].output.splitlines()[-TAIL:]), file=sys.stderr, flush=True)
    runs = [done[cell] for cell in cells]
    text = "\n".join([*verdicts(runs), "", *differences(runs), ""])
    options.output.write_text(text)
    print(text)
    return 1 if any(run.problems for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
