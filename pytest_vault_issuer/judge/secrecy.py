"""Redacts what pytest prints or keeps: reports, logs, node ids, internal errors, warnings, crashes of workers.

It cannot redact what code writes past pytest: the output of tests under ``-s``, ``--capture=tee-sys`` or
``capsys.disabled()``, handlers and files of a test's own, and what a debugger shows.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import pytest

from ..session.session import Session
from .redacted_report import Redact, redact_report, redact_representation, redacted_properties

#: Key of the error with which a worker of pytest-xdist rejected its tests, in its output.
_REFUSED = "vault_issuer_secret_id"
_FIXTURES = "vault_issuer_"
#: pytest's handlers of live logs and of `--log-file`: attributes of its logging plugin.
_LOG_HANDLERS = ("log_cli_handler", "log_file_handler")
_PHASES = ("setup", "call", "teardown")
#: Maximum length of a value in a comparison, after redaction.
_LONGEST = 400


class Secrecy:
    """The hooks through which text leaves pytest.

    They do nothing in a pytest run that does not use this plugin, so that its output does not change.
    """

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config = config
        self._session = session

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        return self._session.redactor.redact(text)

    @property
    def _active(self) -> bool:
        """Whether there may be secrets: the session judges an implementation, or a fixture has started a stack."""
        return bool(self._session.settings.implementation) or self._session.directory.exists

    def _ours(self, item: pytest.Item) -> bool:
        """Whether a test may have secrets of this plugin."""
        return self._active or any(name.startswith(_FIXTURES) for name in getattr(item, "fixturenames", ()))

    # -- node ids and logs -----------------------------------------------------

    def pytest_make_parametrize_id(self, val: object, argname: str) -> str | None:
        """Name a secret parameter by its argument. pytest appends numbers to equal ids."""
        text = val.decode(errors="replace") if isinstance(val, bytes) else val
        return argname if self._active and isinstance(text, str) and self.redact(text) != text else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Reject tests with a secret in their ids, which pytest prints and stores.

        :raises pytest.UsageError: if an id contains a secret.
        """
        shown = ((item.nodeid, self.redact(item.nodeid)) for item in items if self._ours(item))
        refused = next((redacted for nodeid, redacted in shown if redacted != nodeid), None)
        if refused is None:
            return
        why = (
            f"the id of the test {refused} contains a secret\n"
            '  hint: give the parameter another id, such as pytest.param(value, id="token")'
        )
        if not hasattr(config, "workeroutput"):
            raise pytest.UsageError(why)
        # pytest-xdist would report an error of a worker as its own. The worker runs nothing; the controlling process
        # refuses.
        items.clear()
        config.workeroutput[_REFUSED] = why

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None, None, None]:
        """Redact live logs and the log file."""
        plugin = session.config.pluginmanager.getplugin("logging-plugin")
        for name in _LOG_HANDLERS:
            if (handler := getattr(plugin, name, None)) is not None:
                formatter = handler.formatter or logging.Formatter()
                handler.setFormatter(_RedactedFormatter(formatter, lambda t: self.redact(t) if self._active else t))
        return (yield)

    # -- reports ---------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Redact the report of a test that judges no requirement, such as a user's own test of a controller."""
        report = yield
        if self._ours(item) and not hasattr(report, "vault_issuer"):
            redact_report(report, self.redact)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Redact an error during collection, and why a module is skipped."""
        report = yield
        if self._active and not report.passed:
            redact_report(report, self.redact)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Redact reports that no other hook creates: of subtests, and of the crash of a worker of pytest-xdist.

        Also redact the attributes that a test sets in the JUnit file (`record_xml_attribute`), before it takes them.
        """
        if not self._active:
            return
        if report.when not in _PHASES or hasattr(report, "context"):
            redact_report(report, self.redact)
        for plugin in self._config.pluginmanager.get_plugins():
            for reporter in getattr(plugin, "node_reporters", {}).values():
                reporter.attrs = dict(redacted_properties(reporter.attrs.items(), self.redact))

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        """Redact the traceback of a worker of pytest-xdist that ends. End the session if the worker rejects it."""
        if self._active and isinstance(formatted := getattr(error, "formatted", None), str):
            error.formatted = self.redact(formatted)
        if why := getattr(node, "workeroutput", {}).get(_REFUSED):
            raise pytest.UsageError(why)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any) -> None:
        """Redact an internal error in any style, with its locals and arguments."""
        if self._active:
            redact_representation(excrepr, self.redact)

    @pytest.hookimpl(trylast=True)  # after the terminal reporter has made its representation
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Redact the reason of pytest.exit(), and the traceback that --full-trace shows of Ctrl-C."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        representation = getattr(reporter, "_keyboardinterrupt_memo", None)
        if self._active and representation is not None:
            redact_representation(representation, self.redact)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Redact the properties of the whole session before a JUnit file is written."""
        for plugin in self._config.pluginmanager.get_plugins() if self._active else ():
            if isinstance(properties := getattr(plugin, "global_properties", None), list):
                properties[:] = redacted_properties(properties, self.redact)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: Any) -> None:
        """Redact a warning."""
        text = str(warning_message.message)
        if self._active and (redacted := self.redact(text)) != text:
            warning_message.message = Warning(redacted)

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        """Show redacted values in a comparison. pytest would shorten the values first, and show parts of secrets."""
        if not self._active:
            return None
        values = [repr(left), repr(right)]
        shown = [self.redact(value) for value in values]
        if shown == values:
            return None
        return [f" {op} ".join(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in shown)]


class _RedactedFormatter(logging.Formatter):
    """Formats as another formatter does, without secrets. Records stay unchanged for the test that reads them."""

    def __init__(self, formatter: logging.Formatter, redact: Redact) -> None:
        super().__init__()
        self._formatter = formatter
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the redacted text of a record, with its traceback."""
        return self._redact(self._formatter.format(record))
