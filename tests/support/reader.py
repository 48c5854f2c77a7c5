"""Runs the commands of a page or a workflow as written, in order, in the environment of a user.

A page's shell blocks are scripts for ``bash -e``, like a workflow's steps, with the installed package in the PATH.
Tables list the commands that do not run here, with the file that runs them, and replacements for values of the user.
All other commands must run as written. Every entry of a table must occur on a page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
#: Timeout in seconds for a block; one compiles a controller and judges it completely.
LIMIT = 1800
#: A session of the whole suite takes a minute. VAULT_ISSUER_SELECT narrows it without a change of the command; a
#: command that selects requirements overrides it.
NARROWED = {"VAULT_ISSUER_SELECT": "VI-TOKEN-001"}

#: Options that leave out a plugin of our own tests: users do not have it, and it imports Hypothesis at the end of every
#: session, which takes almost a second of CPU time.
WITHOUT_HYPOTHESIS = ("-p", "no:hypothesispytest")


def commands_of(page: Path) -> list[list[str]]:
    """Return the commands of each shell block of a page, one per line."""
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", page.read_text(), re.MULTILINE | re.DOTALL)
    blocks = [re.sub(r" *\\\n\s*", " ", block) for _, block in found]
    return [[line.strip() for line in block.splitlines() if line.strip()] for block in blocks]


def commands_of_block(page: str, start: str) -> list[str]:
    """Return the commands of the shell block of a page that starts with a text, one per line."""
    (found,) = [block for block in commands_of(ROOT / page) if block[0] == start]
    return found


@dataclass(frozen=True)
class Workflow:
    """A workflow of GitHub Actions with one job.

    :ivar used: the actions of its steps, which only GitHub can run.
    :ivar scripts: the scripts of its other steps.
    """

    environment: dict[str, str]
    used: list[str]
    scripts: list[str]

    @classmethod
    def read(cls, path: Path) -> Workflow:
        """Read the workflow from its file."""
        written = yaml.safe_load(path.read_text())
        (job,) = written["jobs"].values()
        steps = job["steps"]
        assert all(("uses" in step) != ("run" in step) for step in steps), steps
        used, scripts = ([step[key] for step in steps if key in step] for key in ("uses", "run"))
        return cls(written["env"], used, scripts)


@dataclass(frozen=True)
class Tables:
    """Commands that do not run as written.

    :ivar elsewhere: command -> why it does not run here, and the file that runs it.
    :ivar instead: text in commands -> its replacement, and why; names in braces refer to :attr:`Reader.paths`.
    :ivar fail: command that shows a failure and exits with 1 -> why.
    """

    elsewhere: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    instead: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    fail: Mapping[str, str] = field(default_factory=dict)

    def check(self, pages: Iterable[Path]) -> None:
        """Check that the tables name only commands of the pages, and files that exist."""
        written = [command for page in pages for commands in commands_of(page) for command in commands]
        unknown = {*self.elsewhere, *self.fail} - set(written)
        assert not unknown, f"commands on no page: {unknown}"
        unused = [text for text in self.instead if text not in "\n".join(written)]
        assert not unused, f"replacements on no page: {unused}"
        missing = [where for _, where in self.elsewhere.values() if not (ROOT / where).is_file()]
        assert not missing, f"no files: {missing}"


def user_environment(**more: str) -> dict[str, str]:
    """Return the environment of a user who has installed the package, without variables of this pytest run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "VAULT_ISSUER_VAULT"))}
    ours = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_ADDOPTS": " ".join(WITHOUT_HYPOTHESIS),
    }
    return kept | ours | more


@dataclass
class Reader:
    """A user who runs commands.

    :ivar directory: the working directory.
    :ivar paths: values for the names in braces in :attr:`Tables.instead`.
    """

    directory: Path
    environment: dict[str, str] = field(repr=False)
    tables: Tables = field(default_factory=Tables, repr=False)
    paths: dict[str, object] = field(default_factory=dict)

    def run_block(self, commands: list[str], **environment: str) -> str:
        """Run a block without the commands that run elsewhere, and return its output.

        :param environment: additional variables for this block.
        """
        lines = []
        for command in commands:
            if command in self.tables.elsewhere:
                continue
            line = command
            for written, (instead, _) in self.tables.instead.items():
                if written in line:
                    line = line.replace(written, instead.format(**self.paths))
            lines.append(f"if {line}; then exit 99; else test $? = 1; fi" if command in self.tables.fail else line)
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)],
            cwd=self.directory,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, f"{lines}\n{done.stdout}"
        return done.stdout

    def run(self, workflow: Workflow, summary: Path) -> None:
        """Run the scripts of a workflow in order, each in a separate shell.

        :param summary: file for the summary page of the job.
        """
        for script in workflow.scripts:
            self.run_block([script], GITHUB_STEP_SUMMARY=str(summary), **workflow.environment)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the user."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path
