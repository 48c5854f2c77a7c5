"""``vault-issuer judge``: runs the suite with pytest, without knowledge of pytest."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..options import OPTIONS
from ..report import rerun
from ..report.load import Report, load, title
from ..requirements.catalogue import SUITE
from ..text import one_line
from . import session_options
from .output import add_command, positive

#: Options of a session that most users need. The command passes every other one on to pytest.
_FIELDS = ("profile", "select", "stack", "timeout_scale", "certify")
#: Exit status of pytest for a wrong option; 2 means interrupted there.
USAGE_ERROR = 4
_REPORT = "report"
#: Program that runs pytest.
RUN_PYTEST = Path(__file__).with_name("run_pytest.py")
#: Folder of a report with the report of the tests that were repeated.
REPEATED = "failed"
#: Tests wait most of the time; more workers than four make no session faster on the machines of benchmarks/.
_MOST_WORKERS = 4
#: Words for pytest that choose the workers, or do not work with several.
_OF_WORKERS = re.compile(
    r"-n.*|--(numprocesses|maxprocesses|dist|tx)(=.*)?|-d|--pdb|--trace|--collect-only|--co|(-p)?no:xdist"
)


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    parser = add_command(
        commands,
        "judge",
        "judge an implementation, and write a report",
        "Judge an implementation with several workers, print progress and the verdict, and write a report.\n"
        "This is short for pytest --pyargs vault_issuer_conformance --vault-issuer=IMPLEMENTATION. The command prints\n"
        "that command, and passes every other argument on to pytest. Exit status, as of pytest: 0 no MUST failed;\n"
        "1 a MUST failed; 2 interrupted; 3 the stack did not start; 4 an option or a file is wrong; 5 no test was\n"
        "selected.",
        """
