"""The hooks of a session, in separate pytest runs.

These runs start no stack, and their tests check nothing. The tests here check how the hooks handle the results.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_vault_issuer.errors import ConfigurationError, ImplementationError, StackError, VaultIssuerError
from pytest_vault_issuer.judge import phases, report_files, start
from pytest_vault_issuer.judge.items import name_of
from pytest_vault_issuer.judge.progress import SESSION_KEY
from pytest_vault_issuer.judge.secrecy import redact_report
from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.report import write as files
from pytest_vault_issuer.requirements.catalogue import Catalogue, Requirement
from pytest_vault_issuer.session.session import Session
from tests.support import written_report
from tests.support.sample_report import ALL

pytest_plugins = ("pytester",)

CATALOGUE = Catalogue.load()


def some(*, level: str = "MUST", feature: str = "", area: str = "", number: int = 0) -> Requirement:
    """Return a requirement of the catalogue with these properties."""
    found = [r for r in CATALOGUE.requirements if r.level == level and r.feature == feature and area in ("", r.area)]
    return found[number]


MUST, OTHER_MUST = some().id, some(number=1).id
SHOULD = some(level="SHOULD").id
APPROLE = some(feature="approle").id
NEW = next(r for r in CATALOGUE.requirements if r.since == "1.20")

HEAD = """
import pytest
from pytest_vault_issuer.errors import NotRunnable, StackError, Unmet
from pytest_vault_issuer import requirement
"""

FILE = """
[implementation]
name = "probe"
version = "1"
contract = "{contract}"
[features]
{features}
[known_failures]
{known}
"""


class Inner:
    """Runs pytest in this process, with the plugin and without a stack."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.monkeypatch = monkeypatch
        self.describe()

    def describe(self, features: str = "all = true", known: str = "", contract: str = "") -> None:
        file = FILE.format(features=features, known=known, contract=contract)
        (self.pytester.path / "probe.toml").write_text(file)

    def without_start(self) -> None:
        self.monkeypatch.setattr(start, "start", lambda *arguments: True)

    def run(self, tests: str, *arguments: str, plugins: Any = ()) -> pytest.RunResult:
        self.pytester.makepyfile(HEAD + tests)
        return self.pytester.runpytest_inprocess(
            "--vault-issuer=probe.toml",
            "--vault-issuer-report=out",
            "-p",
            "no:cacheprovider",
            *arguments,
            plugins=plugins,
            no_reraise_ctrlc=True,
        )

    @property
    def report(self) -> dict[str, Any]:
        return written_report.load(self.pytester.path / "out")

    def entry(self, identifier: str) -> dict[str, Any]:
        return next(entry for entry in self.report["requirements"] if entry["id"] == identifier)

    def outcome(self, identifier: str) -> str:
        return str(self.entry(identifier)["outcome"])


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    return Inner(pytester, monkeypatch)


@pytest.fixture
def stackless(inner: Inner) -> Inner:
    """Return an inner pytest whose sessions need no stack."""
    inner.without_start()
    return inner


def judging(identifier: str, body: str, name: str = "test_it") -> str:
    return f"@requirement({identifier!r})\ndef {name}():\n    {body}\n\n"


# -- collection -----------------------------------------------------------------------------------------------


