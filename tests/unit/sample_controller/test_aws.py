"""The sample controller's requests to AWS: signed as AWS expects, and answered by an STS."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pytest_vault_issuer.aws import IamLogin, Sts, start_sts
from pytest_vault_issuer.aws.sts import missing_modules
from pytest_vault_issuer.sample_controller.aws import AwsCredentials, assume_role, login_data, own_identity, region_of
from pytest_vault_issuer.sample_controller.secret_values import CredentialError
from pytest_vault_issuer.supervisor.run_directory import RunDirectory, new_path
from pytest_vault_issuer.timeouts import Timeouts
from tests.support.cluster_tokens import Signer

CREDENTIALS = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session token")
SIGNER = Signer()
ROLE = "arn:aws:iam::111122223333:role/issuer"


@pytest.mark.parametrize("server_id", [None, "vault.example.test"])
def test_login_is_signed_as_vault_and_aws_read_it(server_id: str | None) -> None:
    data = login_data(CREDENTIALS, "eu-central-1", server_id)
    login = IamLogin.of(data | {"role": "a-role"})
    assert login is not None
    assert login.signature.matches(login.request, CREDENTIALS.secret_access_key)
    assert (login.signature.region, login.request.parameters["Action"]) == ("eu-central-1", "GetCallerIdentity")
    assert ("x-vault-aws-iam-server-id" in login.signature.headers) == (server_id is not None)
    assert not any(CREDENTIALS.secret_access_key in value for value in data.values())


def test_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert region_of(None) == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "sa-east-1")
    assert region_of("") == "sa-east-1"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert (region_of(None), region_of("eu-central-1")) == ("us-west-2", "eu-central-1")


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    run = RunDirectory(new_path(), os.getpid())
    run.open()
    started = start_sts(run, SIGNER.provider, Timeouts())
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", started.endpoint)
    yield started
    run.close()


@pytest.mark.skipif(bool(missing_modules()), reason="the extra `aws` is not installed")
def test_role_is_assumed_with_a_token(sts: Sts) -> None:
    token = SIGNER.token()
    got = assume_role(ROLE, token, "eu-central-1")
    (assumed,) = sts.assumed(ROLE)
    assert got == (assumed.access_key_id, assumed.secret_access_key, assumed.session_token)
    assert assumed.web_identity_token == token


@pytest.mark.skipif(bool(missing_modules()), reason="the extra `aws` is not installed")
def test_refusal_of_sts_is_named(sts: Sts) -> None:
    with pytest.raises(CredentialError, match="InvalidIdentityToken"):
        assume_role(ROLE, SIGNER.token(aud=["vault"]), "eu-central-1")


def test_sts_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    with pytest.raises(CredentialError, match="cannot be reached"):
        assume_role(ROLE, "a.b.c", "eu-central-1")


def test_own_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CredentialError, match="no AWS identity"):
        own_identity()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert own_identity() == ("AKIDEXAMPLE", "secret", "")
    login = IamLogin.of(login_data(own_identity(), "eu-central-1", None))
    assert login is not None
    assert login.signature.matches(login.request, "secret")
