"""What tests on real components need first."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from pytest_vault_issuer.toolchain import Toolchain

# A shell's background job ignores SIGINT, and so would every process that a test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def toolchain(pytestconfig: pytest.Config) -> Toolchain:
    """The toolchain, built: where everybody sees its progress, and under nobody's time limit."""
    toolchain = Toolchain()
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        toolchain.build(progress=lambda line: print(line, flush=True))
    return toolchain


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly what was not looked at: a skip is easily overlooked."""
    skipped = [report.longrepr[2] for report in terminalreporter.getreports("skipped")]
    unseen = [reason.removeprefix("Skipped: ") for reason in skipped if "no browser" in reason]
    if unseen:
        terminalreporter.write_line(f"report.html was NOT looked at: {len(unseen)} skipped ({unseen[0]})", red=True)
