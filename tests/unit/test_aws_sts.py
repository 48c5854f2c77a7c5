"""The local STS admits what AWS would, and nothing else; what it was asked is kept."""

from __future__ import annotations

import datetime
import importlib
import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.aws import AssumedRole, Sts
from pytest_vault_issuer.aws.sts import ASSUME, IDENTIFY, missing_modules

pytestmark = pytest.mark.skipif(bool(missing_modules()), reason="the extra `aws` is not installed")

ROLE = "arn:aws:iam::111122223333:role/issuer"
Call = Callable[..., Any]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def server(record: Path) -> Any:
    module = importlib.import_module("pytest_vault_issuer.aws.sts_server")
    moto = importlib.import_module("moto.moto_server.werkzeug_app")
    return module.Sts(moto.DomainDispatcherApplication(moto.create_backend_app), record)


@pytest.fixture
def call(server: Any) -> Call:
    return importlib.import_module("werkzeug.test").Client(server).open  # type: ignore[no-any-return]


@pytest.fixture
def assumed(call: Call, record: Path) -> AssumedRole:
    form = {"Action": ASSUME, "RoleArn": ROLE, "RoleSessionName": "name", "WebIdentityToken": "a.b.c"}
    assert call("/", method="POST", data={**form, "Version": "2011-06-15"}).status_code == 200
    (found,) = Sts("http://sts", str(record)).assumed(ROLE)
    return found


def signed(role: AssumedRole, *, secret: str = "", presigned: bool = False, **headers: str) -> dict[str, Any]:
    """Return a GetCallerIdentity that AWS's own library for Python has signed."""
    auth = importlib.import_module("botocore.auth")
    request = importlib.import_module("botocore.awsrequest").AWSRequest
    credentials = importlib.import_module("botocore.credentials").Credentials(
        role.access_key_id, secret or role.secret_access_key, role.session_token
    )
    url, form = "https://sts.eu-central-1.amazonaws.com/", f"Action={IDENTIFY}&Version=2011-06-15"
    if presigned:
        made = request(method="GET", url=f"{url}?{form}")
        auth.SigV4QueryAuth(credentials, "sts", "eu-central-1").add_auth(made)
        return {"method": "GET", "path": f"/?{urllib.parse.urlsplit(made.url).query}", "base_url": url}
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    made = request(method="POST", url=url, data=form, headers=kind | headers)
    auth.SigV4Auth(credentials, "sts", "eu-central-1").add_auth(made)
    return {"method": "POST", "path": "//", "base_url": url, "data": form, "headers": dict(made.headers)}


def test_credentials_are_recorded_with_the_token_they_were_given_for(assumed: AssumedRole) -> None:
    assert (assumed.role_arn, assumed.session_name, assumed.web_identity_token) == (ROLE, "name", "a.b.c")
    for secret in (assumed.secret_access_key, assumed.session_token, assumed.web_identity_token):
        assert secret
        assert secret not in repr(assumed)


@pytest.mark.parametrize("options", [{}, {"X-Vault-AWS-IAM-Server-ID": "vault.example.test"}, {"presigned": True}])
def test_rightly_signed(call: Call, assumed: AssumedRole, options: dict[str, Any]) -> None:
    answer = call(**signed(assumed, **options))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/xml"
    assert "<Arn>arn:aws:sts::111122223333:assumed-role/issuer/name</Arn>" in answer.text


@pytest.mark.parametrize("presigned", [False, True])
def test_signed_with_another_key(call: Call, assumed: AssumedRole, presigned: bool) -> None:
    answer = call(**signed(assumed, secret="x" * 40, presigned=presigned))
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/xml")
    assert "SignatureDoesNotMatch" in answer.text


def test_header_changed_after_signing(call: Call, assumed: AssumedRole) -> None:
    request = signed(assumed, **{"X-Vault-AWS-IAM-Server-ID": "vault.example.test"})
    request["headers"]["X-Vault-AWS-IAM-Server-ID"] = "other.example.test"
    assert "SignatureDoesNotMatch" in call(**request).text


def test_another_session_token(call: Call, assumed: AssumedRole) -> None:
    request = signed(assumed)
    request["headers"]["X-Amz-Security-Token"] = "other"
    assert "InvalidClientTokenId" in call(**request).text


def test_unknown_access_key(call: Call, assumed: AssumedRole) -> None:
    request = signed(assumed)
    authorization = request["headers"]["Authorization"]
    request["headers"]["Authorization"] = re.sub(r"Credential=\w+", "Credential=ASIAUNKNOWNUNKNOWNNO", authorization)
    assert "InvalidClientTokenId" in call(**request).text


def test_old_signature(call: Call, assumed: AssumedRole, monkeypatch: pytest.MonkeyPatch) -> None:
    request = signed(assumed)
    server = importlib.import_module("pytest_vault_issuer.aws.sts_server")
    monkeypatch.setattr(server, "TOLERANCE", datetime.timedelta(seconds=-1))
    assert "SignatureDoesNotMatch" in call(**request).text


def test_signature_that_cannot_be_read(call: Call) -> None:
    form = {"Action": IDENTIFY, "Version": "2011-06-15"}
    answer = call("/", method="POST", data=form, headers={"Authorization": "AWS4-HMAC-SHA256 nonsense"})
    assert "IncompleteSignature" in answer.text


def test_user_that_is_there_from_the_start(server: Any, call: Call) -> None:
    found = Sts(**server.create_user())
    user = AssumedRole(found.user_arn, "", found.access_key_id, "", found.secret_access_key, "")
    assert f"<Arn>{found.user_arn}</Arn>" in call(**signed(user)).text
    assert "SignatureDoesNotMatch" in call(**signed(user, secret="x" * 40)).text
    assert found.secret_access_key not in repr(found)


def test_nothing_was_assumed_yet(record: Path) -> None:
    assert Sts("http://sts", str(record)).assumed(ROLE) == []
