"""The commands in the external issuer's README and workflow judge it, and it has the documented outcomes."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import CORE, EXTENDED, RESILIENCE
from pytest_vault_issuer.toolchain import Toolchain
from pytest_vault_issuer.toolchain.go import find_go
from pytest_vault_issuer.version import __version__
from tests.support.reader import NARROWED, ROOT, Reader, Workflow, commands_of, user_environment
from tests.support.scope import complete, one_per_area
from tests.support.written_report import load, passed

EXAMPLE = ROOT / "examples/external-issuer"
README = EXAMPLE / "README.md"
#: The implementation file of the controller with its libraries' default limits.
ONE_WORKER = "one-worker.toml"
WORKFLOW = ".github/workflows/vault-issuer.yml"
#: The Go version that its go.mod requires.
NEEDED_GO = (1, 24)
#: Steps of the workflow that only GitHub can run.
USED = [
    "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683",
    "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065",
    "actions/setup-go@d35c59abb061a4a6fb18e82ac0862c26744d6ab5",
    "actions/cache/restore@5a3ec84eff668545956fd18022155c47e93e2684",
    "actions/cache/save@5a3ec84eff668545956fd18022155c47e93e2684",
    "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02",
]


def go_caches(go: Path) -> Path:
    """Return the folder with Go's caches for this example, which stays in the toolchain's cache.

    Compiling the dependencies takes minutes, and Go detects what is up to date. The folder belongs to one list of
    modules and one Go, and replaces its predecessor.
    """
    version = subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True).stdout
    lists = (EXAMPLE / name for name in ("go.mod", "go.sum"))
    key = hashlib.sha256(b"\0".join([version, *(path.read_bytes() for path in lists)])).hexdigest()[:16]
    return Toolchain().directory("external-issuer", key)


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Return the environment of an author: the example as a repository, Go and the package."""
    place = tmp_path_factory.mktemp("external-issuer")
    program = find_go(NEEDED_GO)
    go = go_caches(program)
    environment = user_environment(
        GOPATH=str(go),
        GOCACHE=str(go / "build"),
        GOFLAGS="-modcacherw",
        GOTOOLCHAIN="local",
        # The package is installed: pip checks without an index that all requirements are met.
        PIP_NO_INDEX="1",
    )
    environment["PATH"] += f":{program.parent}"
    return Reader(Path(shutil.copytree(EXAMPLE, place / "repository")), environment)


@pytest.fixture(scope="module")
def verdict(author: Reader, joining: dict[str, str]) -> dict[str, object]:
    """Run "Get the verdict" of the README, and return the report: one requirement per area, or all in the complete
    run."""
    get, *_ = commands_of(README)
    selected = {"VAULT_ISSUER_SELECT": " ".join(dict.fromkeys([*one_per_area(), *known(CORE)]))}
    author.run_block(get, **({} if complete() else selected | joining))
    return load(author.directory / "report")


def known(profile: str) -> set[str]:
    """Return the requirements of a profile that its file lists as known failures."""
    listed = tomllib.loads((EXAMPLE / "conformance.toml").read_text())["known_failures"]
    return {requirement.id for requirement in Catalogue.load().select((profile,)) if requirement.id in listed}


def outcomes_of(report: dict[str, Any]) -> dict[str, str]:
    """Return the outcomes of the judged requirements by their ids."""
    return {entry["id"]: entry["outcome"] for entry in report["requirements"] if entry["tests"]}


def test_external_issuer_has_the_claimed_outcomes(verdict: dict) -> None:
    assert verdict["profiles"]["core"]["verdict"] == ("conformant" if complete() else "partial")
    outcomes = outcomes_of(verdict)
    assert outcomes.keys() >= {*one_per_area(), *known(CORE)}
    assert {identifier for identifier, outcome in outcomes.items() if outcome == "known-failure"} == known(CORE)
    assert set(outcomes.values()) == {"passed", "known-failure"}


