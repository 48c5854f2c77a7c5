"""The version matrix: its cells, their results and its tables."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report.outcomes import Outcome
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import CORE, DOCUMENTED
from pytest_vault_issuer.toolchain import COMPONENTS, Toolchain, find, releases
from tests.support import sample_report

FILE = Path(__file__).parents[3] / "benchmarks" / "matrix.py"


@pytest.fixture(scope="module")
def matrix() -> Any:
    """Import the script as a module."""
    spec = importlib.util.spec_from_file_location("matrix_under_test", FILE)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses looks up the module
    spec.loader.exec_module(module)
    return module


def entry(outcome: str, **fields: Any) -> dict[str, Any]:
    tests = fields.pop("tests", [{"message": "" if outcome == "passed" else "it says why"}])
    defaults = {"id": "VI-SIGN-001", "level": "MUST", "profile": "core", "since": "", "reason": ""}
    return defaults | {"outcome": outcome, "tests": tests} | fields


def report(*requirements: dict[str, Any], verdict: str = "conformant", **known: str) -> dict[str, Any]:
    return {
        "implementation": {"known_failures": {name.replace("_", "-"): why for name, why in known.items()}},
        "profiles": {"core": {"verdict": verdict}},
        "requirements": list(requirements),
    }


# -- cells ----------------------------------------------------------------------------------------------------


def test_unnamed_component_is_the_newest(matrix: Any) -> None:
    cell = matrix.parse("cert-manager@1.18")
    assert cell.components == (find("cert-manager", "1.18"), find("vault"), find("kubernetes"))
    assert cell.title == "1.18.2"
    kubernetes = (find("kube-controller-manager"), find("etcd"))
    followers = (find("cert-manager-webhook", "1.18"), find("cert-manager-crds", "1.18"))
    assert cell.needed == (*cell.components, *kubernetes, *followers)
    assert matrix.parse("vault").components == (find("cert-manager"), find("vault"), find("kubernetes"))


def test_a_cell_of_several_versions(matrix: Any) -> None:
    oldest = [c for c in COMPONENTS if c.name == "vault" and not c.released][-1]
    cell = matrix.parse(f"vault@{oldest.line}+cert-manager@1.15")
    assert cell.components == (find("cert-manager", "1.15"), oldest, find("kubernetes"))
    assert cell.title.startswith("1.15.3")


@pytest.mark.parametrize("text", ["cert-manager@1.1", "valt@1.21", "vault@1.21+vault@1.21", "", "@1.18"])
def test_unknown_cell_is_refused(matrix: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        matrix.parse(text)
    assert caught.value.hint


def test_the_cells_by_default_differ_from_the_newest_in_one_version(matrix: Any) -> None:
    cells = matrix.default_cells()
    varied = {component for name in matrix.NAMES for component in releases(name) if not component.released}
    assert len(cells) == len(set(cells)) == len(varied) - 2  # the newest version of each component is one cell
    assert {component for cell in cells for component in cell.components} == varied


def test_all_cells_are_the_product(matrix: Any) -> None:
    count = 1
    for name in matrix.NAMES:
        count *= sum(not component.released for component in releases(name))
    assert len(set(matrix.default_cells(product=True))) == count


# -- which pass -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({}, "made no report"),
        (report(entry("passed")), ""),
        (report(entry("failed"), verdict="non-conformant"), "profile core is non-conformant"),
        (report(entry("passed"), entry("not-run"), verdict="partial"), ""),
        (report(entry("passed"), entry("not-run", tests=[]), verdict="partial"), "nothing says why: VI-SIGN-001"),
        (report(entry("unsupported", tests=[{"message": ""}]), verdict="partial"), "nothing says why"),
        (report(entry("not-run", tests=[], level="SHOULD")), ""),
        (report(entry("unsupported", tests=[], since="1.20", reason="since …, follows …")), ""),
    ],
)
def test_cell_passes_if_it_is_conformant_or_names_the_reason(matrix: Any, found: dict[str, Any], problem: str) -> None:
    problems = matrix.Session(matrix.parse("vault"), found).problems
    assert problem in "; ".join(problems)
    assert bool(problems) is bool(problem)


# -- which are run --------------------------------------------------------------------------------------------


def test_a_cell_that_has_passed_is_not_run_again(
    matrix: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, outcome in (("vault", Outcome.PASSED), ("cert-manager@1.18", Outcome.FAILED)):
        json_report.write(sample_report.report(outcome), tmp_path / matrix.parse(text).folder)
    built: list[str] = []
    monkeypatch.setattr(Toolchain, "build", lambda self, names, keep_go_caches: built.extend(names))
    monkeypatch.setattr(matrix, "run", lambda cell, *_: matrix.Session(cell, sample_report.report(), seconds=60))
    status = matrix.main(["vault", "cert-manager@1.18", f"--reports={tmp_path}", f"--output={tmp_path / 'matrix.md'}"])
    assert status == 0
    assert "cert-manager@v1.18.2" in built
    printed = capsys.readouterr()
    assert printed.err == "1.18.2: running\n"
    assert printed.out.splitlines()[2:4] == [
        f"| {find('cert-manager').version[1:]} | core conformant |",
        "| 1.18.2 | core conformant (1 min) |",
    ]


# -- tables ---------------------------------------------------------------------------------------------------


def test_verdicts_by_release_and_stack(matrix: Any) -> None:
    runs = [
        matrix.Session(matrix.parse("cert-manager@1.18"), report(verdict="partial"), seconds=120),
        matrix.Session(matrix.parse("cert-manager"), {}),
    ]
    head, _, *lines = matrix.verdicts(runs)
    stack = f"Vault {find('vault').version[1:]}, Kubernetes {find('kubernetes').version[1:]}"
    assert head == f"| cert-manager | {stack} |"
    assert lines == ["| 1.18.2 | core partial (2 min) |", f"| {find('cert-manager').version[1:]} | no report |"]


def test_table_has_only_differences_with_explanations(matrix: Any) -> None:
    old = report(
        entry("passed"),
        entry("unsupported", id="VI-SIGN-002", since="1.20", reason="since cert-manager 1.20, …"),
        entry("known-failure", id="VI-SIGN-003"),
        entry("not-run", id="VI-SIGN-004", tests=[{"message": "no | here\nmore"}]),
        VI_SIGN_003="fixed later",
    )
    new = report(*(entry("passed", id=f"VI-SIGN-00{number}") for number in range(1, 5)))
    runs = [
        matrix.Session(matrix.parse("cert-manager@1.18"), old),
        matrix.Session(matrix.parse("cert-manager@1.20"), new),
    ]
    head, _, *lines = matrix.differences(runs)
    assert head == "| requirement | 1.18.2 | 1.20.3 | why |"
    assert lines == [
        "| VI-SIGN-002 | later | passed | since 1.20 |",
        "| VI-SIGN-003 | known-failure | passed | fixed later |",
        "| VI-SIGN-004 | not-run | passed | no \\| here |",
    ]


def test_equal_outcomes_have_no_differences(matrix: Any) -> None:
    runs = [matrix.Session(matrix.parse("vault"), report(entry("passed")))] * 2
    (line,) = matrix.differences(runs)
    assert line.startswith("No requirement")


def test_an_unknown_cell_ends_it_before_anything_is_built(matrix: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        matrix.main(["vault@0.1"])
    assert left.value.code == 2
    assert "there is no vault 0.1" in capsys.readouterr().err


# -- a part of the suite --------------------------------------------------------------------------------------


def test_partial_matrix_has_known_differences_and_one_requirement_per_area(matrix: Any) -> None:
    part = matrix.part_of(matrix.parse("cert-manager@1.15"), DOCUMENTED)
    catalogue = Catalogue.load()
    assert {catalogue[identifier].area for identifier in part} == {
        requirement.area for requirement in catalogue.select(DOCUMENTED)
    }
    assert {"VI-TLS-018", "VI-CERTIFICATE-016"} <= set(part), "came later; fails in this release"
    assert "VI-TLS-023" not in part, "fails in every release"
    assert set(matrix.part_of(matrix.parse("cert-manager@1.15"), (CORE,))) < set(part)


def test_unselected_requirement_is_not_missed(matrix: Any) -> None:
    left_out = entry("not-run", id="VI-SIGN-002", tests=[])
    seen = report(entry("passed"), left_out)
    cell = matrix.parse("vault")
    assert matrix.Session(cell, seen, selected=("VI-SIGN-001",)).problems == []
    assert matrix.Session(cell, seen).problems != []


def test_the_report_of_a_part_is_not_kept_for_a_whole(
    matrix: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        matrix.main(["vault", "--part", f"--reports={tmp_path}"])
    assert "--part with --reports" in capsys.readouterr().err
