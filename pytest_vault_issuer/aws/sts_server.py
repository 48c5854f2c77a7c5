"""The process of the local STS: moto's, which hands out credentials and remembers whose they are.

moto takes every signature on trust. Here a signed request passes only if its
signature is that of credentials handed out before and a quarter of an hour old
at most, as it is with AWS: a login that Vault has verified here was signed
rightly. Every call is recorded before it is answered.

There is one user from the start, for whoever has an AWS identity without STS.

Run as ``python -m pytest_vault_issuer.aws.sts_server STATE RECORD``; it listens
on a free port of loopback and writes that and the user's credentials to STATE.
"""

from __future__ import annotations

import datetime
import io
import json
import re
import secrets
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from .signature import ALGORITHM, Signature, SignedRequest

#: How far the clocks of AWS and of whoever signs may be apart.
TOLERANCE = datetime.timedelta(minutes=15)
_USER_ARN = re.compile(r"<Arn>([^<]+)</Arn>")
_CREDENTIAL = re.compile(r"<(AccessKeyId|SecretAccessKey|SessionToken)>([^<]+)</")
_REFUSAL = (
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    "<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
)


class Sts:
    """A WSGI application: another one whose signed requests are verified and whose calls are recorded."""

    def __init__(self, application: Any, record: Path) -> None:
        self._application = application
        self._record = record
        self._lock = threading.Lock()
        self._credentials: dict[str, dict[str, str]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Verify, answer and record one request."""
        request = Request(environ)
        body = request.get_data()
        environ["wsgi.input"] = io.BytesIO(body)
        signed = SignedRequest(request.method, request.url, dict(request.headers), body)
        signature = Signature.of(signed)
        if signature is not None:
            # moto finds the service and the caller here, also where the URL is presigned.
            environ["HTTP_AUTHORIZATION"] = f"{ALGORITHM} Credential={signature.credential},"
        answer = self._refusal(signed, signature) or Response.from_app(self._application, environ)
        parameters = signed.parameters
        credentials = dict(_CREDENTIAL.findall(answer.get_data(as_text=True)))
        entry = {"action": parameters.get("Action", ""), "status": answer.status_code, "parameters": parameters}
        with self._lock:
            if credentials:
                self._credentials[credentials["AccessKeyId"]] = credentials
            with self._record.open("a") as file:
                file.write(json.dumps(entry | {"credentials": credentials}) + "\n")
        sent: Iterable[bytes] = answer(environ, start_response)
        return sent

    def create_user(self) -> dict[str, str]:
        """Create a user with an access key: ``user_arn``, ``access_key_id`` and ``secret_access_key``."""
        form = {"UserName": f"user-{secrets.token_hex(4)}", "Version": "2010-05-08"}
        # Unsigned and past the check of signatures: somebody has to be first. moto finds the service in the header.
        headers = {"Authorization": f"{ALGORITHM} Credential=NOBODY/20260101/us-east-1/iam/aws4_request,"}
        client = Client(self._application)
        user = client.post("/", data=form | {"Action": "CreateUser"}, headers=headers).text
        key = dict(
            _CREDENTIAL.findall(client.post("/", data=form | {"Action": "CreateAccessKey"}, headers=headers).text)
        )
        self._credentials[key["AccessKeyId"]] = key
        return {
            "user_arn": _USER_ARN.findall(user)[0],
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
        }

    def _refusal(self, request: SignedRequest, signature: Signature | None) -> Response | None:
        if signature is None:
            if "X-Amz-Algorithm" in dict(request.query) or request.header("Authorization"):
                return _refused("IncompleteSignature", "the signature cannot be read")
            return None
        with self._lock:
            credentials = self._credentials.get(signature.access_key_id)
        token = request.header("X-Amz-Security-Token") or dict(request.query).get("X-Amz-Security-Token", "")
        if credentials is None or token != credentials.get("SessionToken", ""):
            return _refused("InvalidClientTokenId", "the security token included in the request is invalid")
        if abs(datetime.datetime.now(datetime.UTC) - _time(signature.timestamp)) > TOLERANCE:
            return _refused("SignatureDoesNotMatch", "the signature has expired or is not yet current")
        if not signature.matches(request, credentials["SecretAccessKey"]):
            return _refused("SignatureDoesNotMatch", "the signature is not that of the request and the secret key")
        return None


def _time(timestamp: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _refused(code: str, message: str) -> Response:
    # Vault looks at answers of exactly this type only.
    return Response(_REFUSAL.format(code=code, message=message), status=403, headers={"Content-Type": "text/xml"})


def main(state: Path, record: Path) -> None:
    """Serve until the process is ended."""
    application = Sts(DomainDispatcherApplication(create_backend_app), record)
    server = make_server("127.0.0.1", 0, application, threaded=True)
    found = {"endpoint": f"http://127.0.0.1:{server.server_port}", "record": str(record), **application.create_user()}
    draft = state.with_suffix(".draft")
    draft.write_text(json.dumps(found))
    draft.replace(state)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
