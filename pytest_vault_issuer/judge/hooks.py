"""The hooks of a session that judges an implementation. Each hook delegates to another module of this package."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from .. import streams
from ..errors import ConfigurationError, VaultIssuerError
from ..implementation.manifests import check_paths
from ..implementation.process import check_command
from ..report.outcomes import Outcome
from ..report.terminal import last_lines
from ..requirements.catalogue import SUITE
from ..session.session import Session
from ..text import printable
from ..toolchain import BINARIES
from . import certification, start
from .collector import Collector
from .ending import LOST, NO_STACK, STOPPED, Ending, exit_status
from .items import requirement_ids
from .phases import PhaseJudge, shortened
from .progress import say
from .report_files import ReportFiles
from .results import Results
from .selection import Selection
from .signals import Signals, Stopped

#: Key of the error with which a worker of pytest-xdist rejected the session, in its output.
_REFUSED = "vault_issuer_refused"
#: Exit statuses of a session that pytest ran to its end.
_TESTS_RAN = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class Conformance:
    """Judges one implementation.

    :raises ConfigurationError: when its description is wrong, or the selection names an unknown requirement.
    """

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self.config = config
        self.session = session
        self.implementation = session.implementation
        self.is_worker = hasattr(config, "workerinput")
        if self.implementation.run.command and self.implementation.run.command[0] not in BINARIES:
            check_command(self.implementation, {})  # now, before a stack starts
        check_paths(self.implementation)
        self._provider = session.provider
        self.certify = session.settings.certify
        self.selection = Selection.of(session)
        if self.certify:
            certification.check_implementation(self.implementation)
            certification.check_selection(self.implementation, session.profiles, session.settings.select)
            certification.check_settings(session.settings, self._provider.name)
            if not self.is_worker:
                certification.check_options(vars(config.option), config.args, SUITE)
        self.collector = Collector(self.selection, certify=self.certify)
        self.ending = Ending()
        self.files = ReportFiles(session)
        self.results = Results(self.selection.results(), self.collector.planned, self.files.add)
        handed_over = self.collector.planned if self.is_worker else {}
        self.judge = PhaseJudge(session, self.selection, self._clean, handed_over)
        self.signals = Signals(lambda: session.directory.outlook)
        self._refused = False  # then there is no verdict
        self._began = False  # whether the session has tried to start its stack
        self._finished = False  # whether pytest has finished the session
        self._pytest_session: pytest.Session | None = None

    def _clean(self, text: str) -> str:
        """Return text without secrets, and without control characters."""
        return printable(self.session.redactor.redact(text))

    # -- start -----------------------------------------------------------------

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Note the session, whose exit status may change."""
        self._pytest_session = session

    def pytest_report_header(self) -> list[str]:
        """Name the implementation, the profiles and the stack."""
        implementation = self.implementation
        profiles = ", ".join(self.selection.profiles)
        certify = ", certify mode" if self.certify else ""
        followed = implementation.contract if implementation.contract != implementation.version else ""
        contract = f", contract cert-manager {followed}" if followed else ""
        return [
            f"vault-issuer: {implementation.name} {implementation.version}{contract}, profile {profiles}, "
            f"stack {self._provider.name} ({self._provider.reason}){certify}",
            *(f"vault-issuer: {line}" for line in [sources_line(self.session.sources())] if line),
        ]

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Do not import the suite's modules of other areas than the selected ones."""
        return True if self.selection.leaves_out(collection_path) else None

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note each test of a requirement, before any other plugin can leave it out."""
        self.collector.see(item)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the tests of the selected requirements."""
        try:
            dropped = self.collector.choose(items)
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error
        if dropped:
            config.hook.pytest_deselected(items=dropped)

    @pytest.hookimpl(tryfirst=True)  # before pytest-xdist's worker reports its tests
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which tests run. In certify mode, refuse a session in which something left out tests."""
        try:
            self.collector.plan(session.items)
        except ConfigurationError as error:
            if not self.is_worker:
                self._refuse(str(error))
            # pytest-xdist would report an error of a worker as its own. The worker runs nothing; the controlling
            # process refuses.
            session.items.clear()
            self.config.workeroutput[_REFUSED] = str(error)  # type: ignore[attr-defined]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """End the session if a worker of pytest-xdist has refused it."""
        refused = getattr(node, "workeroutput", {}).get(_REFUSED)
        if refused:
            self._refuse(refused)

    def _refuse(self, why: str) -> NoReturn:
        self._refused = True
        raise pytest.UsageError(why)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Start the stack and the controller before the first test, in the process that reports."""
        if self.is_worker or session.config.option.collectonly or not _has_tests(session):
            return None
        try:
            self.files.open()
        except ConfigurationError as error:
            self._refuse(printable(str(error)))
        self.config.add_cleanup(self.files.close)
        self._began = True
        if start.start(self.session, self.ending, lambda line: say(self.config, line), self._clean):
            return None
        return True  # no test can judge anything; the report says why

    # -- tests -----------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip tests of unclaimed features, and every test after the end of the controller."""
        self.judge.skip_unjudgeable(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judge a phase of a test."""
        report = yield
        self.judge.judge(item, call, report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Count how often the body of a test runs."""
        self.judge.count_call(pyfuncitem)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase to the results. The process that reports gets the phases of all workers."""
        if not self.is_worker:
            self.results.add(report, lambda text: shortened(self._clean(text)))

    # -- end -------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)  # another hook may fail
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Record why the session ends early: Ctrl-C, a signal, -x or pytest.exit()."""
        self.signals.ends()
        error = excinfo.value
        if isinstance(error, Stopped):
            self._ends_early(f"ended by {error}")
        elif isinstance(error, pytest.exit.Exception):
            self._ends_early(error.msg or "pytest.exit()")
        else:
            self._ends_early(str(error) or "interrupted")

    @pytest.hookimpl(tryfirst=True)  # pytest's own hook prints, which may fail
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Record an error inside pytest or one of its plugins, or the loss of the output, as in ``… | head -1``."""
        if isinstance(excinfo.value, OSError) and (why := self._discard_lost_output("\n")):
            self._ends_early(f"the output cannot be written: {why}")
            with contextlib.suppress(OSError):
                print(f"vault-issuer: the session ends early: {self.ending.early}", file=sys.stderr)
        else:
            self._ends_early(f"internal error of pytest: {excinfo.exconly(tryshort=True)}")

    def _discard_lost_output(self, probe: str = "") -> str:
        """Discard all later output of pytest if it cannot be written. Return the reason, '' if it can be written."""
        capture = self.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            why = streams.output_problem(probe)
        if why:
            if capture is not None:  # otherwise it restores the descriptor later, after it has written to it
                capture.read_global_capture()
                capture.stop_global_capturing()
            streams.discard_output()
        return why

    def _ends_early(self, why: str) -> None:
        self.ending.ends_early(shortened(self._clean(why.strip())))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the report, and turn the verdicts into the exit status."""
        if self.is_worker or session.config.option.collectonly:
            return
        self._finished = True
        self.signals.ends()
        with self.signals.held_back("writing the report"):
            if exitstatus in _TESTS_RAN or self._began:
                if self._judging and not self._refused:
                    self._finish(session, exitstatus)
            elif self._write_early() and exitstatus != pytest.ExitCode.INTERRUPTED:
                self._say_places()
        self._discard_lost_output()  # the report is complete; pytest's summary may be lost

    def end_unfinished(self) -> None:
        """Write the report of a session that ended before pytest had begun it; call this at the end of every session.

        pytest finishes only a session that it has begun: a signal or a plugin may end it in the configuration.
        """
        self.signals.ends()
        if not self._finished and not self.config.option.collectonly and self._write_early():
            with contextlib.suppress(OSError):
                for line in self._places():
                    print(f"vault-issuer: {line}", file=sys.stderr)

    def _finish(self, session: pytest.Session, exitstatus: int) -> None:
        self._note_end(session)
        self._write()
        # With pytest-xdist, a session whose controller does not start has collected no test.
        before_tests = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and bool(self.ending.failure)
        if exitstatus in _TESTS_RAN or before_tests:
            session.exitstatus = exit_status(
                self.results.requirements.values(),
                self.ending,
                failed_tests=session.testsfailed,
                profiles=self.selection.profiles,
                certify=self.certify,
            )
        elif exitstatus != pytest.ExitCode.INTERRUPTED:  # then pytest prints no summary
            self._say_places()

    def _write(self) -> None:
        self.selection.note_unsupported(self.results.requirements.values())
        try:
            self.files.write(self.results.requirements.values(), self.ending, self.config.invocation_params.args)
        except (OSError, VaultIssuerError) as error:
            self.ending.problem = self._clean(f"could not write the report: {error}")
        self.ending.problem = self.ending.problem or self.files.problem

    def _write_early(self) -> bool:
        """Write the report of a session that ended before it started its stack. Return whether there is one."""
        if not self.ending.early or self._refused or not self._collects_requirements:
            return False
        try:
            self.files.open()
        except ConfigurationError as error:
            self.ending.problem = printable(error.message)
            return True
        self.results.end_unfinished(self.ending.early)
        self._write()
        self.files.close()
        return True

    def _note_end(self, session: pytest.Session) -> None:
        """Record how the controller and the session ended, and conclude the tests that did not run."""
        try:
            self.ending.failure = self._clean(self.session.implementation_end()) or self.ending.failure
        except VaultIssuerError as error:
            self._ends_early(error.message)
        if self.results.cut_off:
            self._ends_early(STOPPED)
        if self.certify and self.results.repeated:
            self.ending.failure = self.ending.failure or (
                f"{self.results.repeated} ran more than once: a test that passes only sometimes cannot be certified"
            )
        if self.session.lost:
            self.ending.early = LOST
        if unfinished := self.results.unfinished:
            self._ends_early(str(session.shouldfail or session.shouldstop or f"{len(unfinished)} tests did not run"))
        self.results.end_unfinished(self.ending.early)

    def cleanup_failed(self) -> None:
        """Set an exit status for a session that left something behind."""
        if self._pytest_session is not None and self._pytest_session.exitstatus == pytest.ExitCode.OK:
            self._pytest_session.exitstatus = NO_STACK

    def _say_places(self) -> None:
        for line in self._places():
            say(self.config, f"vault-issuer: {line}")

    def _places(self) -> Iterator[str]:
        if self.files.path is not None:
            yield f"report: {self.files.path}"
            failed = (Outcome.FAILED, Outcome.ERROR)
            if any(result.outcome in failed for result in self.results.requirements.values()):
                where = shlex.quote(str(self.files.path.parent))
                yield f"to repeat what failed: vault-issuer judge --failed --report {where}"
        if self.ending.problem:
            yield self.ending.problem

    @property
    def _judging(self) -> bool:
        """Whether the session runs the suite. A user's own tests of a controller say nothing about requirements."""
        return self.results.judged or not self.results.others or self._runs_suite

    @property
    def _runs_suite(self) -> bool:
        return any(SUITE in argument for argument in self.config.args)

    @property
    def _collects_requirements(self) -> bool:
        """Whether the session has found a test that judges a requirement, or will find one."""
        return self._runs_suite or bool(self.collector.planned) or self.collector.has_seen

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print outcomes by area, what did not pass, and the verdict."""
        if self.config.option.collectonly or self._refused or not self._judging:
            return
        terminalreporter.section(f"{self.implementation.name} {self.implementation.version}", sep="=")
        for line in last_lines(
            self.implementation.name,
            self.results.requirements.values(),
            self.selection.profiles,
            certify=self.certify,
            failure=self.ending.failure,
            hint=self.ending.hint,
            early=self.ending.early,
        ):
            markup = {line.color: True} if line.color else {}
            terminalreporter.write_line(line.text, bold=line.bold, **markup)
        for place in self._places():
            terminalreporter.write_line(place)


def sources_line(sources: Mapping[str, str]) -> str:
    """Return the parts of a session by source, such as "built: etcd, vault; downloaded: kubectl"."""
    by_source: dict[str, list[str]] = {}
    for name, source in sources.items():
        by_source.setdefault(source, []).append(name)
    return "; ".join(f"{source}: {', '.join(names)}" for source, names in by_source.items())


def _has_tests(session: pytest.Session) -> bool:
    """Return whether the session has tests of this plugin. For other tests, it builds and starts no stack."""
    if session.config.pluginmanager.hasplugin("dsession"):
        return True  # pytest-xdist's controlling process collects nothing itself
    if session.testsfailed and not session.config.option.continue_on_collection_errors:
        return False
    return any(requirement_ids(item) for item in session.items)