vault-issuer judge cert-manager                         # the reference, real cert-manager
vault-issuer judge ./my-issuer.toml                     # your own; init writes the file
vault-issuer judge --failed                             # repeat what failed
vault-issuer judge ./my-issuer.toml --select SIGN -x    # one area, until the first failure (-x of pytest)
vault-issuer judge ./my-issuer.toml --stack kind --vault-issuer-image=my-issuer:1.4.0
""",
    )
    parser.passes_on("IMPLEMENTATION", "pytest arguments", error_status=USAGE_ERROR)
    parser.add_argument(
        "implementation",
        nargs="?",
        metavar="IMPLEMENTATION",
        help="cert-manager, cert-manager@VERSION, sample-controller, a TOML file, or package.module:factory",
    )
    parser.add_argument(
        "--failed",
        action="store_true",
        help=f"repeat the tests of the report that failed, with the settings of their session; their report goes into "
        f"DIR/{REPEATED}",
    )
    parser.add_argument("--report", metavar="DIR", help=f"directory of the report (default: {_REPORT})")
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="number of processes that run tests (default: up to 4, at most one for each selected requirement)",
    )
    session_options.add_options(parser, *_FIELDS)
    parser.set_defaults(run=run, error_status=USAGE_ERROR)


def run(options: argparse.Namespace) -> int:
    """Become pytest, which runs the suite.

    :raises ConfigurationError: if there is nothing to judge or to repeat, or if pytest-xdist is missing.
    """
    repeated = _Repetition.of(options) if options.failed else None
    if repeated is not None and not repeated.tests:
        print(f"nothing failed in the report of {repeated.about}: there is nothing to repeat")
        return 0
    words = repeated.arguments() if repeated else _arguments(options)
    words += _workers(options, len(repeated.tests) if repeated else _selected(options))
    words += options.passed_on
    print(f"vault-issuer: running: {one_line(shlex.join(['pytest', *words]))}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    if repeated is not None:
        os.environ["VAULT_ISSUER_CERTIFY"] = "false"  # only a complete session can be certified
    # pytest takes the place of this process: signals, terminal and exit status are its own. -P: as the program pytest,
    # do not import from the current directory.
    os.execv(sys.executable, [sys.executable, "-P", str(RUN_PYTEST), *words])  # noqa: S606 (no shell)


def _arguments(options: argparse.Namespace) -> list[str]:
    """Return what selects the suite and the implementation, with the settings that were given."""
    name = options.implementation or os.environ.get("VAULT_ISSUER")
    if not name:
        raise ConfigurationError(
            "the implementation to judge is missing, or is not the first argument",
            hint="run: vault-issuer judge cert-manager, or name your own file; `vault-issuer init` writes one",
        )
    words = ["--pyargs", SUITE, f"--vault-issuer={name}"]
    for option in OPTIONS:
        if option.field in _FIELDS and (value := getattr(options, option.field)):
            values = [value] if isinstance(value, str) else value
            words += [f"--{option.name}"] if option.flag else [f"--{option.name}={one}" for one in values]
    if not any(word.partition("=")[0] == "--vault-issuer-report" for word in options.passed_on):
        report = options.report or os.environ.get("VAULT_ISSUER_REPORT") or _REPORT
        words.append(f"--vault-issuer-report={report}")
    return words


class _Repetition:
    """What ``--failed`` repeats.

    :ivar about: name and version of the implementation, and where its report is.
    :ivar tests: node ids of the tests that failed or were errors.
    """

    def __init__(self, report: Report, directory: Path) -> None:
        self._report = report
        self._directory = directory
        self.about = one_line(f"{title(report)} in {directory}")
        self.tests = rerun.failed(report)

    @classmethod
    def of(cls, options: argparse.Namespace) -> _Repetition:
        """Read the report.

        :raises ConfigurationError: if there is none, or if other options do not fit.
        """
        if options.implementation:
            raise ConfigurationError(
                "--failed judges the implementation of the report and cannot be combined with "
                f"{options.implementation}",
                hint=f"remove {options.implementation}, or remove --failed to judge everything",
            )
        if given := [name for name in _FIELDS if getattr(options, name)]:
            raise ConfigurationError(
                "--failed repeats tests with the settings of their session and cannot be combined with "
                f"--{given[0].replace('_', '-')}",
                hint="remove one of the two options",
            )
        path = Path(options.report or os.environ.get("VAULT_ISSUER_REPORT") or _REPORT)
        if not path.exists():
            raise ConfigurationError(
                f"there is no report to repeat: {path} does not exist",
                hint="judge everything first: vault-issuer judge IMPLEMENTATION; or name its directory with --report",
            )
        return cls(load(path), path if path.is_dir() else path.parent)

    def arguments(self) -> list[str]:
        """Return the arguments for pytest."""
        return [*rerun.arguments(self._report, self.tests), f"--vault-issuer-report={self._directory / REPEATED}"]


def _selected(options: argparse.Namespace) -> int | None:
    """Return the number of selected requirements; None if areas or everything are selected.

    A worker takes a second of CPU to start, and most requirements have one test.
    """
    selected = set(options.select or os.environ.get("VAULT_ISSUER_SELECT", "").split())
    return len(selected) or None if all("-" in name for name in selected) else None


def _workers(options: argparse.Namespace, tests: int | None) -> list[str]:
    """Return the argument with the number of workers, [] for one or if the user chooses it for pytest.

    :param tests: about how many tests run, if that is known.
    :raises ConfigurationError: if several are asked for without pytest-xdist.
    """
    chosen = [word for word in options.passed_on if _OF_WORKERS.fullmatch(word)]
    number: int = options.workers or min(_MOST_WORKERS, 2 * _processors(), tests or _MOST_WORKERS)
    installed = find_spec("xdist") is not None
    if not installed and (number > 1 or any(word.startswith(("-n", "--numprocesses")) for word in chosen)):
        raise ConfigurationError(
            "several workers need the package pytest-xdist",
            hint="run: pip install 'pytest-vault-issuer[all]'; or run one test after the other: --workers 1",
        )
    return [] if chosen or number == 1 else ["-n", str(number)]


def _processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
