"""What tests on real components need first."""

from __future__ import annotations

import signal

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
