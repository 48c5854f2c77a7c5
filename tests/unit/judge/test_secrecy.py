"""No secret leaves a session: through no hook of pytest, from no process, and at no kind of end."""

from __future__ import annotations

import base64
import html
import json
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vault_issuer.certificates import key_to_pem, new_key
from pytest_vault_issuer.judge.hooks import Conformance
from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.supervisor.run_directory import SECRETS, RunDirectory

pytest_plugins = ("pytester",)

#: A log file in the directory of an inner session.
LOG = "log.txt"
CANARY = "canary-Tq8rX2-5bN0"
PROBE = '[implementation]\nname = "probe"\nversion = "1"\n[features]\nall = true\n'
#: Assembled at run time, so that the source lines of a traceback do not contain the canary.
SECRET = "secret = '-'.join(['canary', 'Tq8rX2', '5bN0'])"
#: Conftest of an inner session: it starts nothing, and a fixture registers the canary on request.
CONFTEST = f"""
import pytest
from pytest_vault_issuer.judge.hooks import Conformance
from pytest_vault_issuer.judge.progress import SESSION_KEY

Conformance.pytest_runtestloop = lambda self, session: None


@pytest.fixture
def secret(pytestconfig):
    {SECRET}
    run = pytestconfig.stash[SESSION_KEY]
    run.directory.path.mkdir(mode=0o700, exist_ok=True)  # as where a stack is started
    run.redactor.add(secret)
    return secret
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run pytest on a test's source; return everything that it prints and writes.

    A session with workers runs in a process of its own, because its workers import the plugin anew.
    """
    # The replacement of the conftest applies only to this session.
    monkeypatch.setattr(Conformance, "pytest_runtestloop", Conformance.pytest_runtestloop)

    def run(source: str, *arguments: str, conftest: str = "") -> str:
        (pytester.path / "probe.toml").write_text(PROBE)
        pytester.makeconftest(CONFTEST + conftest)
        pytester.makepyfile("import pytest, warnings\n" + source)
        options = ["--vault-issuer=probe.toml", "--vault-issuer-report=out", "--junit-xml=junit.xml", "-rA"]
        # This process makes warnings errors.
        options += ["-W", "default", "-o", "junit_logging=all", *arguments]
        if {"-n1", "-n2"} & set(arguments):
            result = pytester.runpytest_subprocess(*options)
        else:
            result = pytester.runpytest_inprocess(*options, no_reraise_ctrlc=True)
        kept = [*pytester.path.rglob("out/**/*"), *pytester.path.rglob(".pytest_cache/**/*")]
        written = [path for path in [*kept, pytester.path / "junit.xml", pytester.path / LOG] if path.is_file()]
        return html.unescape(result.stdout.str() + result.stderr.str() + "".join(path.read_text() for path in written))

    return run


