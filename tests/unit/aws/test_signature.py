"""Requests to AWS are parsed and verified as AWS documents them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_vault_issuer.aws import IamLogin, Signature, SignedRequest

# The worked example in AWS's documentation of Signature Version 4.
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EXAMPLE = SignedRequest(
    "GET",
    "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
    {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
            "SignedHeaders=content-type;host;x-amz-date, "
            "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        ),
    },
)


def signature_of(request: SignedRequest) -> Signature:
    signature = Signature.of(request)
    assert signature is not None
    return signature


def login(**fields: Any) -> dict[str, Any]:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    body = "Action=GetCallerIdentity&Version=2011-06-15"
    return {
        "role": "dev",
        "iam_http_request_method": "POST",
        "iam_request_url": encoded("https://sts.eu-central-1.amazonaws.com/"),
        "iam_request_body": encoded(body),
        "iam_request_headers": encoded(json.dumps({name: [value] for name, value in EXAMPLE.headers.items()})),
    } | fields


def test_published_example() -> None:
    signature = signature_of(EXAMPLE)
    assert (signature.access_key_id, signature.region, signature.service) == ("AKIDEXAMPLE", "us-east-1", "iam")
    assert signature.headers == ("content-type", "host", "x-amz-date")
    assert signature.matches(EXAMPLE, SECRET)


@pytest.mark.parametrize(
    "changed",
    [
        replace(EXAMPLE, method="POST"),
        replace(EXAMPLE, url=EXAMPLE.url.replace("ListUsers", "ListRoles")),
        replace(EXAMPLE, url=EXAMPLE.url.replace("iam.", "sts.")),
        replace(EXAMPLE, body=b"Action=ListRoles"),
        replace(EXAMPLE, headers={**EXAMPLE.headers, "Content-Type": "text/plain"}),
        replace(EXAMPLE, headers={**EXAMPLE.headers, "X-Amz-Date": "20150830T123601Z"}),
    ],
)
def test_changed_part_that_is_signed_invalidates_the_signature(changed: SignedRequest) -> None:
    assert not signature_of(changed).matches(changed, SECRET)


def test_another_key_gives_another_signature() -> None:
    assert not signature_of(EXAMPLE).matches(EXAMPLE, SECRET + "x")


def test_part_that_is_not_signed_does_not_change_the_signature() -> None:
    changed = replace(EXAMPLE, headers={**EXAMPLE.headers, "User-Agent": "any"}, url=EXAMPLE.url.replace("/?", "//?"))
    assert signature_of(changed).matches(changed, SECRET)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer abc", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE, SignedHeaders=host, Signature=00", "AWS4-HMAC-SHA256"],
)
def test_request_without_a_signature_has_none(authorization: str) -> None:
    assert Signature.of(replace(EXAMPLE, headers={"Authorization": authorization})) is None


@pytest.mark.parametrize(
    "headers",
    [
        json.dumps(dict(EXAMPLE.headers)),
        dict(EXAMPLE.headers),
        {name: [value] for name, value in EXAMPLE.headers.items()},
        base64.b64encode(json.dumps(dict(EXAMPLE.headers)).encode()).decode(),
    ],
)
def test_login_with_headers_in_every_form(headers: Any) -> None:
    found = IamLogin.of(login(iam_request_headers=headers))
    assert found is not None
    assert found.role == "dev"
    assert found.request.headers == EXAMPLE.headers
    assert found.request.url == "https://sts.eu-central-1.amazonaws.com/"
    assert found.request.parameters["Action"] == "GetCallerIdentity"
    assert found.signature.access_key_id == "AKIDEXAMPLE"


@pytest.mark.parametrize(
    "fields",
    [
        {"iam_request_url": "no base64!"},
        {"iam_request_headers": ""},
        {"iam_request_headers": "e30="},
        {"iam_request_headers": 5},
        {"iam_request_body": 5},
    ],
)
def test_login_that_cannot_be_read(fields: dict[str, Any]) -> None:
    assert IamLogin.of(login(**fields)) is None


def test_secrets_stay_out_of_a_representation() -> None:
    assert "Signature=" not in repr(IamLogin.of(login()))
