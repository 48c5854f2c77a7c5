"""The cleanup record: private, written before anything is created, and readable after any failure."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.kube.client import CLUSTER_ROLES, SECRETS
from pytest_vault_issuer.stack import finish, record
from pytest_vault_issuer.stack.record import UNDER_WAY, UNFINISHED, CleanupRecord, SessionInfo
from pytest_vault_issuer.supervisor.daemon import EXIT_HOOK_LIMIT, recorded_commands
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.vault.cleanup import Created
from tests.support import small_disk

SESSION = "vault-issuer-0123456789ab"
SESSION_INFO = SessionInfo(
    session=SESSION,
    directory="/nowhere/" + SESSION,
    kubeconfig="/home/me/kubeconfig",
    vault_addr="https://vault.example.com",
    timeout_scale=2.0,
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/vault-issuer"


@pytest.fixture
def begun() -> CleanupRecord:
    return CleanupRecord.begin(SESSION_INFO)


def test_record_is_private_and_lists_what_was_announced(state: Path, begun: CleanupRecord) -> None:
    announce = begun.announcer(SESSION)
    announce("auth method", "approle")
    announce("auth method", "approle", "auth_approle_1")
    begun.announcer("guest")("policy", "guest-1")
    for _ in range(2):
        begun.announce_type(CLUSTER_ROLES)
    begun.announce_type(SECRETS)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE(begun.path.stat().st_mode) == 0o600
    contents = CleanupRecord(begun.path).read()
    assert contents.session_info.kubeconfig == "/home/me/kubeconfig"
    assert contents.session_info.timeout_scale == 2.0
    assert contents.types == {CLUSTER_ROLES, SECRETS}
    assert contents.created == {
        SESSION: [
            Created("auth method", "approle"),
            Created("auth method", "approle", "auth_approle_1"),
        ],
        "guest": [Created("policy", "guest-1")],
    }


def test_without_its_record_a_session_creates_nothing(begun: CleanupRecord) -> None:
    begun.remove()
    with pytest.raises(StackError, match=f"session {SESSION} has ended"):
        begun.announcer(SESSION)("policy", "late")
    assert not begun.path.exists()


def test_a_directory_that_cannot_be_written_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(StackError, match="the cleanup record cannot be written") as raised:
        CleanupRecord.begin(SESSION_INFO)
    assert "XDG_STATE_HOME" in raised.value.hint


@pytest.mark.parametrize("state_home", ["", "relative/path"])
def test_records_are_in_the_home_by_default(state_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", state_home)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert record.directory() == tmp_path / ".local/state/vault-issuer"


@pytest.mark.skipif(not small_disk.can_be_mounted(), reason="only root on Linux can mount a small disk")
def test_a_line_cut_off_by_a_full_disk_does_not_hide_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk.mounted("16k") as disk:
        monkeypatch.setenv("XDG_STATE_HOME", str(disk))
        begun = CleanupRecord.begin(SESSION_INFO)
        announce = begun.announcer(SESSION)
        (disk / "filler").write_bytes(b"x" * 4096)
        fill = (announce("policy", f"{number}") for number in range(10_000))
        with pytest.raises(StackError, match="No space left on device"):
            list(fill)
        (disk / "filler").unlink()
        announce("policy", "last")
        names = [one.name for one in begun.read().created[SESSION]]
        assert names == [*map(str, range(len(names) - 1)), "last"]


# -- what may be in it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n", '{"session": "vault-', "[]", "null", "\x00\xff"])
def test_a_record_that_was_cut_off_at_its_beginning_is_an_error(begun: CleanupRecord, text: str) -> None:
    begun.path.write_text(text, encoding="latin-1")
    with pytest.raises(StackError, match="has no complete first line") as raised:
        begun.read()
    assert str(begun.path) in raised.value.hint
    assert record.state_of(begun) == UNFINISHED


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def symbolic_link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def huge(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(1 << 40)


def of_everyone(path: Path) -> None:
    path.chmod(0o666)


def of_another_user(path: Path) -> None:
    os.chown(path, 65534, -1)


@pytest.mark.parametrize("change", [fifo, symbolic_link, huge, of_everyone, of_another_user])
def test_record_that_others_may_have_written_is_not_followed(
    begun: CleanupRecord, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names a cluster and a Vault, to which a cleanup sends the credentials of this user."""
    if change is of_another_user and os.getuid() != 0:
        pytest.skip("not run: only root can give a file to another user")
    change(begun.path)
    with pytest.raises(StackError, match="cannot be read: ") as raised:
        begun.read()
    assert "owner" in raised.value.hint
    with pytest.raises(StackError, match="cannot be read: "):
        finish.finish(begun, "token")
    assert [str(item.path) for item in record.records()] == [str(begun.path)]