BODIES = {
    "comparison": "assert secret == 'other'",
    "error": "raise ValueError(secret)",
    "output": "print(secret); assert 0",
    "property": "record_property('used', secret)",
    "property with a structure": "record_property('used', {'by': [secret]})",
    "property with a secret as its name": "record_property(secret, 1)",
    "attribute of the test": "record_xml_attribute('used', secret)",
    "property of the session": "record_testsuite_property('used', secret)",
    "expected failure": "pytest.xfail('with ' + secret)",
    "skip": "pytest.skip('with ' + secret)",
    "exit": "pytest.exit('with ' + secret)",
    "warning": "warnings.warn('with ' + secret)",
    "argument": "helper(secret)",
    "group": "raise ExceptionGroup('several', [ValueError(secret)])",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_user_s_own_test_shows_no_secret(run: Callable[..., str], body: str) -> None:
    source = (
        "def helper(argument):\n    assert argument is None\n\n"
        f"def test_own(secret, record_property, record_testsuite_property, record_xml_attribute):\n    {body}\n"
    )
    shown = run(source, "--showlocals", "-o", "junit_family=xunit1")
    assert "test_own" in shown
    assert CANARY not in shown
    assert "<secret " in shown


#: Vault creates such a token for a login; nothing registers it. A test assembles it at run time, too.
TOKEN = base64.urlsafe_b64encode(bytes(range(90))).decode()
ASSEMBLED = "token = 'hvs.' + __import__('base64').urlsafe_b64encode(bytes(range(90))).decode()"


@pytest.mark.parametrize(
    "body",
    ["body = b'the token is ' + token.encode(); assert 0", "assert {'body': [token.encode() * 2]} == {'body': [b'']}"],
    ids=["local variable", "comparison"],
)
def test_wrapped_bytes_show_no_token(run: Callable[..., str], body: str) -> None:
    """With -vv, pytest wraps long bytes: no line has the shape of a token."""
    shown = run(f"def test_own(secret):\n    {ASSEMBLED}\n    {body}\n", "--showlocals", "-vv")
    assert "<secret " in shown
    assert [piece for piece in textwrap.wrap(TOKEN, 8) if piece in shown] == []


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_subtest_shows_no_secret(run: Callable[..., str], workers: str) -> None:
    if not hasattr(pytest, "Subtests"):
        pytest.skip("not run: this pytest has no subtests")
    source = (
        "def test_own(secret, subtests):\n    with subtests.test(secret, argument=secret):\n"
        "        print('printed', secret); assert 0\n"
    )
    shown = run(source, workers)
    assert "SUBFAIL" in shown
    assert "printed <secret " in shown
    assert CANARY not in shown


@pytest.mark.parametrize("body", ["pytest.skip('with ' + SECRET, allow_module_level=True)", "raise ValueError(SECRET)"])
def test_module_that_is_not_collected_shows_no_secret(run: Callable[..., str], body: str) -> None:
    shown = run(f"{SECRET}\nSECRET = secret\n{body}\n", conftest=REGISTERED)
    assert CANARY not in shown
    assert "<secret " in shown


@pytest.mark.parametrize("live", [True, False], ids=["live", "file"])
def test_log_shows_no_secret(run: Callable[..., str], live: bool) -> None:
    source = (
        "import logging\ndef test_own(secret, caplog):\n"
        "    logging.getLogger('own').warning('logged with %s', secret)\n"
        "    try:\n        raise ValueError(secret)\n    except ValueError:\n        logging.exception('logged')\n"
        "    assert secret in caplog.text\n"
    )
    shown = run(source, *(["--log-cli-level=DEBUG", "-r", ""] if live else [f"--log-file={LOG}"]))
    assert "logged with <secret " in shown
    assert "ValueError: <secret " in shown
    assert CANARY not in shown
    assert "1 passed" in shown


#: Register the canary before the collection.
REGISTERED = f"""
def pytest_configure(config):
    {SECRET}
    config.stash[SESSION_KEY].redactor.add(secret)
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_automatic_id_of_a_parameter_shows_no_secret(run: Callable[..., str], workers: str) -> None:
    source = (
        f"{SECRET}\n@pytest.mark.parametrize('token', [secret, 'x' + secret, secret.encode(), 'public'])\n"
        "def test_own(token): assert len(token) < 10\n"
    )
    shown = run(source, workers, "-v", conftest=REGISTERED)
    assert CANARY not in shown
    assert "test_own[public]" in shown
    assert "test_own[token2]" in shown
    assert "3 failed, 1 passed" in shown


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_chosen_id_with_a_secret_is_refused(run: Callable[..., str], workers: str) -> None:
    source = f"{SECRET}\n@pytest.mark.parametrize('token', [1], ids=[secret])\ndef test_own(token): pass\n"
    shown = run(source, workers, "-v", conftest=REGISTERED)
    assert "::test_own[<secret " in shown
    assert "contains a secret" in shown
    assert CANARY not in shown
    assert "1 passed" not in shown


def test_interrupted_test_shows_no_secret(run: Callable[..., str]) -> None:
    source = "def helper(argument):\n    raise KeyboardInterrupt\n\ndef test_own(secret):\n    helper(secret)\n"
    shown = run(source, "--full-trace")
    assert "KeyboardInterrupt" in shown
    assert "argument = '<secret " in shown
    assert CANARY not in shown


def test_comparison_of_two_keys_in_a_user_s_own_test_shows_neither(run: Callable[..., str], tmp_path: Path) -> None:
    keys = [key_to_pem(new_key()) for _ in range(2)]
    for number, key in enumerate(keys):
        (tmp_path / f"{number}").write_text(key)
    shown = run(
        "from pathlib import Path\ndef test_own():\n"
        f"    key_a, key_b = (Path({str(tmp_path)!r}, n).read_text() for n in '01')\n"
        "    assert key_a == key_b\n",
        "--showlocals",
    )
    assert [line for key in keys for line in key.splitlines()[1:-1] if line[:16] in shown or line[-16:] in shown] == []
    assert "assert '<private key " in shown
    assert len({shown[at + 13 : at + 19] for at in range(len(shown)) if shown.startswith("<private key ", at)}) >= 2


@pytest.mark.parametrize("style", ["--tb=auto", "--tb=native", "--full-trace", "--showlocals"])
def test_internal_error_shows_no_secret(run: Callable[..., str], style: str) -> None:
    conftest = (
        "\ndef pytest_runtest_teardown(item):\n"
        f"    {SECRET}\n    item.config.stash[SESSION_KEY].redactor.add(secret)\n"
        "    raise_it(secret)\n\n"
        "def raise_it(secret):\n    headers = {'X-Vault-Token': secret}\n    raise KeyboardInterrupts(secret)\n\n"
        "class KeyboardInterrupts(Exception):\n    pass\n\n"
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_runtest_protocol(item):\n    pytest_runtest_teardown(item)\n    return (yield)\n"
    )
    shown = run("def test_own(): pass", style, conftest=conftest)
    assert "INTERNALERROR" in shown
    assert CANARY not in shown
    assert "<secret " in shown


def test_reporting_process_knows_what_a_crashed_worker_registered(run: Callable[..., str]) -> None:
    pytest.importorskip("xdist")
    source = (
        "from pytest_vault_issuer import requirement\n"
        "@requirement('VI-SIGN-001')\ndef test_a(): pass\n\n"
        "def test_b(secret):\n    import os; os._exit(1)\n"
    )
    # As if the controller printed its SecretID and ended: only the reporting process reads this log.
    conftest = (
        "\nfrom pytest_vault_issuer.session.session import Session\n"
        "def pytest_configure(config):\n"
        f"    {SECRET}\n    text = '' if hasattr(config, 'workerinput') else 'its process ended; its log: ' + secret\n"
        "    Session.implementation_end = lambda self: text\n"
        "def pytest_handlecrashitem(crashitem, report, sched):\n"
        f"    {SECRET}\n    report.longrepr = report.longrepr + ' with ' + secret\n"
    )
    shown = run(source, "-n1", "--max-worker-restart=0", conftest=conftest)
    assert "crashed while running 'test_reporting_process" in shown
    assert CANARY not in shown
    assert "its log: <secret " in shown


# -- the file that processes share -----------------------------------------------------------------------------------


def test_registered_value_is_known_in_every_process_of_the_run(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    one, other = RunDirectory(directory, os.getpid()), RunDirectory(directory, os.getpid())
    assert other.redactor.redact(CANARY) == CANARY
    one.redactor.add(CANARY)
    assert other.redactor.redact(f"x {CANARY}") == f"x {one.redactor.redact(CANARY)}"
    program = (
        "from pathlib import Path; from pytest_vault_issuer.redaction.redactor import Redactor; "
        f"print(Redactor(Path({str(directory / SECRETS)!r})).redact({CANARY!r}))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("<secret ")
    assert stat.S_IMODE((directory / SECRETS).stat().st_mode) == 0o600


def test_value_registered_before_the_directory_is_there_is_handed_over_later(tmp_path: Path) -> None:
    store = tmp_path / "later" / SECRETS
    one, other = Redactor(store), Redactor(store)
    one.add(CANARY)
    assert one.redact(CANARY) != CANARY
    store.parent.mkdir()
    one.redact("anything that is redacted")
    assert other.redact(CANARY) != CANARY


def test_broken_line_of_the_file_hides_no_other(tmp_path: Path) -> None:
    store = tmp_path / SECRETS
    store.write_text('"cut off')
    redactor = Redactor(store)
    redactor.add(CANARY)
    with store.open("a") as file:
        file.write('\n[1]\n\n"another-canary"\n"half')
    other = Redactor(store)
    assert other.redact(CANARY) != CANARY
    assert other.redact("another-canary") != "another-canary"


@pytest.mark.parametrize("before", ["", "I1129 12:00:00 main.go:7] "], ids=["bare", "with a prefix"])
def test_log_is_redacted_before_it_is_cut(tmp_path: Path, before: str) -> None:
    """After the prefix of a log line, half a key has neither its first line nor its last line."""
    directory = RunDirectory(tmp_path, os.getpid())
    key = _rsa()
    directory.log("probe").parent.mkdir()
    directory.log("probe").write_text("begin\n" + textwrap.indent(key, before) + "end\n")
    for known in (False, True):
        if known:
            directory.redactor.add(key)
        tail = directory.log_tail("probe", 20)
        assert [line for line in key.splitlines()[1:-1] if line in tail] == []
        assert "<private key " in tail
        assert tail.splitlines()[-1] == "end"


def _rsa() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def test_marks_of_a_run_are_json(tmp_path: Path) -> None:
    redactor = Redactor(tmp_path / SECRETS)
    redactor.add(CANARY)
    lines = (tmp_path / SECRETS).read_text().split()
    assert [json.loads(line) for line in lines] == [CANARY]
