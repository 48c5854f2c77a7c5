"""`vault-issuer init` in an author's repository: the files that it writes judge the controller, here and in CI.

The repository contains the sample controller with its own API group: a program to build, and its CRDs.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import pytest_vault_issuer.sample_controller
from pytest_vault_issuer.version import __version__
from tests.support.reader import ROOT, Reader, Workflow, user_environment
from tests.support.written_report import passed

API_VERSION = "sample-controller.example.com/v1"
COMMAND = (
    "bin/my-issuer --kubeconfig={kubeconfig} --cluster-resource-namespace={cluster_resource_namespace} "
    f"--api-version={API_VERSION}"
)
BUILD = "sh build.sh"
OPTIONS = ["--name=my-issuer", f"--command={COMMAND}", f"--api-version={API_VERSION}", f"--build={BUILD}"]
#: Part of a question -> the typed answer; the other questions get the suggested answer.
TYPED = {"Command that runs": COMMAND, "Group and version": API_VERSION, "builds it": BUILD, "CI workflow": "github"}
#: The logins need permissions of the draft, and one that the author of the controller adds.
JUDGED = ["VI-APPROLE-001", "VI-KSECRETLESS-001"]
#: Timeout in seconds for the next question.
LIMIT = 60
#: Steps of the workflow that only GitHub can run.
USED = [
    "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683",
    "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065",
    "actions/cache/restore@5a3ec84eff668545956fd18022155c47e93e2684",
    "actions/cache/save@5a3ec84eff668545956fd18022155c47e93e2684",
    "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02",
]


@pytest.fixture
def author(tmp_path: Path) -> Reader:
    directory = tmp_path / "my-issuer"
    shutil.copytree(ROOT / "examples/sample-controller/crds", directory / "config/crd")
    sample_controller = Path(pytest_vault_issuer.sample_controller.__file__).parent
    shutil.copytree(sample_controller, directory / "src/issuer", ignore=shutil.ignore_patterns("__pycache__"))
    author = Reader(
        directory,
        # The package is installed: pip checks without an index that all requirements are met.
        user_environment(PIP_NO_INDEX="1", VAULT_ISSUER_SELECT=" ".join(JUDGED)),
    )
    author.write("src/__main__.py", "import sys\nfrom issuer.__main__ import main\nsys.exit(main(sys.argv[1:]))\n")
    author.write(
        "build.sh", "mkdir -p bin\npython3 -m zipapp src --python='/usr/bin/env python3' --output=bin/my-issuer\n"
    )
    return author


def init(author: Reader, *options: str) -> str:
    """Run the command without a terminal, and return its output."""
    return subprocess.run(
        ["vault-issuer", "init", *OPTIONS, *options],
        cwd=author.directory,
        env=author.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def checkout(author: Reader, place: Path) -> Reader:
    """Return a fresh checkout of the repository for a job."""
    shutil.copytree(author.directory, place, ignore=shutil.ignore_patterns("bin", "report"))
    return Reader(place, author.environment)


def test_printed_command_judges_the_controller(author: Reader, joining: dict[str, str]) -> None:
    said = init(author)
    (following,) = re.findall(r"^next: .*\n +(vault-issuer judge .*)$", said, re.MULTILINE)
    author.run_block([BUILD, following], **joining)
    assert passed(author.directory / "report") == JUDGED


def test_github_workflow_judges_the_controller(author: Reader, tmp_path: Path) -> None:
    init(author, "--ci=github", f"--suite={__version__}")
    job = checkout(author, tmp_path / "checkout")
    workflow = Workflow.read(job.directory / ".github/workflows/vault-issuer.yml")
    assert workflow.used == USED
    job.run(workflow, tmp_path / "summary")
    assert passed(job.directory / "report") == JUDGED
    assert (tmp_path / "summary").read_text() == (job.directory / "report/report.md").read_text()


def test_gitlab_job_judges_the_controller(author: Reader, joining: dict[str, str], tmp_path: Path) -> None:
    said = init(author, "--ci=gitlab", f"--suite={__version__}")
    included = yaml.safe_load(said[said.index("  include:") : said.index("next:")])["include"]
    job = checkout(author, tmp_path / "checkout")
    (written,) = (yaml.safe_load((job.directory / entry["local"]).read_text()) for entry in included)
    described: dict[str, Any] = written["vault-issuer"]
    # A cache of the job would be empty, and the job would build the components.
    del described["variables"]["VAULT_ISSUER_CACHE"]
    job.run_block(described["script"], **described["variables"], **joining)
    assert passed(job.directory / "report") == JUDGED
    assert (job.directory / described["artifacts"]["reports"]["junit"]).is_file()


def test_questions_and_options_write_the_same_files(author: Reader, tmp_path: Path) -> None:
    by_options, by_questions = (tmp_path / name / "my-issuer" for name in ("options", "questions"))
    for place in (by_options, by_questions):
        shutil.copytree(author.directory, place)
    init(Reader(by_options, author.environment), "--ci=github")
    questions = asked(Reader(by_questions, author.environment))
    assert [part for part in TYPED if not any(part in question for question in questions)] == []
    assert "Its CustomResourceDefinitions [config/crd]" in questions
    assert subprocess.run(["diff", "--recursive", by_options, by_questions]).returncode == 0
    assert (by_questions / "my-issuer.toml").is_file()


def asked(author: Reader) -> list[str]:
    """Run the command on a terminal, answer its questions, and return the questions."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["vault-issuer", "init"],
        cwd=author.directory,
        env=author.environment,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        assert process.stderr is not None
        questions, shown = [], ""
        while select.select([process.stderr], [], [], LIMIT)[0]:
            if not (more := os.read(process.stderr.fileno(), 4096)):
                break
            shown += more.decode()
            if shown.endswith(": "):
                questions.append(shown.removesuffix(": "))
                typed = [text for part, text in TYPED.items() if part in shown]
                os.write(ours, f"{''.join(typed)}\n".encode())
                shown = ""
        else:
            process.kill()
            pytest.fail(f"no further question, and no end, in {LIMIT} s: {questions}")
        os.close(ours)
    assert process.returncode == 0, f"{questions} {shown}"
    return questions
