"""Each command in README.md and docs/ runs as it is written, in the reader's environment."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vault_issuer.toolchain import Toolchain
from tests.support.reader import NARROWED, ROOT, Reader, Tables, commands_of, commands_of_block, user_environment
from tests.support.scope import complete

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_TOX = "a tox environment of the clone, and this test may be a part of such a run"
_INSTALL = "python3 -m venv .venv && .venv/bin/pip install '.[all]'"
#: Command -> why this test does not run it, and the file that runs it.
ELSEWHERE = {
    _INSTALL: ("the first command of README.md does so in the same clone", "tests/e2e/test_commands.py"),
    "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox run": (_TOX, ".ci/run"),
    "tox run -e mutation": (f"{_TOX}; it takes hours", "tests/mutation/test_matrix.py"),
    "tox run -e mutation -- tests/mutation -k approle": (_TOX, "tests/mutation/test_matrix.py"),
    "MUTATION_RULE_SHARE=0.1 tox run -e mutation -- tests/mutation/test_by_rule.py": (
        f"{_TOX}; it takes hours",
        "tests/mutation/test_by_rule.py",
    ),
    "tox run -e soak -- --runs 20": (f"{_TOX}; it takes half an hour, and is run by hand", "benchmarks/soak.py"),
    "tox run -e matrix -- cert-manager@1.18 cert-manager@1.20": (
        f"{_TOX}; it builds two further releases, and is run by hand",
        "benchmarks/matrix.py",
    ),
    "vault-issuer bench cert-manager@1.18 cert-manager@1.21 --issuers 50 --requests 200 --rounds 2 --timeout-scale 3"
    " --output bench": ("it builds a further release, and measures for minutes", "tests/e2e/test_bench.py"),
    "vault-issuer judge ./my-issuer.toml --certify": (
        "what is certified is whole, and nothing narrows it",
        "tests/e2e/test_sample_controller.py",
    ),
    "vault-issuer toolchain mirror /srv/binaries --platform linux-amd64": (
        "it downloads from the publishers",
        "tests/unit/toolchain/test_mirror.py",
    ),
    "export VAULT_ISSUER_MIRROR=/srv/binaries": ("the mirror of that command", "tests/unit/toolchain/test_mirror.py"),
    "vault-issuer report check report": ("a report in certify mode", "tests/unit/report/test_published.py"),
    "vault-issuer report publish path/to/report": ("a report in certify mode", "tests/unit/report/test_published.py"),
    "vault-issuer judge cert-manager --stack kind -n 2": (
        "it needs a container engine and kind",
        "tests/e2e/test_kind.py",
    ),
    "vault-issuer stack down vault-issuer-0123456789ab": (
        "a session whose cleanup was interrupted",
        "tests/e2e/test_existing_endings.py",
    ),
    "pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml --vault-issuer-profile=resilience": (
        "the profile takes minutes",
        "tests/e2e/test_resilience.py",
    ),
    "export VAULT_ISSUER_VAULT_TOKEN": ("the token of a Vault that is there", "tests/e2e/test_existing.py"),
    "pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml --vault-issuer-kubeconfig=cluster.yaml"
    " --vault-issuer-vault-addr=https://vault.example.com --vault-issuer-vault-ca-cert=vault-ca.pem"
    " --vault-issuer-bind=192.0.2.7": ("a cluster and a Vault that are there", "tests/e2e/test_existing.py"),
} | dict.fromkeys(
    commands_of_block("docs/providers.md", "kubectl apply -f permissions.yaml"),
    ("a cluster with nodes that the user owns", "tests/e2e/test_existing_kind.py"),
)
#: Text in commands -> its replacement, and why. `{vault}` and `{kubernetes}` are binaries of the toolchain.
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
if not complete():
    INSTEAD["--select APPROLE --select KSTATIC"] = (
        "--select VI-APPROLE-001 --select VI-KSTATIC-001",
        "whole areas take half a minute; the complete run judges them",
    )
#: Pages whose sessions start their own stack, as a reader's sessions do. Those of the other pages join a shared stack.
OWN_STACK = ("README.md", "providers.md")
#: Commands that show a failure and exit with 1.
FAIL = {
    "vault-issuer judge ./my-issuer.toml --select VI-SIGN-018": (
        "the page looks at a failure, and nothing else is selected"
    )
}


TABLES = Tables(ELSEWHERE, INSTEAD, FAIL)


def block(page: str, language: str, start: str) -> str:
    """Return the block of a page in a language that starts with a text."""
    (found,) = re.findall(rf"^```{language}\n({re.escape(start)}.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    return str(found)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Reader]:
    clone = tmp_path_factory.mktemp("reader") / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build"))
    temporary = tmp_path_factory.mktemp("tmp")
    controller, vault = (toolchain.path(name) for name in ("cert-manager-controller", "vault"))
    assert controller
    assert vault
    # As in a directory of kubebuilder, which contains all binaries.
    kubernetes = tmp_path_factory.mktemp("kubebuilder")
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        binary = toolchain.path(name)
        assert binary
        (kubernetes / name).symlink_to(binary)
    reader = Reader(
        clone,
        # Compiling all installed modules takes longer than the installation; Python compiles those that it imports.
        user_environment(TMPDIR=str(temporary), PIP_NO_COMPILE="1", **NARROWED),
        TABLES,
        {"vault": vault, "kubernetes": kubernetes},
    )
    # The complete implementation file, with the command filled in as its page says.
    page = "docs/implementation-file.md"
    issuer = block(page, "toml", "[implementation]").replace("/path/to/cert-manager-controller", str(controller))
    rbac = block(page, "yaml", "# rbac.yaml")
    reader.write("rbac.yaml", rbac)
    reader.write("my-issuer.toml", issuer)
    # "Getting started" has a program with one flag, which runs under another account.
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
def test_commands_of_a_page_work(reader: Reader, joining: dict[str, str], page: Path) -> None:
    if page.name not in OWN_STACK:
        reader = dataclasses.replace(reader, environment=reader.environment | joining)
    own = (reader.directory / "my-issuer.toml").read_text()
    if page.name in PREPARED:
        PREPARED[page.name](reader)
    for commands in commands_of(page):
        reader.run_block(commands)
    reader.write("my-issuer.toml", own)


def own_issuer_of_getting_started(reader: Reader) -> None:
    if not (reader.directory / ".venv").is_dir():  # if the README's commands did not run before
        subprocess.run(["bash", "-e", "-c", _INSTALL], cwd=reader.directory, env=reader.environment, check=True)
    reader.write("my-issuer.toml", block("docs/getting-started.md", "toml", "[implementation]"))


def no_known_failures(reader: Reader) -> None:
    """Remove the known failures, because "How to read a failure" shows one of them as a failure."""
    file = reader.directory / "my-issuer.toml"
    file.write_text(re.sub(r'^"VI-.*\n', "", file.read_text(), flags=re.MULTILINE))


def reports_of_before_and_after(reader: Reader) -> None:
    """Write two existing reports of one session."""
    judge = "pytest --pyargs vault_issuer_conformance --vault-issuer=cert-manager --vault-issuer-report=before"
    reader.run_block([judge, "cp -r before after"])


#: What a page needs in addition to the environment of every reader.
PREPARED = {
    "getting-started.md": own_issuer_of_getting_started,
    "implementers.md": no_known_failures,
    "reports.md": reports_of_before_and_after,
}


def test_tables_name_only_commands_of_the_pages() -> None:
    TABLES.check(PAGES)
