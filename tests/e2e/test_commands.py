"""Commands of README.md and docs/ can be typed: each is run as it is written, in order, in what its reader would have.

A page's shell blocks are scripts for ``bash -e``, with the installed package in the PATH. The two tables below say
which commands are not run here, and where else they are; and what is run in the place of a text that stands for
something of the reader's own. What is in neither has to run as it is, and what is in one has to be on a page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_vault_issuer.toolchain import Toolchain

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Seconds after which a block is broken, whatever it does.
LIMIT = 600
#: Whole runs of the suite are in test_verdicts.py. A run here is narrowed in the way a user would do it without
#: touching the command: by the environment twin of --vault-issuer-select, which gives way where a command selects.
NARROWED = {"VAULT_ISSUER_SELECT": "VI-TOKEN-001"}


def commands_of(page: Path) -> list[list[str]]:
    """Return the commands of each shell block of a page, a line for each."""
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", page.read_text(), re.MULTILINE | re.DOTALL)
    blocks = [re.sub(r" *\\\n\s*", " ", block) for _, block in found]
    return [[line for line in block.splitlines() if line.strip()] for block in blocks]


def commands_of_block(page: str, start: str) -> list[str]:
    """Return the commands of a page's shell block that starts so, a line for each."""
    (found,) = [block for block in commands_of(ROOT / page) if block[0] == start]
    return found


_TOX = "a tox environment of the clone, and this test may be a part of such a run"
_INSTALL = "python3 -m venv .venv && .venv/bin/pip install '.[xdist,go]'"
#: Command -> why it is not run here, and the file that runs it.
ELSEWHERE = {
    _INSTALL: ("the first command of README.md does so in the same clone", "tests/e2e/test_commands.py"),
    "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox run": (_TOX, ".ci/run"),
    "tox run -e trust": (f"{_TOX}; it takes hours", "tests/trust/test_matrix.py"),
    "tox run -e trust -- tests/trust -k approle": (_TOX, "tests/trust/test_matrix.py"),
    "tox run -e soak -- --runs 20": (f"{_TOX}; it takes half an hour, and is run by hand", "benchmarks/soak.py"),
    "tox run -e matrix -- cert-manager@1.18 cert-manager@1.20": (
        f"{_TOX}; it builds two further releases, and is run by hand",
        "benchmarks/matrix.py",
    ),
    "vault-issuer bench cert-manager@1.18 cert-manager@1.21 --issuers 50 --requests 200 --rounds 2 --timeout-scale 3"
    " --output bench": ("it builds a further release, and measures for minutes", "tests/e2e/test_bench.py"),
    "pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml -n 4 --vault-issuer-certify"
    " --vault-issuer-report=report": (
        "what is certified is whole, and nothing narrows it",
        "tests/e2e/test_miniature.py",
    ),
    "pytest --pyargs vault_issuer_conformance --vault-issuer=cert-manager --vault-issuer-stack=kind -n 2": (
        "it needs a container engine and kind",
        "tests/e2e/test_kind.py",
    ),
    "export VAULT_ISSUER_VAULT_TOKEN": ("the token of a Vault that is there", "tests/e2e/test_existing.py"),
    "pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml --vault-issuer-kubeconfig=cluster.yaml"
    " --vault-issuer-vault-addr=https://vault.example.com --vault-issuer-vault-ca-cert=vault-ca.pem"
    " --vault-issuer-bind=192.0.2.7": ("a cluster and a Vault that are there", "tests/e2e/test_existing.py"),
} | dict.fromkeys(
    commands_of_block("docs/providers.md", "kubectl apply -f rights.yaml"),
    ("a cluster with nodes that is somebody's", "tests/e2e/test_existing_kind.py"),
)
#: Text in commands -> what is run in its place, and why. `{vault}` and `{kubernetes}`: what the toolchain has built.
INSTEAD = {
    "--vault-issuer-vault-binary=/usr/bin/vault": (
        "--vault-issuer-vault-binary={vault}",
        "not every machine has a vault, nor has it there",
    ),
    "--vault-issuer-kubernetes-binaries=/usr/local/kubebuilder/bin": (
        "--vault-issuer-kubernetes-binaries={kubernetes}",
        "kubebuilder's are binaries of the same programs",
    ),
    "VAULT_ISSUER_SELECT='SPEC TLS TOKEN APPROLE KSTATIC KSECRETLESS SCOPE'": (
        "VAULT_ISSUER_SELECT='VI-SPEC-001 VI-TOKEN-001'",
        "a shard of the whole takes minutes; what is merged of whole ones is in test_sharding.py",
    ),
    "VAULT_ISSUER_SELECT='HEALTH SIGN REQUEST ROTATION LEAK'": (
        "VAULT_ISSUER_SELECT='VI-SIGN-001 VI-LEAK-001'",
        "the same",
    ),
}
#: Commands that show what is wrong, and exit with 1.
FAIL = {
    "pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml --vault-issuer-select=VI-SIGN-018": (
        "the page looks at a failure, and nothing else is selected"
    )
}


