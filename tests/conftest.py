"""The toolchain for tests on real components, the marker `full`, and the list of tests that did not run.

pytest loads this file for every run in a clone, also for a run of the suite. It imports only what the package needs.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_vault_issuer.toolchain import Toolchain
from tests.support.scope import FULL, complete

# A shell's background job ignores SIGINT. Every process that a test starts in order to interrupt it would, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# `nohup` does the same to SIGHUP.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

#: Prefix of the plugin's fixtures.
OUR_STACK = "vault_issuer_"
#: The modules that use these fixtures. Some compare the state of the stack before and after.
ON_OUR_STACK = frozenset(
    {
        "docs/examples/test_fixtures.py",
        "tests/e2e/test_existing.py",
        "tests/e2e/test_existing_endings.py",
        "tests/integration/test_joining.py",
        "tests/integration/test_namespaces.py",
        "tests/integration/test_ownership.py",
        "tests/integration/test_stack.py",
        "tests/integration/test_vault_parameters.py",
        "tests/integration/test_vault_workspace.py",
    }
)
#: The reason to skip a test with this marker otherwise.
ONLY_IN_FULL = "only in the complete run: tox run -e full"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"full: runs only where {FULL}=1, as in `tox run -e full`; skipped otherwise")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that only the complete run includes."""
    for item in items:
        if item.get_closest_marker("full") and not complete():
            item.add_marker(pytest.mark.skip(reason=ONLY_IN_FULL))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadfile``, one worker runs all modules that use the stack of this run, so that no other worker
    waits."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return OUR_STACK if file in ON_OUR_STACK else file

    return Scheduling(config, log)


@pytest.fixture(scope="module", autouse=True)
def _uses_stack_only_if_listed(request: pytest.FixtureRequest) -> None:
    """Check that a module that uses the stack of this run is listed."""
    items = [item for item in request.session.items if item.path == request.path]
    uses = any(name.startswith(OUR_STACK) for item in items for name in getattr(item, "fixturenames", ()))
    listed = items[0].nodeid.partition("::")[0] in ON_OUR_STACK
    assert listed or not uses, "the module uses the stack of this run: add it to ON_OUR_STACK in tests/conftest.py"


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep cleanup records of killed sessions out of the user's directory, and disable downloads by default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAULT_ISSUER_SOURCES", os.environ.get("VAULT_ISSUER_SOURCES", "build"))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def toolchain(pytestconfig: pytest.Config) -> Toolchain:
    """Build the toolchain before the tests: its progress is visible, and no test's time limit includes it."""
    toolchain = Toolchain()
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        toolchain.build(progress=lambda line: print(line, flush=True))
        toolchain.build(["kubectl"], progress=lambda line: print(line, flush=True))
    return toolchain


def not_run(reporter: Any) -> Counter[str]:
    """Count the tests that were skipped or not reached, by the reason."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        if isinstance(report.longrepr, (tuple, list))
        else str(report.longrepr)
        for report in reporter.getreports("skipped")
    )
    ended = {report.nodeid for reports in reporter.stats.values() for report in reports if hasattr(report, "when")}
    unreached = getattr(reporter._session, "testscollected", 0) - len(ended)
    if unreached > 0 and not reporter.config.option.collectonly:
        reasons["the run ended before them"] = unreached
    return reasons


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what did not run, and why, because a skip is easily overlooked."""
    if reasons := not_run(terminalreporter):
        terminalreporter.section("NOT RUN", red=True, bold=True)
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"NOT RUN: {count} test{'s' * (count != 1)}: {reason}", red=True)
