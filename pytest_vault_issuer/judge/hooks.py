"""The hooks of a conformance run: selection, outcomes, summary, report, exit status."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ..errors import ConfigurationError, ImplementationError, NotRunnable, StackError, VaultIssuerError
from ..implementation.process import check_command
from ..report import build as json_report
from ..report import evidence, outcomes, reproduction, terminal
from ..report import write as files
from ..report.journal import Journal
from ..report.load import versions
from ..report.outcomes import ENDED_EARLY, TO_EXPLAIN, Outcome, RequirementResult, TestResult, Verdict
from ..requirements.catalogue import SUITE, Catalogue, Requirement
from ..requirements.mark import REQUIREMENT
from ..sandbox import Sandbox
from ..sandbox.shapes import InexpressibleError
from ..session.session import SILENT_LIMIT, Session
from ..stack.types import Stack
from ..text import plain, printable, writable
from ..toolchain import BINARIES
from . import certification, signals
from .progress import say
from .secrecy import redact_report as _redact

_CLUSTER_FEATURE = "cluster-issuer"
#: What a worker of pytest-xdist refused, in what it hands back.
_REFUSED = "vault_issuer_refused"
#: The status of a run whose stack did not start or was lost, or whose report could not be written.
_NO_STACK = 3
_LOST = "the supervisor of the run has ended, and the stack with it"
#: Characters of a test's message; of a longer one, the beginning is kept.
_LONGEST_MESSAGE = 20_000
_COLORS = {
    Verdict.CONFORMANT: "green",
    Verdict.PARTIAL: "yellow",
    Verdict.NON_CONFORMANT: "red",
    Verdict.INCOMPLETE: "yellow",
}


class Conformance:
    """Judges one implementation.

    :raises ConfigurationError: when it is described wrongly or the selection names what does not exist.
    """

    def __init__(self, config: pytest.Config, run: Session) -> None:
        self.config = config
        self.run = run
        self.implementation = run.implementation
        self.is_worker = hasattr(config, "workerinput")
        if self.implementation.run.command and self.implementation.run.command[0] not in BINARIES:
            check_command(self.implementation, {})  # now, not when the stack is up
        self._provider = run.provider
        self.catalogue = Catalogue.load()
        self.certify = run.settings.certify
        self.profiles = run.profiles
        selected = self.catalogue.select(self.profiles, run.settings.select)
        self.selected = {requirement.id for requirement in selected}
        for identifier in self.implementation.known_failures:
            if identifier not in self.catalogue.ids:
                raise ConfigurationError(
                    f"[known_failures] {identifier} is no requirement of this suite",
                    hint="list them: vault-issuer requirements",
                )
        #: by requirement id, the controller's alone
        asked = [r for r in self.catalogue.requirements if r.profile in self.profiles]
        self.results = {r.id: RequirementResult(r, later=self._later(r)) for r in asked}
        self.failure = ""
        self.hint = ""
        if self.certify:
            certification.check_implementation(self.implementation)
            certification.check_selection(self.implementation, self.profiles, run.settings.select)
            if not self.is_worker:
                certification.check_options(vars(config.option), config.args, SUITE)
        self._collected: dict[str, bool] = {}  # every test that judges something -> whether it is left out on purpose
        self._journal_file: Journal | None = None
        self._phases: dict[str, dict[str, Any]] = {}
        self._refused = False  # then there is no verdict
        self._others = False  # whether tests ran that judge no requirement
        #: by node id, every test that is to run here and judges something: its name, and what it judges
        self._planned: dict[str, tuple[str, list[str]]] = {}
        self._told = False  # whether a worker has handed that over
        self._done: set[str] = set()
        self._began = False  # whether the stack was to be started
        self._stack: Stack | None = None
        self._session: pytest.Session | None = None
        self.early = ""  # why the run ended early
        self.report_path: Path | None = None
        self.problem = ""  # why the report is not whole

    def _later(self, requirement: Requirement) -> str:
        """Why a requirement is not asked of this implementation; '' where it is."""
        if not requirement.later_than(self.implementation.contract):
            return ""
        return (
            f"since cert-manager {requirement.since}, {self.implementation.name} follows {self.implementation.contract}"
        )

    # -- start -----------------------------------------------------------------

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Have SIGTERM and SIGHUP end the run as Ctrl-C does, with a report."""
        if not self.is_worker:
            self._session = session
            self.config.add_cleanup(signals.stop_in_order())

    def pytest_report_header(self) -> list[str]:
        """Say what is judged, and on what."""
        profiles = ", ".join(self.profiles)
        certify = ", to be certified" if self.certify else ""
        followed = self.implementation.contract
        contract = f", contract cert-manager {followed}" if followed not in ("", self.implementation.version) else ""
        return [
            f"vault-issuer: {self.implementation.name} {self.implementation.version}{contract}, profile {profiles}, "
            f"stack {self._provider.name} ({self._provider.reason}){certify}"
        ]

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note each test that judges something, before anybody can leave it out."""
        if requirement_ids(item):
            self._collected[item.nodeid] = False

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the tests of the selected requirements, the long ones spread over the first half."""
        kept: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        for item in items:
            ids = requirement_ids(item)
            unknown = [i for i in ids if i not in self.catalogue.ids]
            if unknown:
                raise pytest.UsageError(f"{item.nodeid} judges {', '.join(unknown)}, not in the catalogue")
            (kept if not ids or self.selected.intersection(ids) else dropped).append(item)
        if dropped:
            self._collected.update((item.nodeid, True) for item in dropped)
            config.hook.pytest_deselected(items=dropped)
        items[:] = spread(kept)

    @pytest.hookimpl(tryfirst=True)  # before pytest-xdist's worker says what there is to run
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is to run; let nobody leave out tests of what is certified, whether pytest is told of it or not."""
        for item in session.items:
            if ids := requirement_ids(item):
                self._planned[item.nodeid] = (_test_name(item), ids)
        if not self.certify:
            return
        here = {item.nodeid for item in session.items}
        missing = [nodeid for nodeid, on_purpose in self._collected.items() if not on_purpose and nodeid not in here]
        try:
            certification.check_collection(missing)
        except ConfigurationError as error:
            if not self.is_worker:
                self._refuse(str(error))
            # An error in a worker would be one of pytest-xdist: it runs nothing, and the controller says why.
            session.items.clear()
            self.config.workeroutput[_REFUSED] = str(error)  # type: ignore[attr-defined]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """End the run with what a worker of pytest-xdist refused."""
        refused = getattr(node, "workeroutput", {}).get(_REFUSED)
        if refused:
            self._refuse(refused)

    def _refuse(self, why: str) -> NoReturn:
        self._refused = True
        raise pytest.UsageError(why)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Start stack and implementation before the first test, in the process that reports."""
        if self.is_worker or session.config.option.collectonly or not self._has_tests(session):
            return None
        self._open_journal()
        self._began = True
        return self._start()

    def _start(self) -> bool | None:
        try:
            self.run.build()
            began = time.monotonic()
            stack = self._stack = self.run.stack()
            ready = time.monotonic()
            say(self.config, f"vault-issuer: {versions(stack.components)} ready in {ready - began:.1f} s")
            running = self.run.running()
            took = time.monotonic() - ready
            if running.answers:
                say(self.config, f"vault-issuer: {self.implementation.name} answered in {took:.1f} s")
            else:
                self.failure = (
                    f"it wrote no condition on its first issuer within {self.run.timeouts.first_answer:g} s; "
                    f"every wait for it is cut to {SILENT_LIMIT:g} s"
                )
                say(self.config, f"vault-issuer: {self.implementation.name} does not answer: {self.failure}")
        except ImplementationError as error:
            self.failure = self._clean(error.message)
            self.hint = self._clean(error.hint)
            self._planned.clear()
            return True  # no test can say anything: the report does
        except ConfigurationError as error:
            self.early = self._clean(error.message)
            raise pytest.UsageError(self._clean(str(error))) from error
        except VaultIssuerError as error:
            self.early = self._clean(error.message)
            pytest.exit(f"vault-issuer: {self._clean(str(error))}", returncode=_NO_STACK)
        return None

    def _clean(self, text: str) -> str:
        """Return text without secrets, as a terminal may show it."""
        return printable(self.run.redactor.redact(text))

    def _open_journal(self) -> None:
        directory = self.run.settings.report
        if directory is None:
            return
        try:
            files.check(directory, "--vault-issuer-report")
            files.remove_all(directory)
            self._journal_file = Journal(directory)
        except ConfigurationError as error:
            self._refuse(printable(str(error)))
        except OSError as error:
            self._refuse(
                printable(
                    f"the report cannot be written: {error.filename or directory}: {error.strerror}\n"
                    "  hint: name another directory with --vault-issuer-report"
                )
            )
        self.config.add_cleanup(self._journal_file.close)
        self._journal(
            "run",
            schema_version=json_report.SCHEMA_VERSION,
            implementation={"name": self.implementation.name, "version": self.implementation.version},
            profiles=list(self.profiles),
            select=list(self.run.settings.select),
        )

    def _journal(self, kind: str, **fields: Any) -> None:
        if self._journal_file is not None:
            self._journal_file.write(kind, **fields)

    def _has_tests(self, session: pytest.Session) -> bool:
        """Whether there is anything to judge: no stack is built or started for other tests."""
        if session.config.pluginmanager.hasplugin("dsession"):
            return True  # pytest-xdist's controller collects nothing itself
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            return False
        return any(requirement_ids(item) for item in session.items)

    # -- tests -----------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave out what is not claimed, and everything once the implementation has ended."""
        ids = requirement_ids(item)
        if not ids:
            return
        needed = {self.catalogue[i].feature for i in ids} | features_of(item)
        missing = sorted(needed - self.implementation.features - {""})
        if missing:
            _set_outcome(item, Outcome.UNSUPPORTED)
            pytest.skip(f"unsupported: {self.implementation.name} does not claim {', '.join(missing)}")
        later = next(filter(None, (self._later(self.catalogue[i]) for i in ids)), "")
        if later:
            _set_outcome(item, Outcome.UNSUPPORTED)
            pytest.skip(f"unsupported: {later}")
        if self.run.lost:
            raise StackError(_LOST, hint="look for what killed it, such as a lack of memory")
        ended = self.run.implementation_end()
        if ended:
            _set_outcome(item, Outcome.NOT_RUN)
            pytest.skip(f"not run: {self.implementation.name}: {ended.splitlines()[0]}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell failures from errors, add the evidence, and redact what pytest prints."""
        report = yield
        ids = requirement_ids(item)
        if not ids:
            return report
        outcome, collected = Outcome.PASSED, None
        if call.excinfo is not None:
            outcome = self._judge(item, call, report, ids)
            sandbox = getattr(item, "funcargs", {}).get("vault_issuer_sandbox")
            if outcome in TO_EXPLAIN and isinstance(sandbox, Sandbox):
                collected = plain(evidence.collect(sandbox))
                report.sections.extend(evidence.sections(collected))
        _redact(report, self._clean)  # also one that passed: -rP and JUnit files show its output
        if call.when == "setup":
            item.user_properties.extend(("requirement", i) for i in ids)
        message = self.run.redactor.redact(_message(report, call))
        if outcome is Outcome.ERROR and self.run.lost and _LOST not in message:
            message = f"{_LOST}: {message}"
        report.vault_issuer = {  # type: ignore[attr-defined]
            "test": _test_name(item),
            "requirements": ids,
            "outcome": outcome.value,
            "message": writable(_shortened(message)),
            "evidence": collected,
            "calls": item.stash.get(_CALLS, 0),
            "planned": {} if self._told or not self.is_worker else dict(self._planned),
        }
        self._told = True
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Count how often a test's body is run: a report says so only of what its plugins let it see."""
        pyfuncitem.stash[_CALLS] = pyfuncitem.stash.get(_CALLS, 0) + 1
        return (yield)

    def _judge(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, ids: list[str]
    ) -> Outcome:
        assert call.excinfo is not None
        error = call.excinfo.value
        if isinstance(error, pytest.skip.Exception):
            return Outcome(item.stash.get(_OUTCOME, Outcome.NOT_RUN))
        if isinstance(error, NotRunnable):
            report.outcome = "skipped"
            unsupported = isinstance(error, InexpressibleError)
            report.longrepr = (str(item.path), 0, f"{'unsupported' if unsupported else 'not run'}: {error.message}")
            return Outcome.UNSUPPORTED if unsupported else Outcome.NOT_RUN
        if call.when != "call" or not isinstance(error, AssertionError | pytest.fail.Exception) or self.run.lost:
            return Outcome.ERROR
        reasons = [self.implementation.known_failures[i] for i in ids if i in self.implementation.known_failures]
        if reasons:
            report.outcome = "skipped"
            report.wasxfail = f"known failure: {reasons[0]}"
            return Outcome.KNOWN_FAILURE
        return Outcome.FAILED

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the phases of each test; the controller sees those of all workers."""
        data: dict[str, Any] | None = getattr(report, "vault_issuer", None)
        self._others = self._others or data is None
        if self.is_worker:
            return
        if data is None:
            if report.when not in ("setup", "call", "teardown") and report.nodeid in self._planned:
                # So pytest-xdist says that the worker that ran it has crashed.
                crash = {"worst": Outcome.ERROR, "message": _shortened(self._clean(str(report.longrepr)))}
                self._conclude(report.nodeid, self._phases.get(report.nodeid, {}) | crash)
            return
        self._planned.update({nodeid: (name, ids) for nodeid, (name, ids) in data["planned"].items()})
        if self.certify and (data["calls"] > 1 or (report.when == "setup" and report.nodeid in self._phases)):
            self.failure = f"{data['test']} was repeated: what passes only sometimes cannot be certified"
        phases = self._phases.setdefault(report.nodeid, {"worst": Outcome.PASSED, "duration": 0.0, "message": ""})
        phases["evidence"] = phases.get("evidence") or data["evidence"]
        phases["duration"] += report.duration
        outcome = Outcome(data["outcome"])
        if outcome is not Outcome.PASSED and phases["worst"] is not Outcome.ERROR:
            phases.update(worst=outcome, message=data["message"])
        if report.when == "teardown":
            if phases["worst"] is Outcome.PASSED and not data["calls"]:  # --setup-only, --setup-plan
                phases.update(worst=Outcome.NOT_RUN, message="not run: only what it needs was set up")
            self._planned.setdefault(report.nodeid, (data["test"], data["requirements"]))
            self._conclude(report.nodeid, phases)

    def _conclude(self, nodeid: str, phases: dict[str, Any]) -> None:
        """Note what became of a test, in the results and in the journal."""
        name, ids = self._planned[nodeid]
        self._done.add(nodeid)
        result = TestResult(
            name, phases["worst"], phases.get("duration", 0.0), phases["message"], phases.get("evidence")
        )
        for identifier in ids:
            if identifier in self.results:
                self.results[identifier].tests.append(result)
        self._journal(
            "test",
            nodeid=result.nodeid,
            requirements=ids,
            outcome=result.outcome.value,
            duration_s=round(result.duration_s, 3),
            message=result.message,
        )

    # -- end -------------------------------------------------------------------

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note why the run ends early: Ctrl-C, a signal, -x, pytest.exit()."""
        error = excinfo.value
        if isinstance(error, signals.Stopped):
            self._ends_early(f"ended by {error}")
        elif isinstance(error, pytest.exit.Exception):
            self._ends_early(error.msg or "pytest.exit()")
        else:
            self._ends_early(str(error) or "interrupted")

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that pytest or one of its plugins is broken."""
        self._ends_early(f"internal error of pytest: {excinfo.exconly(tryshort=True)}")

    def _ends_early(self, why: str) -> None:
        self.early = self.early or _shortened(self._clean(why.strip()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the report and turn the verdicts into the exit status."""
        if self.is_worker or session.config.option.collectonly:
            return
        with signals.held_back("the report is being written"):
            if self._refused or not self._judging:
                return
            if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or self._began:
                self._finish(session, exitstatus)

    def _finish(self, session: pytest.Session, exitstatus: int) -> None:
        """Note what was not judged, write the report, and set the exit status."""
        try:
            self.failure = self._clean(self.run.implementation_end()) or self.failure
        except VaultIssuerError as error:
            self._ends_early(error.message)
        if self.run.lost:
            self.early = _LOST
        unfinished = [nodeid for nodeid in self._planned if nodeid not in self._done]
        if not self.early and unfinished:
            self._ends_early(str(session.shouldfail or session.shouldstop or f"{len(unfinished)} tests were not run"))
        for nodeid in unfinished:
            phases: dict[str, Any] = self._phases.get(nodeid, {"worst": Outcome.PASSED})
            if phases["worst"] is Outcome.PASSED:
                phases = phases | {"worst": Outcome.NOT_RUN, "message": f"{ENDED_EARLY}: {self.early}"}
            self._conclude(nodeid, phases)
        if self.run.settings.report is not None:
            try:
                self._write(self.run.settings.report)
            except (OSError, VaultIssuerError) as error:
                self.problem = self._clean(f"the report could not be written: {error}")
            if self._journal_file is not None and self._journal_file.problem:
                self.problem = self.problem or self._journal_file.problem
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = self._exit_status(session)
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED):
            self._say_where()  # pytest prints no summary

    def _write(self, directory: Path) -> None:
        stack = self._stack or (self.run.stack() if self.run.has_stack else None)
        report = json_report.build(
            self.implementation,
            stack,
            self.run.settings,
            self.results.values(),
            profiles=self.profiles,
            reproduction=reproduction.describe(
                self.config.invocation_params.args,
                self.implementation,
                self.run.settings,
                self.run.command() if stack else [],
                self.run.toolchain,
                stack,
            ),
            failure=self.failure,
            incomplete=self.early,
        )
        try:
            self.report_path = files.write_all(report, directory)
        finally:
            verdicts = {name: profile["verdict"] for name, profile in report["profiles"].items()}
            self._journal("end", verdicts=verdicts, failure=self.failure, incomplete=self.early)

    def _exit_status(self, session: pytest.Session) -> int:
        """Return the exit status of a run that pytest itself did not end."""
        if self.problem or self.early == _LOST:
            return _NO_STACK
        judged = [r for r in self.results.values() if r.tests]
        bad = any(
            r.outcome is Outcome.ERROR or (r.requirement.level == "MUST" and r.outcome is Outcome.FAILED)
            for r in judged
        )
        passed = any(r.outcome is Outcome.PASSED for r in judged)
        others = session.testsfailed - sum(
            t.outcome in (Outcome.FAILED, Outcome.ERROR) for t in {t for r in judged for t in r.tests}
        )
        if self.certify:
            verdicts = {
                outcomes.verdict(members, strict=True)
                for members in outcomes.by_profile(self.results.values(), self.profiles).values()
            }
            bad = bad or verdicts != {Verdict.CONFORMANT}
        good = passed and not (bad or others > 0 or self.failure or self.early)
        return pytest.ExitCode.OK if good else pytest.ExitCode.TESTS_FAILED

    def not_ended(self) -> None:
        """Have the exit status say that not everything of the run could be ended."""
        if self._session is not None and self._session.exitstatus == pytest.ExitCode.OK:
            self._session.exitstatus = _NO_STACK

    def _say_where(self) -> None:
        for line in self._places():
            say(self.config, f"vault-issuer: {line}")

    def _places(self) -> Iterator[str]:
        if self.report_path is not None:
            yield f"report: {self.report_path}"
        if self.problem:
            yield self.problem

    @property
    def _judging(self) -> bool:
        """Whether the run is one of the suite: somebody's own tests of an issuer say nothing of its requirements."""
        return bool(self._phases) or not self._others or any(SUITE in argument for argument in self.config.args)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print outcomes by area, what did not pass, and the verdict."""
        if self.config.option.collectonly or self._refused or not self._judging:
            return
        write = terminalreporter.write_line
        terminalreporter.section(f"{self.implementation.name} {self.implementation.version}", sep="=")
        results = list(self.results.values())
        for line in terminal.table(results):
            write(line)
        for line in terminal.details(results):
            write(line)
        if self.failure:
            write(f"{self.implementation.name}: {self.failure}", red=True)
        if self.hint:
            write(f"  hint: {self.hint}")
        if self.early:
            write(f"the run ended early: {self.early}", red=True)
        for profile, members in outcomes.by_profile(results, self.profiles).items():
            line, verdict = terminal.verdict_line(profile, members, strict=self.certify, incomplete=bool(self.early))
            write(line, bold=True, **{_COLORS[verdict]: True})
        for line in self._places():
            write(line)


def spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in an order in which those marked slow are evenly apart, in the first half.

    pytest-xdist deals neighbours to the same worker: slow tests side by side
    would be left to one, and at the end they would be all that still runs.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    ordered = [item for item in items if not item.get_closest_marker("slow")]
    step = len(ordered) / 2 / len(slow) if slow else 0
    for number, item in enumerate(slow):
        ordered.insert(number + round(number * step), item)
    return ordered


_OUTCOME = pytest.StashKey[Outcome]()
_CALLS = pytest.StashKey[int]()


def _set_outcome(item: pytest.Item, outcome: Outcome) -> None:
    item.stash[_OUTCOME] = outcome


def requirement_ids(item: pytest.Item) -> list[str]:
    """Return the ids of the requirements a test judges."""
    return [identifier for mark in item.iter_markers(REQUIREMENT) for identifier in mark.args]


def features_of(item: pytest.Item) -> set[str]:
    """Return the features that a test's parameters need: an authentication, a cluster-scoped issuer.

    The parameters are ``feature`` and ``kind``, and ``other_feature`` and ``other_kind`` beside them.
    """
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    needed = {parameters[name] for name in ("feature", "other_feature") if name in parameters}
    kinds = {parameters.get(name) for name in ("kind", "other_kind")}
    return needed | ({_CLUSTER_FEATURE} if "ClusterIssuer" in kinds else set())


def _message(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return str(call.excinfo.value) or call.excinfo.typename


def _shortened(message: str) -> str:
    """Cut a message of megabytes."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    return f"{message[:_LONGEST_MESSAGE]}… ({len(message)} characters)"


def _test_name(item: pytest.Item) -> str:
    """Return a test's node id, for those of the suite one that does not depend on where it is installed."""
    if item.path.parent != Path(str(resources.files(SUITE))):
        return item.nodeid
    return f"{SUITE}/{item.path.name}::{item.nodeid.partition('::')[2]}"