def test_unknown_requirement_in_a_mark_is_a_usage_error(inner: Inner) -> None:
    result = inner.run(judging("VI-SIGN-999", "pass"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*::test_it judges VI-SIGN-999: the catalogue has no such requirement"])


def test_session_without_implementation_is_a_usage_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HEAD + judging(MUST, "pass"))
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs an implementation", "*hint: give --vault-issuer=cert-manager*"])


def test_selecting_an_area_deselects_the_others(stackless: Inner) -> None:
    sign, tls = some(area="SIGN").id, some(area="TLS").id
    both = f"@requirement({sign!r}, {tls!r})\ndef test_both(): pass\n"
    tests = judging(sign, "pass", "test_sign") + judging(tls, "pass", "test_tls") + both + "def test_other(): pass\n"
    result = stackless.run(tests, "--vault-issuer-select=SIGN", "-v")
    result.assert_outcomes(passed=3, deselected=1)
    assert "test_tls" not in result.stdout.str()


def test_selecting_a_requirement(stackless: Inner) -> None:
    tests = judging(MUST, "pass", "test_one") + judging(OTHER_MUST, "pass", "test_two")
    stackless.run(tests, f"--vault-issuer-select={OTHER_MUST}").assert_outcomes(passed=1, deselected=1)
    assert stackless.outcome(OTHER_MUST) == "passed"
    assert stackless.outcome(MUST) == "not-run"


@pytest.mark.parametrize("option", ["--vault-issuer-select=SING", "--vault-issuer-profile=cor"])
def test_unknown_selection_is_a_usage_error(inner: Inner, option: str) -> None:
    result = inner.run("", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*hint: did you mean *"])


def test_unknown_known_failure_is_a_usage_error(inner: Inner) -> None:
    inner.describe(known='"VI-SIGN-999" = "x"')
    result = inner.run("")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*[[]known_failures] VI-SIGN-999: the suite has no such requirement"])


def test_slow_tests_are_started_first(stackless: Inner) -> None:
    slow = "@pytest.mark.slow\n" + judging(MUST, "pass", "test_slow")
    tests = judging(MUST, "pass", "test_a") + slow + judging(MUST, "pass", "test_b")
    result = stackless.run(tests, "-v", "--strict-markers")
    result.stdout.fnmatch_lines(["*::test_slow PASSED*", "*::test_a PASSED*", "*::test_b PASSED*"])


# -- start ----------------------------------------------------------------------------------------------------


def refuse_to_start(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> list[str]:
    """Make the start of a stack fail; return the list of starts."""
    starts: list[str] = []

    def stack(run: Session) -> None:
        starts.append(run.settings.implementation)
        raise error or AssertionError("a stack was asked for")

    monkeypatch.setattr(Session, "build", lambda self: None)
    monkeypatch.setattr(Session, "stack", stack)
    return starts


@pytest.mark.parametrize(
    ("tests", "arguments"),
    [
        ("", []),
        ("def test_other(): pass", []),
        (judging(MUST, "pass"), ["--collect-only"]),
        (judging(MUST, "pass"), ["-k", "absent"]),
        (judging(MUST, "pass") + "raise RuntimeError", []),
    ],
    ids=["no test", "another test", "only collected", "deselected", "not importable"],
)
def test_nothing_starts_without_tests_to_judge(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, tests: str, arguments: list[str]
) -> None:
    starts = refuse_to_start(monkeypatch)
    inner.run(tests, *arguments)
    assert starts == []


def test_stack_starts_before_the_first_judged_test(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = refuse_to_start(monkeypatch, StackError("no etcd", hint="get one"))
    inner.run(judging(MUST, "pass"))
    assert starts == ["probe.toml"]


def test_stack_that_does_not_start_makes_the_report_incomplete(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_all(ALL, inner.pytester.path / "out")  # from an earlier session
    refuse_to_start(monkeypatch, StackError("no etcd, token hvs.CAESIcanarycanarycanary", hint="get one"))
    result = inner.run(judging(MUST, "pass"))
    assert result.ret == 3
    assert "no etcd, token <secret " in result.stdout.str()
    assert "canary" not in result.stdout.str() + result.stderr.str()
    assert verdict(inner) == "incomplete"
    assert inner.report["incomplete"].startswith("no etcd, token <secret ")
    assert inner.outcome(MUST) == "not-run"
    assert not (inner.pytester.path / "out" / "failures").exists()
    assert "vault-issuer: report: out/report.json" in result.stdout.str()


def test_wrong_configuration_at_the_start_is_a_usage_error(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_start(monkeypatch, ConfigurationError("no such binary", hint="check the path"))
    result = inner.run(judging(MUST, "pass"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no such binary", "*hint: check the path"])


def test_controller_that_does_not_start_is_reported(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_start(monkeypatch, ImplementationError("it stopped (exit status 1)", hint="run it by hand"))
    result = inner.run(judging(MUST, "pass"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "not run, the session ended early: 1 requirements",
            "probe: it stopped (exit status 1)",
            "  hint: run it by hand",
            "the session ended early: the controller did not start",
            "profile core: incomplete (none of * requirements judged)",
        ]
    )
    assert inner.outcome(MUST) == "not-run"
    assert inner.report["implementation"]["failure"] == "it stopped (exit status 1)"
    assert inner.report["incomplete"] == "the controller did not start"
    assert verdict(inner) == "incomplete"
    page = (inner.pytester.path / "out" / "report.html").read_text()
    assert "No requirement was judged." in page
    assert "it stopped (exit status 1)" in page


def test_controller_that_does_not_start_is_reported_with_workers(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "from pytest_vault_issuer.errors import ImplementationError\n"
        "from pytest_vault_issuer.judge import start\n"
        "def _start(*arguments): raise ImplementationError('it stopped')\n"
        "start._start = _start\n"
    )
    pytester.makefile(".toml", probe=FILE.format(features="all = true", known="", contract=""))
    pytester.makepyfile(HEAD + judging(MUST, "pass"))
    result = pytester.runpytest_subprocess("--vault-issuer=probe.toml", "--vault-issuer-report=out", "-n2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["not run, the session ended early: *", "profile core: incomplete *"])
    assert "not selected" not in result.stdout.str()


@pytest.mark.parametrize("before", ["pass", "assert 0"])
def test_session_whose_controller_stops_is_incomplete(
    stackless: Inner, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    gone = "Path('gone').exists() and 'its process ended by itself (exit status 7); the end of its log: x' or ''"
    monkeypatch.setattr(Session, "implementation_end", lambda self: eval(gone, {"Path": Path}))
    tests = judging(MUST, f"open('gone', 'w').close(); {before}", "test_a") + judging(OTHER_MUST, "pass", "test_b")
    result = stackless.run(tests)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "not run, the session ended early: 1 requirements",
            "probe: its process ended by itself (exit status 7); the end of its log: x",
            "the session ended early: the controller stopped",
            "profile core: incomplete *",
        ]
    )
    assert stackless.outcome(MUST) == ("passed" if before == "pass" else "failed")
    assert stackless.outcome(OTHER_MUST) == "not-run"
    (test,) = stackless.entry(OTHER_MUST)["tests"]
    assert test["message"].startswith("not run: the session ended early: probe: its process ended by itself")


def test_controller_that_stops_after_the_last_test_does_not_make_the_session_incomplete(
    stackless: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "implementation_end", lambda self: "gone" if Path("gone").exists() else "")
    result = stackless.run(judging(MUST, "open('gone', 'w').close()"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert stackless.report["incomplete"] == ""
    assert verdict(stackless) == "partial"


# -- runs that end early --------------------------------------------------------------------------------------


def verdict(inner: Inner) -> str:
    return str(inner.report["profiles"]["core"]["verdict"])


ENDINGS = {
    "Ctrl-C": ("raise KeyboardInterrupt", 2, "interrupted"),
    "SIGTERM": ("import os; os.kill(os.getpid(), 15)", 2, "ended by SIGTERM"),
    "SIGHUP": ("import os; os.kill(os.getpid(), 1)", 2, "ended by SIGHUP"),
    "pytest.exit()": ("pytest.exit('enough', returncode=7)", 7, "enough"),
    "an internal error": ("pytest.INTERNAL = True", 3, "internal error of pytest: ZeroDivisionError"),
    "--exitfirst": ("assert 0", 1, "stopping after 1 failures"),
}
BREAKS = """
def pytest_runtest_teardown(item):
    import pytest
    if getattr(pytest, 'INTERNAL', False):
        del pytest.INTERNAL
def pytest_runtest_logfinish(nodeid):
    if 'test_b' in nodeid and BROKEN:
        1 / 0
"""


@pytest.mark.parametrize(("body", "status", "reason"), ENDINGS.values(), ids=ENDINGS)
def test_session_that_ends_early_reports_its_results(stackless: Inner, body: str, status: int, reason: str) -> None:
    stackless.pytester.makeconftest(BREAKS.replace("BROKEN", str("INTERNAL" in body)))
    third, fourth = some(number=2).id, some(number=3).id
    tests = judging(MUST, "pass", "test_a") + judging(OTHER_MUST, body, "test_b") + judging(third, "pass", "test_c")
    # One test of this requirement passes before the end, the other does not run: the requirement is not proved.
    tests = judging(fourth, "pass", "test_0") + tests + judging(fourth, "pass", "test_d")
    result = stackless.run(tests, "-x")
    assert result.ret == status
    assert verdict(stackless) == "incomplete"
    assert stackless.report["incomplete"].startswith(reason)
    assert stackless.outcome(MUST) == "passed"
    assert stackless.outcome(third) == stackless.outcome(fourth) == "not-run"
    assert stackless.entry(third)["tests"][0]["message"].startswith(f"not run: the session ended early: {reason}")
    assert stackless.outcome(OTHER_MUST) == {1: "failed", 3: "passed"}.get(status, "not-run")
    written = {path.name for path in (stackless.pytester.path / "out").iterdir()}
    assert written >= {"report.json", "report.html", "report.md", "report.yaml", "report.jsonl"}
    assert written_report.journal(stackless.pytester.path / "out")[-1]["incomplete"].startswith(reason)
    for name in ("report.html", "report.md"):
        assert reason in (stackless.pytester.path / "out" / name).read_text()


def test_failure_of_the_last_test_does_not_make_the_session_incomplete(stackless: Inner) -> None:
    stackless.run(judging(MUST, "pass", "test_a") + judging(OTHER_MUST, "assert 0", "test_b"), "-x")
    assert verdict(stackless) == "non-conformant"
    assert stackless.report["incomplete"] == ""


def test_signal_handlers_are_restored(stackless: Inner) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    stackless.run(judging(MUST, "pass"))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_interrupt_while_writing_keeps_the_report(stackless: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all = files.write_all

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return write_all(*arguments)

    monkeypatch.setattr(files, "write_all", interrupted)
    assert stackless.run(judging(MUST, "raise KeyboardInterrupt")).ret == pytest.ExitCode.INTERRUPTED
    assert verdict(stackless) == "incomplete"


def test_tests_after_the_end_of_the_supervisor_are_errors(stackless: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "lost", property(lambda self: (stackless.pytester.path / "lost").exists()))
    dies = "open('lost', 'w').close(); raise Unmet('it did not')"
    result = stackless.run(judging(MUST, dies, "test_a") + judging(OTHER_MUST, "pass", "test_b"))
    assert result.ret == 3
    assert stackless.outcome(MUST) == stackless.outcome(OTHER_MUST) == "error"
    assert verdict(stackless) == "incomplete"
    lost = "the session's supervisor has ended, and the stack with it"
    assert stackless.entry(MUST)["tests"][0]["message"] == f"{lost}: it did not"
    assert stackless.report["incomplete"] == lost


def test_silent_supervisor_at_the_end_is_reported_without_traceback(
    stackless: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter(["", StackError("the process supervisor does not answer", hint="start again")])

    def end(self: Session) -> str:
        what = next(ends)
        if isinstance(what, str):
            return what
        raise what

    monkeypatch.setattr(Session, "implementation_end", end)
    result = stackless.run(judging(MUST, "pass"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert stackless.report["incomplete"] == "the process supervisor does not answer"
    result.stdout.fnmatch_lines(["the session ended early: the process supervisor does not answer"])


def test_crash_of_a_worker_is_an_error_of_its_test(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makeconftest("from pytest_vault_issuer.judge import start\nstart.start = lambda *arguments: True\n")
    (pytester.path / "probe.toml").write_text(FILE.format(features="all = true", known="", contract=""))
    # xdist cannot transfer a lone surrogate in a message to the reporting process.
    said = "raise Unmet('it said \\ud800 \\x1b]52;c;x\\x07')"
    tests = judging(SHOULD, said, "test_a") + judging(MUST, "import os; os._exit(9)", "test_b")
    pytester.makepyfile(HEAD + tests + judging(OTHER_MUST, "pass", "test_c"))
    result = pytester.runpytest_subprocess("-n1", "--vault-issuer=probe.toml", "--vault-issuer-report=out")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    report = written_report.load(pytester.path / "out")
    outcomes = {entry["id"]: entry["outcome"] for entry in report["requirements"] if entry["tests"]}
    assert outcomes == {MUST: "error", SHOULD: "failed", OTHER_MUST: "passed"}
    messages = [test["message"] for entry in report["requirements"] for test in entry["tests"]]
    assert "worker 'gw0' crashed while running" in " ".join(messages)
    assert "it said \\ud800" in " ".join(messages)
    assert "\x1b" not in result.stdout.str()


def test_output_of_a_controller_is_shown_and_not_obeyed(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(session: Session, say: Callable[[str], None], clean: object) -> str:
        say("it began \x1b]52;c;x\x07")
        raise ImplementationError("it ended \x1b]52;c;x\x07")

    monkeypatch.setattr(start, "_start", stops)
    result = inner.run(judging(MUST, "pass"))
    shown = result.stdout.str() + result.stderr.str()
    assert "it began \\x1b]52" in shown
    assert "it ended \\x1b]52" in shown
    assert "\x1b" not in shown
    assert inner.report["implementation"]["failure"] == "it ended \\x1b]52;c;x\\x07"


# -- what is in the directory of the report -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["report.md", "report.json", "report.yaml", "report.jsonl", "failures/notes.txt"])
def test_foreign_files_are_neither_removed_nor_replaced(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    starts = refuse_to_start(monkeypatch)
    path = inner.pytester.path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    result = inner.run(judging(MUST, "pass"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert starts == []
    said = result.stderr.str()
    assert f"out/{name.partition('/')[0]} is not from an earlier report, and a report would replace it" in said
    assert "hint: name a new directory with --vault-issuer-report" in said
    assert [entry for entry in (inner.pytester.path / "out").rglob("*") if entry.is_file()] == [path]
    assert path.read_text() == "mine"


def test_earlier_report_is_replaced(stackless: Inner) -> None:
    stackless.run(judging(MUST, "assert 0"))
    notes = next((stackless.pytester.path / "out" / "failures").glob("VI-*")) / "notes.txt"
    notes.write_text("mine")
    stackless.run(judging(MUST, "pass"))
    assert stackless.outcome(MUST) == "passed"
    assert notes.read_text() == "mine"
    assert [path.name for path in notes.parent.iterdir()] == ["notes.txt"]
    assert stackless.run(judging(MUST, "pass")).ret == 0


@pytest.mark.parametrize("place", ["a file", "a file/below"])
def test_unwritable_report_directory_is_a_usage_error(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    starts = refuse_to_start(monkeypatch)
    (inner.pytester.path / "a file").write_text("mine")
    result = inner.run(judging(MUST, "pass"), f"--vault-issuer-report={place}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert starts == []
    assert "hint: name another directory with --vault-issuer-report" in result.stderr.str()


def test_full_disk_at_the_end_is_reported_and_leaves_no_partial_file(
    stackless: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *arguments: Any) -> None:
        raise OSError(28, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        result = stackless.run(judging(MUST, "pass"))
    assert result.ret == 3
    result.stdout.fnmatch_lines(["could not write the report: *No space left on device*"])
    assert [path.name for path in (stackless.pytester.path / "out").iterdir()] == ["report.jsonl"]


def test_program_that_is_gone_does_not_prevent_the_report() -> None:
    """At the end of a session, it may just be built again."""

    class Gone:
        def command(self) -> list[str]:
            raise ConfigurationError("the program does not exist")

    session: Any = Gone()
    assert report_files._command(session) == []


def test_last_lines_name_the_command_that_repeats_failures(stackless: Inner) -> None:
    result = stackless.run(judging(MUST, "assert 0"))
    result.stdout.fnmatch_lines(
        ["report: out/report.json", "to repeat what failed: vault-issuer judge --failed --report out"]
    )
    assert "to repeat what failed" not in stackless.run(judging(MUST, "pass")).stdout.str()


# -- outcomes and exit status ---------------------------------------------------------------------------------


def test_passed_test_passes_its_requirement(stackless: Inner) -> None:
    result = stackless.run(judging(MUST, "pass"))
    assert result.ret == pytest.ExitCode.OK
    entry = stackless.entry(MUST)
    assert entry["outcome"] == "passed"
    test = entry["tests"][0]
    assert test["nodeid"].endswith("::test_it")
    assert (test["outcome"], test["message"]) == ("passed", "")
    assert test["duration_s"] >= 0


@pytest.mark.parametrize(
    "body", ["assert 1 == 2", "raise Unmet('it did not')", "pytest.fail('it did not')"], ids=["assert", "Unmet", "fail"]
)
def test_failed_must_fails_the_session(stackless: Inner, body: str) -> None:
    result = stackless.run(judging(MUST, body) + judging(OTHER_MUST, "pass", "test_other"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert stackless.outcome(MUST) == "failed"
    assert stackless.report["profiles"]["core"]["verdict"] == "non-conformant"
    result.stdout.fnmatch_lines(["failed, 1 MUST:", f"  {MUST} (MUST) *", "profile core: non-conformant *"])


def test_failed_should_does_not_fail_the_session(stackless: Inner) -> None:
    result = stackless.run(judging(SHOULD, "assert 0") + judging(MUST, "pass", "test_other"))
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(failed=1, passed=1)
    assert stackless.outcome(SHOULD) == "failed"


def test_error_of_the_stack_is_not_a_failure_of_the_controller(stackless: Inner) -> None:
    result = stackless.run(judging(SHOULD, "raise StackError('no answer')") + judging(MUST, "pass", "test_other"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert stackless.outcome(SHOULD) == "error"


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_failure_in_setup_or_teardown_is_an_error(stackless: Inner, phase: str) -> None:
    before, after = ("assert 0", "pass") if phase == "setup" else ("pass", "assert 0")
    fixture = f"@pytest.fixture(autouse=True)\ndef around():\n    {before}\n    yield\n    {after}\n\n"
    result = stackless.run(fixture + judging(MUST, "pass"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert stackless.outcome(MUST) == "error"
    assert len(stackless.entry(MUST)["tests"]) == 1


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_error_in_setup_or_teardown_has_evidence(stackless: Inner, monkeypatch: pytest.MonkeyPatch, phase: str) -> None:
    seen = {"proxies": 0, "exchanges": [], "refused": [], "objects": [], "log": ["seen"], "log_of": "all"}
    monkeypatch.setattr(phases, "collect", lambda sandbox: seen)
    around = "assert 0" if phase == "setup" else "yield; assert 0"
    fixtures = (
        "from pytest_vault_issuer.sandbox import Sandbox\n"
        "@pytest.fixture\ndef vault_issuer_sandbox():\n    return Sandbox.__new__(Sandbox)\n\n"
        f"@pytest.fixture\ndef around(vault_issuer_sandbox):\n    {around}\n\n"
    )
    stackless.run(fixtures + judging(MUST, "pass").replace("test_it()", "test_it(vault_issuer_sandbox, around)"))
    assert stackless.outcome(MUST) == "error"
    assert stackless.entry(MUST)["tests"][0]["evidence"] == seen
    (folder,) = (stackless.pytester.path / "out" / "failures").glob("VI-*")
    assert "seen" in (folder / "README.md").read_text()


def test_requirement_that_the_stack_cannot_test_is_not_run(stackless: Inner) -> None:
    tests = judging(MUST, "raise NotRunnable('no raft here')") + judging(OTHER_MUST, "pass", "test_other")
    result = stackless.run(tests, "-rs")
    assert result.ret == pytest.ExitCode.OK
    assert stackless.outcome(MUST) == "not-run"
    assert stackless.entry(MUST)["tests"][0]["message"] == "not run: no raft here"
    assert stackless.report["profiles"]["core"]["verdict"] == "partial"
    result.stdout.fnmatch_lines(["SKIPPED * not run: no raft here"])


def test_requirement_is_not_run_if_the_api_of_the_controller_refuses_its_issuer_object(stackless: Inner) -> None:
    refusal = "ApiError('POST /issuers', 422, {'message': 'Issuer \"a-1\" is invalid: spec.ca: Required value'})"
    tests = judging(MUST, f"raise RefusedError({refusal})") + judging(OTHER_MUST, "pass", "test_other")
    result = stackless.run(
        f"from pytest_vault_issuer import RefusedError\nfrom pytest_vault_issuer.kube.client import ApiError\n{tests}"
    )
    assert stackless.outcome(MUST) == "not-run"
    (test,) = stackless.entry(MUST)["tests"]
    assert test["message"] == (
        "not run: the API of the controller refuses an issuer object of this test: spec.ca: Required value"
    )
    assert stackless.report["profiles"]["core"]["verdict"] == "partial"
    assert result.ret == pytest.ExitCode.OK


def test_test_of_an_unclaimed_feature_does_not_run(stackless: Inner) -> None:
    stackless.describe(features='supported = ["issuer", "certificate-request", "token"]')
    result = stackless.run(judging(APPROLE, "assert 0") + judging(MUST, "pass", "test_other"))
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(skipped=1, passed=1)
    assert stackless.outcome(APPROLE) == "unsupported"
    assert "does not claim approle" in stackless.entry(APPROLE)["tests"][0]["message"]


def test_parameter_may_need_a_feature(stackless: Inner) -> None:
    stackless.describe(features='supported = ["issuer", "certificate-request", "token"]')
    parameters = "@pytest.mark.parametrize('kind', ['Issuer', 'ClusterIssuer'])\n"
    result = stackless.run(parameters + judging(MUST, "pass").replace("test_it()", "test_it(kind)"))
    result.assert_outcomes(skipped=1, passed=1)
    assert stackless.outcome(MUST) == "passed"
    assert sorted(test["outcome"] for test in stackless.entry(MUST)["tests"]) == ["passed", "unsupported"]


@pytest.mark.parametrize("contract", ["1.18", "1.19.9", "1.9"])
def test_requirement_after_the_contract_is_unsupported(stackless: Inner, contract: str) -> None:
    stackless.describe(contract=contract)
    result = stackless.run(judging(NEW.id, "assert 0") + judging(MUST, "pass", "test_other"))
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(skipped=1, passed=1)
    result.stdout.fnmatch_lines(
        [f"vault-issuer: probe 1, contract cert-manager {contract}, *", f"not applicable, * {contract}: *{NEW.id}*"]
    )
    entry = stackless.entry(NEW.id)
    assert (entry["outcome"], entry["reason"]) == ("unsupported", f"since cert-manager 1.20, probe follows {contract}")


@pytest.mark.parametrize("contract", ["", "1.20", "1.20.1", "1.100"])
def test_requirement_of_the_contract_is_judged(stackless: Inner, contract: str) -> None:
    stackless.describe(contract=contract)
    stackless.run(judging(NEW.id, "assert 0"))
    assert stackless.outcome(NEW.id) == "failed"


def test_known_failure_does_not_fail_the_session(stackless: Inner) -> None:
    stackless.describe(known=f'"{MUST}" = "issue #12"')
    result = stackless.run(judging(MUST, "assert 0") + judging(OTHER_MUST, "pass", "test_other"))
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(xfailed=1, passed=1)
    assert stackless.outcome(MUST) == "known-failure"


def test_known_failure_does_not_excuse_an_error(stackless: Inner) -> None:
    stackless.describe(known=f'"{MUST}" = "issue #12"')
    result = stackless.run(judging(MUST, "raise OSError('x')") + judging(OTHER_MUST, "pass", "test_other"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert stackless.outcome(MUST) == "error"


def test_known_failure_that_passes_is_passed(stackless: Inner) -> None:
    stackless.describe(known=f'"{MUST}" = "issue #12"')
    assert stackless.run(judging(MUST, "pass")).ret == pytest.ExitCode.OK
    assert stackless.outcome(MUST) == "passed"


@pytest.mark.parametrize("option", ["--setup-only", "--setup-plan"])
def test_test_without_a_call_has_not_passed(stackless: Inner, option: str) -> None:
    assert stackless.run(judging(MUST, "assert 0"), option).ret == pytest.ExitCode.TESTS_FAILED
    assert stackless.outcome(MUST) == "not-run"
    assert stackless.entry(MUST)["tests"][0]["message"] == "not run: only its setup ran"
    assert stackless.report["profiles"]["core"]["verdict"] == "partial"


@pytest.mark.parametrize("body", ["pytest.skip('later')", "raise NotRunnable('no')"])
def test_session_without_a_passed_test_fails(stackless: Inner, body: str) -> None:
    assert stackless.run(judging(MUST, body)).ret == pytest.ExitCode.TESTS_FAILED
    assert stackless.report["profiles"]["core"]["verdict"] == "partial"


def test_session_of_known_failures_fails(stackless: Inner) -> None:
    stackless.describe(known=f'"{MUST}" = "issue #12"')
    assert stackless.run(judging(MUST, "assert 0")).ret == pytest.ExitCode.TESTS_FAILED


def test_session_without_tests_fails(stackless: Inner) -> None:
    result = stackless.run("")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "profile core: partial (none of " in result.stdout.str()


@pytest.mark.parametrize(("body", "status"), [("pass", 0), ("assert 0", 1)])
def test_other_tests_alone_get_no_verdict(stackless: Inner, body: str, status: int) -> None:
    result = stackless.run(f"def test_ours(): {body}\n")
    assert result.ret == status
    assert "profile core:" not in result.stdout.str()
    assert not (stackless.pytester.path / "out").exists()


def test_failure_of_another_test_fails_the_session(stackless: Inner) -> None:
    result = stackless.run(judging(SHOULD, "assert 0") + judging(MUST, "pass", "test_b") + "def test_c(): assert 0\n")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_test_of_two_requirements_counts_for_both(stackless: Inner) -> None:
    stackless.run(f"@requirement({MUST!r}, {SHOULD!r})\ndef test_it(): assert 0\n")
    assert stackless.outcome(MUST) == stackless.outcome(SHOULD) == "failed"


def test_requirement_has_the_worst_outcome_of_its_tests(stackless: Inner) -> None:
    stackless.run(judging(MUST, "pass", "test_a") + judging(MUST, "assert 0", "test_b"))
    assert [test["outcome"] for test in stackless.entry(MUST)["tests"]] == ["passed", "failed"]
    assert stackless.outcome(MUST) == "failed"


def test_exit_status_with_workers(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makeconftest("from pytest_vault_issuer.judge import start\nstart.start = lambda *arguments: True\n")
    (pytester.path / "probe.toml").write_text(FILE.format(features="all = true", known="", contract=""))
    pytester.makepyfile(HEAD + judging(SHOULD, "assert 0", "test_a") + judging(MUST, "pass", "test_b"))
    result = pytester.runpytest_subprocess("-n2", "--vault-issuer=probe.toml", "--vault-issuer-report=out")
    assert result.ret == pytest.ExitCode.OK
    report = json.loads((pytester.path / "out" / "report.json").read_text())
    outcomes = {entry["id"]: entry["outcome"] for entry in report["requirements"] if entry["tests"]}
    assert outcomes == {MUST: "passed", SHOULD: "failed"}


def test_junit_properties_name_the_requirement(stackless: Inner) -> None:
    stackless.run(judging(MUST, "pass"), "--junit-xml=junit.xml")
    assert f'<property name="requirement" value="{MUST}"' in (stackless.pytester.path / "junit.xml").read_text()


# -- redaction ------------------------------------------------------------------------------------------------

CANARY = "canary-Tq8rX2"


class Registers:
    """Registers the canary as a secret of the session."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[SESSION_KEY].redactor.add(CANARY)


# The test assembles the canary at run time, so that the source lines of a traceback do not contain it.
SECRET = "secret = '-'.join(['canary', 'Tq8rX2'])"
BODIES = {
    "assertion": "assert secret == 'other'",
    "Unmet": "raise Unmet('token ' + secret)",
    "error": "raise ValueError(secret)",
    "cause": "\n    try:\n        raise KeyError(secret)\n    except KeyError as error:\n"
    "        raise StackError('x' + secret) from error",
    "skip": "pytest.skip('because of ' + secret)",
    "not runnable": "raise NotRunnable('because of ' + secret)",
    "passed": "pass",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("style", ["auto", "long", "short", "line", "native"])
def test_no_secret_of_a_test_is_shown(stackless: Inner, body: str, style: str) -> None:
    def prints(secret: str) -> str:
        return f"{SECRET}; print({secret}); import sys; print({secret}, file=sys.stderr); {body}"

    arguments = ["-rA", "-l", f"--tb={style}", "--junit-xml=junit.xml", "-o", "junit_logging=all"]
    result = stackless.run(judging(MUST, prints("secret")), *arguments, plugins=[Registers()])
    shown = result.stdout.str() + result.stderr.str()
    shown += (stackless.pytester.path / "junit.xml").read_text() + json.dumps(stackless.report)
    assert CANARY not in shown
    assert "<secret " in shown


def test_arguments_in_a_traceback_are_redacted(stackless: Inner) -> None:
    tests = f"def helper(argument):\n    assert argument == 1\n\n{judging(MUST, SECRET + '; helper(secret)')}"
    result = stackless.run(tests, "--tb=long", plugins=[Registers()])
    assert "argument = " in result.stdout.str()
    assert CANARY not in result.stdout.str()


def test_no_line_of_a_secret_is_shown(stackless: Inner) -> None:
    key = "from pytest_vault_issuer.certificates import key_to_pem, new_key; key = key_to_pem(new_key())"
    remember = "open('key', 'w').write(key)"
    tests = judging(MUST, f"{key}; {remember}; raise Unmet('got this:\\n' + key + 'and more')")
    result = stackless.run(tests, "-l", "-vv")
    lines = (stackless.pytester.path / "key").read_text().splitlines()[1:-1]
    shown = result.stdout.str() + json.dumps(stackless.report)
    assert len(lines) > 1
    assert [line for line in lines if line in shown] == []
    result.stdout.fnmatch_lines(["E * got this:", "E * <private key *>", "E * and more"])


def test_report_without_representation_is_redacted() -> None:
    report = pytest.TestReport("a", ("a", 0, "a"), {}, "passed", None, "call", sections=[("out", CANARY)])
    redactor = Redactor()
    redactor.add(CANARY)
    redact_report(report, redactor.redact)
    assert report.longrepr is None
    assert CANARY not in report.sections[0][1]


# -- node ids, errors ---------------------------------------------------------------------------------------


def test_node_ids_of_the_suite_do_not_contain_its_location(stackless: Inner) -> None:
    class Grab:
        names: ClassVar[set[str]] = set()

        @pytest.hookimpl(trylast=True)
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            self.names.update(name_of(item) for item in session.items)

    stackless.run(
        "def test_own(): pass",
        "--collect-only",
        "--pyargs",
        "vault_issuer_conformance.test_sign",
        ".",
        plugins=[Grab()],
    )
    assert "test_node_ids_of_the_suite_do_not_contain_its_location.py::test_own" in Grab.names
    others = {name.partition("::")[0] for name in Grab.names if "::test_own" not in name}
    assert others == {"vault_issuer_conformance/test_sign.py"}


def test_every_error_at_the_start_is_of_the_family() -> None:
    assert all(issubclass(kind, VaultIssuerError) for kind in (StackError, ImplementationError, ConfigurationError))