@dataclass
class Reader:
    """What somebody has who reads a page: a clone of the repository, an issuer of their own, two reports.

    :ivar directory: the clone.
    """

    directory: Path
    binaries: dict[str, Path]
    environment: dict[str, str] = field(repr=False)

    def type(self, commands: list[str]) -> None:
        """Run a block, without what is run elsewhere."""
        lines = []
        for command in commands:
            if command in ELSEWHERE:
                continue
            line = command
            for written, (instead, _) in INSTEAD.items():
                line = line.replace(written, instead.format(**self.binaries))
            lines.append(f"if {line}; then exit 99; else test $? = 1; fi" if command in FAIL else line)
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, f"{lines}\n{done.stdout}"

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def block(page: str, language: str, start: str) -> str:
    """Return the page's block of a language that starts so."""
    (found,) = re.findall(rf"^```{language}\n({re.escape(start)}.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    return str(found)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Reader]:
    clone = tmp_path_factory.mktemp("reader") / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build"))
    temporary = tmp_path_factory.mktemp("tmp")
    controller, vault, apiserver = (
        toolchain.path(name) for name in ("cert-manager-controller", "vault", "kube-apiserver")
    )
    assert controller
    assert vault
    assert apiserver
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "VAULT_ISSUER_VAULT"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    reader = Reader(
        clone,
        {"vault": vault, "kubernetes": apiserver.parent},
        kept | NARROWED | {"PATH": path, "TMPDIR": str(temporary)},
    )
    # The README's own issuer, its command filled in as the README says.
    issuer = block("README.md", "toml", "[implementation]").replace("/path/to/cert-manager-controller", str(controller))
    rbac = block("README.md", "yaml", "# rbac.yaml")
    reader.write("rbac.yaml", rbac)
    reader.write("my-issuer.toml", issuer)
    # That of "Getting started" is a program with one flag, which runs under another account.
    account = "name: issuer\n    namespace: vault-issuer"
    reader.write("deploy/rbac.yaml", rbac.replace("name: cert-manager\n    namespace: cert-manager", account))
    program = reader.write(
        "bin/my-issuer",
        f'#!/bin/sh\nexec {controller} "$@" --cluster-resource-namespace=vault-issuer --approver=false\n',
    )
    program.chmod(0o755)
    yield reader
    subprocess.run(["vault-issuer", "stack", "down", "--all"], env=reader.environment, check=True)
    shutil.rmtree(clone)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page(reader: Reader, page: Path) -> None:
    own = (reader.directory / "my-issuer.toml").read_text()
    if page.name in PREPARED:
        PREPARED[page.name](reader)
    for commands in commands_of(page):
        reader.type(commands)
    reader.write("my-issuer.toml", own)


def own_issuer_of_getting_started(reader: Reader) -> None:
    if not (reader.directory / ".venv").is_dir():  # where the README's commands are not run before
        subprocess.run(["bash", "-e", "-c", _INSTALL], cwd=reader.directory, env=reader.environment, check=True)
    reader.write("my-issuer.toml", block("docs/getting-started.md", "toml", "[implementation]"))


def no_known_failures(reader: Reader) -> None:
    """ "How to read a failure" looks at one of cert-manager's own, where its file does not list it."""
    file = reader.directory / "my-issuer.toml"
    file.write_text(re.sub(r'^"VI-.*\n', "", file.read_text(), flags=re.MULTILINE))


def reports_of_before_and_after(reader: Reader) -> None:
    """Two that are there already, of one run."""
    judge = "pytest --pyargs vault_issuer_conformance --vault-issuer=cert-manager --vault-issuer-report=before"
    reader.type([judge, "cp -r before after"])


#: What a page takes for granted beside what every reader has.
PREPARED = {
    "getting-started.md": own_issuer_of_getting_started,
    "implementers.md": no_known_failures,
    "reports.md": reports_of_before_and_after,
}


@pytest.mark.parametrize("table", [ELSEWHERE, FAIL], ids=["elsewhere", "fail"])
def test_tables_name_commands_that_there_are(table: dict[str, object]) -> None:
    written = {command for page in PAGES for commands in commands_of(page) for command in commands}
    assert table.keys() <= written


def test_texts_that_are_replaced_are_written_somewhere() -> None:
    written = "\n".join(command for page in PAGES for commands in commands_of(page) for command in commands)
    assert [text for text in INSTEAD if text not in written] == []


def test_what_is_run_elsewhere_is() -> None:
    assert [where for _, where in ELSEWHERE.values() if not (ROOT / where).is_file()] == []
