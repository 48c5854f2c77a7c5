"""What tests on real components need first."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.toolchain import Toolchain


@pytest.fixture(scope="session")
def toolchain(pytestconfig: pytest.Config) -> Toolchain:
    """The toolchain, built: where everybody sees its progress, and under nobody's time limit."""
    toolchain = Toolchain()
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        toolchain.build(progress=lambda line: print(line, flush=True))
    return toolchain
