"""Proves an AWS identity to Vault: the controller signs a request to STS, and Vault sends it.

The credentials are those of an AWS role that trusts a service account. A cluster-scoped
issuer may use the sample controller's own credentials instead. A namespaced one may not:
a user who may create it must not borrow them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

import urllib3

from .secret_values import CredentialError

#: The audience of service account tokens that STS accepts.
STS_AUDIENCE = "sts.amazonaws.com"
STS_VERSION = "2011-06-15"
SESSION_NAME = "sample-controller"
DEFAULT_REGION = "us-east-1"
#: The request that Vault sends to STS to learn who signed it.
WHO_AM_I = urlencode({"Action": "GetCallerIdentity", "Version": STS_VERSION})
FORM = "application/x-www-form-urlencoded; charset=utf-8"
SERVER_ID_HEADER = "X-Vault-AWS-IAM-Server-ID"
ALGORITHM = "AWS4-HMAC-SHA256"
TIMEOUT = urllib3.Timeout(connect=5, read=15)
#: The most bytes of a response that are read, to bound memory.
LONGEST_RESPONSE = 1024 * 1024


class AwsCredentials(NamedTuple):
    """The credentials that sign requests.

    :ivar session_token: '' for credentials that are not temporary.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str


def region_of(configured: str | None) -> str:
    """Return the AWS region to use."""
    environment = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return configured or environment or DEFAULT_REGION


def own_identity() -> AwsCredentials:
    """Return the sample controller's own credentials, from the environment.

    :raises CredentialError: if it has none.
    """
    try:
        key_id, key = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    except KeyError:
        raise CredentialError("auth.aws has no serviceAccountRef, and the controller has no AWS identity") from None
    return AwsCredentials(key_id, key, os.environ.get("AWS_SESSION_TOKEN", ""))


def assume_role(role_arn: str, web_identity_token: str, region: str) -> AwsCredentials:
    """Return credentials of an AWS role that trusts the subject of a token.

    :raises CredentialError: if STS returns none.
    """
    parameters = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": STS_VERSION,
        "RoleArn": role_arn,
        "RoleSessionName": SESSION_NAME,
        "WebIdentityToken": web_identity_token,
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL_STS") or sts_url(region)
    try:
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT) as pool:
            response = pool.request(
                "POST",
                endpoint,
                body=urlencode(parameters),
                headers={"Content-Type": FORM},
                redirect=False,
                preload_content=False,
            )
            body = response.read(LONGEST_RESPONSE).decode(errors="replace")
            response.close()
    except urllib3.exceptions.HTTPError as error:
        raise CredentialError("AWS STS cannot be reached") from error
    if response.status != 200:
        raise CredentialError(f"AWS STS refuses to assume the role: {_element(body, 'Code')}")
    return AwsCredentials(
        _element(body, "AccessKeyId"), _element(body, "SecretAccessKey"), _element(body, "SessionToken")
    )


def sts_url(region: str) -> str:
    """Return the URL of STS in a region."""
    return f"https://sts.{region}.amazonaws.com/"


def _element(body: str, name: str) -> str:
    """Return the text of an XML element without child elements."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", body)
    if found is None:
        raise CredentialError("the response of AWS STS is unreadable")
    return found[1]


def login_data(credentials: AwsCredentials, region: str, server_id: str | None) -> dict[str, str]:
    """Return the body of a login at Vault's AWS method: a signed request that shows Vault who signed it.

    :param server_id: a value that Vault requires to be signed, so that no other server can use the request.
    """
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Type": FORM,
        "X-Amz-Date": time,
        "X-Amz-Security-Token": credentials.session_token,
    }
    if not credentials.session_token:
        del headers["X-Amz-Security-Token"]
    if server_id:
        headers[SERVER_ID_HEADER] = server_id
    headers["Authorization"] = authorization(credentials, region, time, headers)
    return {
        "iam_http_request_method": "POST",
        "iam_request_url": _base64(sts_url(region)),
        "iam_request_headers": _base64(json.dumps(headers)),
        "iam_request_body": _base64(WHO_AM_I),
    }


def authorization(credentials: AwsCredentials, region: str, time: str, headers: dict[str, str]) -> str:
    """Return the header that signs the request to STS (AWS Signature Version 4)."""
    signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    signed["host"] = sts_url(region).split("/")[2]
    names = sorted(signed)
    lines = [f"{name}:{signed[name]}" for name in names]
    body = hashlib.sha256(WHO_AM_I.encode()).hexdigest()
    request = "\n".join(["POST", "/", "", *lines, "", ";".join(names), body])
    day = time[:8]
    scope = f"{day}/{region}/sts/aws4_request"
    text = "\n".join([ALGORITHM, time, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (day, region, "sts", "aws4_request"):
        key = _hmac(key, part)
    signature = _hmac(key, text).hex()
    return (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