@pytest.mark.parametrize("scale", ["1e999", "-1", "0", "1" + "0" * 400, "1e300", "true_", "null"])
def test_impossible_factor_of_the_timeouts_is_left_out(begun: CleanupRecord, scale: str) -> None:
    begun.path.write_text(f'{{"kubeconfig": "/k", "timeout_scale": {scale.replace("true_", "false")}}}\n')
    assert begun.read().session_info.timeout_scale == 1.0


def test_lines_that_another_version_writes_otherwise_are_left_out(begun: CleanupRecord) -> None:
    known = {"what": "policy", "name": "known", "session": SESSION, "new": 1}
    with begun.path.open("a") as file:
        for line in ({"what": "new", "path": {}}, {"what": "policy", "name": 3}, [1], known):
            file.write(json.dumps(line) + "\n")
        file.write('{"what": "policy", "na')
    assert begun.read().created == {SESSION: [Created("policy", "known")]}


def test_known_fields_of_another_version_are_read(begun: CleanupRecord) -> None:
    begun.path.write_text(
        json.dumps({"kubeconfig": "/k", "context": None, "timeout_scale": "fast", "future": {}}) + "\n"
    )
    where = begun.read().session_info
    assert (where.session, where.kubeconfig, where.context, where.timeout_scale) == (SESSION, "/k", "", 1.0)


# -- whose turn it is ---------------------------------------------------------------------------------------------


def test_record_is_unfinished_after_all_processes_of_its_session_ended(begun: CleanupRecord) -> None:
    code = f"""
import sys
from pathlib import Path
from pytest_vault_issuer.stack.record import CleanupRecord
CleanupRecord(Path({str(begun.path)!r})).hold()
print("held", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert record.state_of(begun) == UNDER_WAY
        assert not begun.claim(0)
        process.kill()
    assert begun.claim(60)
    assert record.state_of(begun) == UNDER_WAY, "its cleanup is"
    begun.release()
    assert [found.session for found in record.unfinished()] == [SESSION]


def test_a_record_whose_supervisor_answers_is_under_way(short_directory: Path) -> None:
    run = RunDirectory(short_directory / SESSION, os.getpid())
    run.open()
    begun = CleanupRecord.begin(SessionInfo(session=SESSION, directory=str(run.path)))
    assert record.state_of(begun) == UNDER_WAY
    run.close()
    assert record.state_of(begun) == UNFINISHED


def test_a_cleanup_has_the_time_of_all_that_it_waits_for(short_directory: Path) -> None:
    """The timeout scale for a slow cluster also applies to the cleanup."""
    run, timeouts = RunDirectory(short_directory / SESSION, os.getpid()), Timeouts().scaled(10)
    run.open()
    begun = finish.begin(run, SessionInfo(session=SESSION, directory=str(run.path)), Path("kubeconfig"), timeouts, {})
    ((command, _, limit),) = recorded_commands(run.path)
    begun.release()
    begun.path.unlink()
    run.close()
    assert str(begun.path) in command
    assert limit > EXIT_HOOK_LIMIT
    assert limit >= 2 * timeouts.deletion + timeouts.api


def test_record_of_another_machine_is_not_finished(begun: CleanupRecord) -> None:
    begun.path.write_text(json.dumps({"host": "elsewhere"}) + "\n")
    assert record.state_of(begun) == "of elsewhere"
    assert record.unfinished() == []
    assert record.notices() == []


def test_missing_ca_certificate_of_vault_does_not_keep_the_cluster(begun: CleanupRecord, tmp_path: Path) -> None:
    first, *rest = begun.path.read_text().splitlines()
    about = json.loads(first) | {"vault_ca": str(tmp_path / "gone.pem"), "kubeconfig": str(tmp_path / "no-kubeconfig")}
    begun.path.write_text("\n".join([json.dumps(about), *rest]) + "\n")
    begun.announcer(SESSION)("secrets engine", "pki")
    vault, cluster = finish.finish(begun, "any-token")
    assert "gone.pem" in vault.why
    assert "no-kubeconfig" in cluster.why
    assert begun.path.exists()