@pytest.mark.full
def test_readme_of_external_issuer_has_the_counts_of_the_report(verdict: dict) -> None:
    said = re.search(r"(\d+) of (\d+) MUST and (\d+) of (\d+) SHOULD pass", README.read_text())
    assert said is not None
    counted = [
        c for level in verdict["profiles"]["core"]["counts"].values() for c in (level["passed"], sum(level.values()))
    ]
    assert [int(number) for number in said.groups()] == counted


@pytest.mark.full
@pytest.mark.usefixtures("verdict")
def test_external_issuer_has_the_claimed_outcomes_on_bad_days(author: Reader) -> None:
    author.run_block([f"vault-issuer judge conformance.toml --profile {RESILIENCE} --report {RESILIENCE}"])
    report = load(author.directory / RESILIENCE)
    assert report["profiles"][RESILIENCE]["verdict"] == "conformant"
    outcomes = outcomes_of(report)
    assert {i for i, outcome in outcomes.items() if outcome == "known-failure"} == known(RESILIENCE)
    assert set(outcomes.values()) == {"passed", "known-failure"}


@pytest.mark.full
@pytest.mark.usefixtures("verdict")
def test_external_issuer_with_one_worker_has_the_claimed_outcomes(author: Reader) -> None:
    author.run_block([f"vault-issuer judge {ONE_WORKER} --profile {CORE} --profile {EXTENDED} --report one-worker"])
    report = load(author.directory / "one-worker")
    assert [report["profiles"][profile]["verdict"] for profile in (CORE, EXTENDED)] == ["conformant", "conformant"]
    outcomes = outcomes_of(report)
    assert {i for i, outcome in outcomes.items() if outcome == "known-failure"} == known(CORE) | known(EXTENDED)
    assert set(outcomes.values()) == {"passed", "known-failure", "unsupported"}
    core = {requirement.id for requirement in Catalogue.load().select((CORE,))}
    assert {i for i, outcome in outcomes.items() if outcome == "unsupported"} & core == {"VI-SCOPE-008"}


def test_file_for_one_worker_differs_only_in_its_options() -> None:
    many, one = (tomllib.loads((EXAMPLE / name).read_text()) for name in ("conformance.toml", ONE_WORKER))
    assert one["run"].pop("command") == [*many["run"].pop("command"), "--workers=1", "--kube-api-qps=5"]
    del one["implementation"]["name"], many["implementation"]["name"]
    assert one == many


@pytest.mark.usefixtures("verdict")
def test_commands_of_external_issuer_readme_work(author: Reader, joining: dict[str, str]) -> None:
    _, *others = commands_of(README)
    assert others
    for commands in others:
        author.run_block(commands, **joining)
    # Generated files match the repository.
    for name in ("api", "config"):
        subprocess.run(["diff", "--recursive", EXAMPLE / name, author.directory / name], check=True)


def put_wheel(repository: Path) -> None:
    """Put the wheel that the workflow installs into the repository.

    It contains only metadata: pip finds that this version is already installed, and changes nothing.
    """
    name = f"pytest_vault_issuer-{__version__}"
    metadata = ["Metadata-Version: 2.1", "Name: pytest-vault-issuer", f"Version: {__version__}"]
    metadata += [f"Provides-Extra: {extra}" for extra in ("xdist", "go", "aws")]
    with zipfile.ZipFile(repository / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.dist-info/METADATA", "\n".join([*metadata, ""]))
        wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")


def test_workflow_of_external_issuer_judges_it(author: Reader, tmp_path: Path) -> None:
    """The steps run in order, in a fresh checkout of the repository."""
    workflow = Workflow.read(author.directory / WORKFLOW)
    assert workflow.used == USED
    checkout = Path(shutil.copytree(EXAMPLE, tmp_path / "checkout"))
    put_wheel(checkout)
    summary = tmp_path / "summary"
    Reader(checkout, author.environment | NARROWED).run(workflow, summary)
    assert passed(checkout / "report") == [NARROWED["VAULT_ISSUER_SELECT"]]
    assert summary.read_text() == (checkout / "report/report.md").read_text()
