"""The local STS answers only its own session, and records each request."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.aws import AssumedRole, Sts, start_sts
from pytest_vault_issuer.aws.sts import ASSUME, IDENTIFY, missing_modules
from pytest_vault_issuer.supervisor.run_directory import RunDirectory, new_path
from pytest_vault_issuer.timeouts import Timeouts
from tests.support.cluster_tokens import Signer
from tests.support.processes import command_lines

pytestmark = pytest.mark.skipif(bool(missing_modules()), reason="the extra `aws` is not installed")

ROLE = "arn:aws:iam::111122223333:role/issuer"
HOST = "sts.eu-central-1.amazonaws.com"
OWN = "127.0.0.1:1"
VERSION = "2011-06-15"
FORM = f"Action={IDENTIFY}&Version={VERSION}"
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def server(record: Path, signer: Signer) -> Any:
    module = importlib.import_module("pytest_vault_issuer.aws.sts_server")
    return module.Sts(record, signer.provider, OWN)


@pytest.fixture
def call(server: Any) -> Call:
    opened = importlib.import_module("werkzeug.test").Client(server).open

    def send(path: str = "/", *, base_url: str = f"http://{OWN}/", **options: Any) -> Any:
        return opened(path, base_url=base_url, **options)

    return send


def web_identity(token: str, **parameters: str) -> dict[str, str]:
    form = {"Action": ASSUME, "Version": VERSION, "RoleArn": ROLE, "RoleSessionName": "name", "WebIdentityToken": token}
    return form | parameters


@pytest.fixture
def assumed(call: Call, record: Path, signer: Signer) -> AssumedRole:
    answer = call(method="POST", data=web_identity(signer.token()))
    assert answer.status_code == 200, answer.text
    (found,) = Sts("http://sts", str(record)).assumed(ROLE)
    return found


def signed(
    role: AssumedRole,
    *,
    secret: str = "",
    presigned: bool = False,
    service: str = "sts",
    form: str = FORM,
    path: str = "/",
    **headers: str,
) -> dict[str, Any]:
    """Return a request that botocore has signed, by default GetCallerIdentity."""
    auth = importlib.import_module("botocore.auth")
    request = importlib.import_module("botocore.awsrequest").AWSRequest
    credentials = importlib.import_module("botocore.credentials").Credentials(
        role.access_key_id, secret or role.secret_access_key, role.session_token
    )
    url = f"https://{HOST}{path}"
    if presigned:
        made = request(method="GET", url=f"{url}?{form}")
        auth.SigV4QueryAuth(credentials, service, "eu-central-1").add_auth(made)
        return {"method": "GET", "path": f"{path}?{urllib.parse.urlsplit(made.url).query}", "base_url": url}
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    made = request(method="POST", url=url, data=form, headers=kind | headers)
    auth.SigV4Auth(credentials, service, "eu-central-1").add_auth(made)
    # Vault appends the path of the signed request to the configured STS endpoint.
    return {
        "method": "POST",
        "path": "//" if path == "/" else path,
        "base_url": url,
        "data": form,
        "headers": dict(made.headers),
    }


def test_credentials_are_recorded_with_the_token_they_were_given_for(assumed: AssumedRole) -> None:
    assert (assumed.role_arn, assumed.session_name) == (ROLE, "name")
    for secret in (assumed.secret_access_key, assumed.session_token, assumed.web_identity_token):
        assert secret
        assert secret not in repr(assumed)


@pytest.mark.parametrize("options", [{}, {"X-Vault-AWS-IAM-Server-ID": "vault.example.test"}, {"presigned": True}])
def test_correctly_signed_request_is_answered(call: Call, assumed: AssumedRole, options: dict[str, Any]) -> None:
    answer = call(**signed(assumed, **options))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/xml"
    assert "<Arn>arn:aws:sts::111122223333:assumed-role/issuer/name</Arn>" in answer.text


@pytest.mark.parametrize("presigned", [False, True])
def test_signature_of_another_key_is_refused(call: Call, assumed: AssumedRole, presigned: bool) -> None:
    answer = call(**signed(assumed, secret="x" * 40, presigned=presigned))
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/xml")
    assert "SignatureDoesNotMatch" in answer.text


def test_header_changed_after_signing_is_refused(call: Call, assumed: AssumedRole) -> None:
    request = signed(assumed, **{"X-Vault-AWS-IAM-Server-ID": "vault.example.test"})
    request["headers"]["X-Vault-AWS-IAM-Server-ID"] = "other.example.test"
    assert "SignatureDoesNotMatch" in call(**request).text


def test_another_session_token_is_refused(call: Call, assumed: AssumedRole) -> None:
    request = signed(assumed)
    request["headers"]["X-Amz-Security-Token"] = "other"
    assert "InvalidClientTokenId" in call(**request).text


def test_unknown_access_key_is_refused(call: Call, assumed: AssumedRole) -> None:
    request = signed(assumed)
    authorization = request["headers"]["Authorization"]
    request["headers"]["Authorization"] = re.sub(r"Credential=\w+", "Credential=ASIAUNKNOWNUNKNOWNNO", authorization)
    assert "InvalidClientTokenId" in call(**request).text


def test_credentials_of_another_session_are_refused(
    call: Call, tmp_path: Path, signer: Signer, assumed: AssumedRole
) -> None:
    module = importlib.import_module("pytest_vault_issuer.aws.sts_server")
    other = importlib.import_module("werkzeug.test").Client(module.Sts(tmp_path / "other", signer.provider, OWN))
    assert "InvalidClientTokenId" in other.open(**signed(assumed)).text


def test_old_signature_is_refused(call: Call, assumed: AssumedRole, monkeypatch: pytest.MonkeyPatch) -> None:
    request = signed(assumed)
    server = importlib.import_module("pytest_vault_issuer.aws.sts_server")
    monkeypatch.setattr(server, "TOLERANCE", datetime.timedelta(seconds=-1))
    assert "SignatureDoesNotMatch" in call(**request).text


def test_signature_for_another_service_is_refused(call: Call, assumed: AssumedRole) -> None:
    assert "SignatureDoesNotMatch" in call(**signed(assumed, service="batch")).text


def test_signature_that_leaves_out_the_host_is_refused(
    call: Call, assumed: AssumedRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = importlib.import_module("botocore.auth").SigV4Auth
    everything = auth.headers_to_sign

    def without_host(self: Any, request: Any) -> Any:
        headers = everything(self, request)
        del headers["host"]
        return headers

    monkeypatch.setattr(auth, "headers_to_sign", without_host)
    answer = call(**signed(assumed))
    assert (answer.status_code, "the host is not signed" in answer.text) == (403, True)


def test_signature_that_cannot_be_read_is_refused(call: Call) -> None:
    answer = call(method="POST", data=FORM, headers={"Authorization": "AWS4-HMAC-SHA256 nonsense"})
    assert "IncompleteSignature" in answer.text


def test_unsigned_request_is_refused(call: Call) -> None:
    answer = call(method="POST", data={"Action": IDENTIFY, "Version": VERSION})
    assert (answer.status_code, "MissingAuthenticationToken" in answer.text) == (403, True)


def test_user_is_there_from_the_start(server: Any, call: Call) -> None:
    found = Sts(**server.create_user())
    user = AssumedRole(found.user_arn, "", found.access_key_id, "", found.secret_access_key, "")
    assert f"<Arn>{found.user_arn}</Arn>" in call(**signed(user)).text
    assert "SignatureDoesNotMatch" in call(**signed(user, secret="x" * 40)).text
    assert found.secret_access_key not in repr(found)


def test_nothing_was_assumed_yet(record: Path) -> None:
    assert Sts("http://sts", str(record)).assumed(ROLE) == []


def test_line_that_is_still_being_written_is_left_out(assumed: AssumedRole, record: Path) -> None:
    record.write_text(record.read_text() + record.read_text()[:-20])
    assert len(Sts("http://sts", str(record)).assumed(ROLE)) == 1


# -- web identities


def test_token_of_another_cluster_gives_no_credentials(call: Call, record: Path) -> None:
    answer = call(method="POST", data=web_identity(Signer().token()))
    assert (answer.status_code, "InvalidIdentityToken" in answer.text) == (400, True)
    assert Sts("http://sts", str(record)).offered(ROLE) == [], "what strangers send is not recorded"


def test_refused_token_of_the_cluster_is_recorded_with_the_reason(call: Call, record: Path, signer: Signer) -> None:
    token = signer.token(aud=["vault"])
    assert call(method="POST", data=web_identity(token)).status_code == 400
    sts = Sts("http://sts", str(record))
    assert (sts.assumed(ROLE), sts.offered(ROLE)) == ([], [token])
    assert sts.refusals(ROLE) == ["InvalidIdentityToken: the token's audience is not sts.amazonaws.com"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RoleArn", "issuer"),
        ("RoleArn", "arn:aws:iam::111122223333:user/issuer"),
        ("RoleArn", ""),
        ("RoleSessionName", ""),
        ("RoleSessionName", "<Arn>other</Arn>"),
        ("DurationSeconds", "1"),
        ("DurationSeconds", "99999"),
        ("DurationSeconds", "soon"),
    ],
)
def test_wrong_parameter_is_refused(call: Call, signer: Signer, name: str, value: str) -> None:
    answer = call(method="POST", data=web_identity(signer.token(), **{name: value}))
    assert (answer.status_code, "ValidationError" in answer.text) == (400, True)


# -- everything else

OTHER_ACTIONS = ("AssumeRole", "AssumeRoleWithSAML", "GetSessionToken", "GetFederationToken", "GetAccessKeyInfo", "")


@pytest.mark.parametrize("action", [*OTHER_ACTIONS, "CreateUser", "SubmitJob"])
def test_other_action_is_refused_even_when_signed(call: Call, assumed: AssumedRole, action: str) -> None:
    form = f"Action={action}&Version={VERSION}&RoleArn={ROLE}&RoleSessionName=name&AccessKeyId=x&UserName=x&Name=x"
    for answer in (call(**signed(assumed, form=form)), call(method="POST", data=form)):
        assert (answer.status_code, "InvalidAction" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "path", ["/moto-api/data.json", "/moto-api/reset", "/favicon.ico", "/latest/meta-data/", "/v1/submitjob", "/x"]
)
def test_other_path_is_refused_even_when_signed(call: Call, assumed: AssumedRole, path: str) -> None:
    for answer in (call(**signed(assumed, path=path)), call(path), call(path, method="POST", data=FORM)):
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "host", ["batch.eu-central-1.amazonaws.com", "localhost:1", "moto_api", "rebound.example.test", "s3.amazonaws.com"]
)
def test_other_host_is_refused_even_with_a_token(call: Call, signer: Signer, host: str) -> None:
    answer = call(method="POST", data=web_identity(signer.token()), base_url=f"http://{host}/")
    assert (answer.status_code, "<SecretAccessKey>" in answer.text) == (421, False)


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "HEAD", "PATCH"])
def test_other_method_is_refused(call: Call, method: str) -> None:
    assert call(method=method).status_code == 405


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://example.test", "Access-Control-Request-Method": "POST"}])
def test_no_response_has_cors_headers(call: Call, assumed: AssumedRole, headers: dict[str, str]) -> None:
    request = signed(assumed)
    request["headers"] |= headers
    for answer in (call(**request), call(method="OPTIONS", headers=headers), call("/moto-api/data.json")):
        assert [name for name, _ in answer.headers if name.lower().startswith("access-control")] == []


def test_large_body_is_refused(call: Call, signer: Signer) -> None:
    form = web_identity(signer.token(), Policy="x" * 100_000)
    assert call(method="POST", data=form).status_code == 413


def test_account_in_motos_header_is_ignored(call: Call, assumed: AssumedRole) -> None:
    request = signed(assumed)
    request["headers"]["X-Moto-Account-Id"] = "999999999999"
    assert "<Account>111122223333</Account>" in call(**request).text


def test_strangers_leave_nothing_but_a_line_in_the_record(call: Call, record: Path) -> None:
    call(method="POST", data=web_identity("x" * 10_000))
    (line,) = record.read_text().splitlines()
    assert json.loads(line)["parameters"] == {}
    assert len(line) < 300


# -- the process


@pytest.fixture
def started(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RunDirectory, Sts]]:
    for name, value in {
        "DOCKER_HOST": "unix:///nowhere.sock",
        "MOTO_ACCOUNT_ID": "999999999999",
        "INITIAL_NO_AUTH_ACTION_COUNT": "0",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
    }.items():
        monkeypatch.setenv(name, value)
    run = RunDirectory(new_path(), os.getpid())
    run.open()
    yield run, start_sts(run, signer.provider, Timeouts())
    run.close()


def test_process_ignores_settings_of_the_environment(started: tuple[RunDirectory, Sts]) -> None:
    run, _ = started
    (pid,) = (
        pid
        for pid, words in command_lines()
        if str(run.path / "sts.jsonl") in words and "pytest_vault_issuer.aws.sts_server" in words
    )
    environment = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    names = {line.partition("=")[0] for line in environment if line}
    assert not {name for name in names if name.startswith(("AWS_", "DOCKER_", "MOTO_", "INITIAL_"))}


def test_process_answers_its_session_only(started: tuple[RunDirectory, Sts], signer: Signer) -> None:
    _, sts = started

    def post(form: dict[str, str], path: str = "/") -> int:
        try:
            with urllib.request.urlopen(sts.endpoint + path, urllib.parse.urlencode(form).encode(), 10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert post(web_identity(signer.token())) == 200
    assert post(web_identity(Signer().token())) == 400
    assert post({}, "/moto-api/reset") == 404
    assert len(sts.assumed(ROLE)) == 1


def test_process_loads_no_other_service_and_no_docker() -> None:
    code = (
        "import sys, pytest_vault_issuer.aws.sts_server as server\n"
        "from pathlib import Path\n"
        "from pytest_vault_issuer.aws import IdentityProvider\n"
        "server.Sts(Path('unused'), IdentityProvider('', ()), '').create_user()\n"
        "names = {name.split('.')[1] for name in sys.modules if name.startswith('moto.')}\n"
        "print(sorted(names & {'batch', 'awslambda', 'ec2', 'ecs', 'instance_metadata'}), end=' ')\n"
        "print('docker' in sys.modules)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert out == "[] False\n"
