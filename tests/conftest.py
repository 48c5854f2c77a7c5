"""What tests on real components need first."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from pytest_vault_issuer.toolchain import Toolchain

# A shell's background job ignores SIGINT, and so would every process that a test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: How a reason to skip begins -> what was not looked at then.
UNSEEN = {
    "no browser": "report.html was NOT looked at",
    "no shell": "completion was NOT tried in every shell",
}


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
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped")]
    for missing, what in UNSEEN.items():
        if unseen := [reason for reason in reasons if reason.startswith(missing)]:
            said = ", ".join(sorted(set(unseen)))
            terminalreporter.write_line(f"{what}: {len(unseen)} skipped ({said})", red=True)
