"""The process of the local STS: it answers two actions, only for its own session.

* ``AssumeRoleWithWebIdentity``, with a token that the session's cluster has
  signed, for STS, and that has not expired.
* ``GetCallerIdentity``, signed with credentials that were handed out here, a
  quarter of an hour ago at most. A login that Vault has verified here was
  signed correctly.

Any other action, path, host or method is refused, and so is a request without
such a token or signature. moto makes the responses: it gets a new request that
contains only verified values, and only the status and the body of its response
are passed on. Every call is recorded before it is answered.

There is one user from the start, for a controller that has an AWS identity
without STS.

Run as ``python -m pytest_vault_issuer.aws.sts_server STATE RECORD PROVIDER``;
PROVIDER is a file with an :class:`~.web_identity.IdentityProvider` as JSON. It
listens on a free port of loopback and writes that and the user's credentials to
STATE.
"""

from __future__ import annotations

import datetime
import hmac
import json
import re
import secrets
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from .signature import ALGORITHM, Signature, SignedRequest
from .sts import ASSUME, IDENTIFY
from .web_identity import IdentityProvider, TokenRefused

#: The allowed difference between the clocks of AWS and of the signer.
TOLERANCE = datetime.timedelta(minutes=15)
#: Maximum size of a request's body in bytes; a token has about two thousand.
LARGEST_BODY = 64 * 1024
#: Timeout in seconds for a client to send its request.
PATIENCE = 30.0
_VERSION = "2011-06-15"
_HOST = re.compile(r"sts(-fips)?(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?(:443)?")
_ROLE_ARN = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_USER_ARN = re.compile(r"<Arn>([^<]+)</Arn>")
_CREDENTIAL = re.compile(r"<(AccessKeyId|SecretAccessKey|SessionToken)>([^<]+)</")
_REFUSAL = (
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    "<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
)


class Refused(Exception):
    """A request that STS rejects.

    :param genuine: whether the caller has proved that it belongs to the session.
    """

    def __init__(self, status: int, code: str, message: str, *, genuine: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.genuine = genuine


@dataclass(frozen=True)
class Result:
    """The result of a request, and its caller.

    :ivar known: whether the caller belongs to the session, so that the content of its request is recorded.
    """

    status: int
    body: str = field(repr=False)
    known: bool
    error: str = ""


class Sts:
    """A WSGI application that answers two actions of STS.

    :param record: path of the file to which calls are appended, one JSON object per line.
    :param provider: the provider whose tokens it accepts.
    :param authority: host and port at which it listens.
    """

    def __init__(self, record: Path, provider: IdentityProvider, authority: str) -> None:
        self._record = record
        self._provider = provider
        self._authority = authority
        self._moto = Client(create_backend_app("sts"))
        self._lock = threading.Lock()
        self._credentials: dict[str, dict[str, str]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Verify, record and answer one request."""
        parameters: dict[str, str] = {}
        try:
            request = self._read(environ)
            parameters = request.parameters
            result = Result(200, self._answer(request, parameters), known=True)
        except Refused as refused:
            body = _REFUSAL.format(code=refused.code, message=escape(str(refused)))
            result = Result(refused.status, body, known=refused.genuine, error=f"{refused.code}: {refused}")
        self._keep(parameters, result)
        # Vault accepts only responses of exactly this type.
        response = Response(result.body, status=result.status, headers={"Content-Type": "text/xml"})
        sent: Iterable[bytes] = response(environ, start_response)
        return sent

    def create_user(self) -> dict[str, str]:
        """Create a user with an access key: ``user_arn``, ``access_key_id`` and ``secret_access_key``."""
        moto = Client(create_backend_app("iam"))
        form = {"UserName": f"user-{secrets.token_hex(4)}", "Version": "2010-05-08"}
        user = moto.post("/", data=form | {"Action": "CreateUser"}).text
        key = dict(_CREDENTIAL.findall(moto.post("/", data=form | {"Action": "CreateAccessKey"}).text))
        self._credentials[key["AccessKeyId"]] = key
        return {
            "user_arn": _USER_ARN.findall(user)[0],
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
        }

    def _read(self, environ: dict[str, Any]) -> SignedRequest:
        """Return the request that is addressed to STS."""
        request = Request(environ)
        request.max_content_length = LARGEST_BODY
        host = environ.get("HTTP_HOST", "")
        # Vault sends requests that were signed for AWS to this address, with the signed host.
        if host != self._authority and not _HOST.fullmatch(host):
            raise Refused(421, "InvalidAction", "this is a local STS of another name")
        if request.path != "/":
            raise Refused(404, "InvalidAction", "STS is at / alone")
        if request.method not in ("GET", "POST"):
            raise Refused(405, "InvalidAction", "STS accepts only GET and POST")
        try:
            body = request.get_data()
        except HTTPException as error:
            raise Refused(413, "RequestTooLarge", "the request's body is too large or incomplete") from error
        query = request.query_string.decode("latin-1")
        url = f"https://{host}{request.path}" + (f"?{query}" if query else "")
        return SignedRequest(request.method, url, dict(request.headers), body)

    def _answer(self, request: SignedRequest, parameters: Mapping[str, str]) -> str:
        action = parameters.get("Action")
        if action == ASSUME:
            return self._assume(parameters)
        if action == IDENTIFY:
            return self._identify(request)
        raise Refused(400, "InvalidAction", f"this STS answers {ASSUME} and {IDENTIFY} only")

    def _assume(self, parameters: Mapping[str, str]) -> str:
        try:
            self._provider.verify(parameters.get("WebIdentityToken", ""))
        except TokenRefused as refused:
            raise Refused(400, refused.code, str(refused), genuine=refused.genuine) from refused
        role, name = parameters.get("RoleArn", ""), parameters.get("RoleSessionName", "")
        duration = parameters.get("DurationSeconds", "3600")
        if not _ROLE_ARN.fullmatch(role):
            raise Refused(400, "ValidationError", "RoleArn is not the ARN of a role", genuine=True)
        if not _SESSION_NAME.fullmatch(name):
            raise Refused(400, "ValidationError", "RoleSessionName is not the name of a session", genuine=True)
        if not re.fullmatch("[0-9]{3,5}", duration) or not 900 <= int(duration) <= 43200:
            raise Refused(400, "ValidationError", "DurationSeconds is not from 900 to 43200", genuine=True)
        form = {"RoleArn": role, "RoleSessionName": name, "DurationSeconds": duration, "WebIdentityToken": "verified"}
        body = self._ask_moto(ASSUME, form, {})
        credentials = dict(_CREDENTIAL.findall(body))
        with self._lock:
            self._credentials[credentials["AccessKeyId"]] = credentials
        return body

    def _identify(self, request: SignedRequest) -> str:
        signature = Signature.of(request)
        if signature is None:
            if request.header("Authorization") or "X-Amz-Algorithm" in dict(request.query):
                raise Refused(403, "IncompleteSignature", "the signature cannot be read")
            raise Refused(403, "MissingAuthenticationToken", "the request is not signed")
        self._verify(request, signature)
        # moto looks the caller up here. Its response does not depend on the region, but its storage does.
        scope = f"{signature.access_key_id}/{signature.date}/us-east-1/sts/aws4_request"
        return self._ask_moto(IDENTIFY, {}, {"Authorization": f"{ALGORITHM} Credential={scope},"})

    def _verify(self, request: SignedRequest, signature: Signature) -> None:
        with self._lock:
            credentials = self._credentials.get(signature.access_key_id)
        token = request.header("X-Amz-Security-Token") or dict(request.query).get("X-Amz-Security-Token", "")
        if credentials is None or not _equal(token, credentials.get("SessionToken", "")):
            raise Refused(403, "InvalidClientTokenId", "the security token included in the request is invalid")
        if signature.service != "sts" or signature.date != signature.timestamp[:8]:
            raise Refused(403, "SignatureDoesNotMatch", "the credential is for another service or another day")
        if "host" not in signature.headers:
            raise Refused(403, "SignatureDoesNotMatch", "the host is not signed")
        if abs(datetime.datetime.now(datetime.UTC) - _time(signature.timestamp)) > TOLERANCE:
            raise Refused(403, "SignatureDoesNotMatch", "the signature has expired or is not yet current")
        if not signature.matches(request, credentials["SecretAccessKey"]):
            raise Refused(403, "SignatureDoesNotMatch", "the signature is not that of the request and the secret key")

    def _ask_moto(self, action: str, form: dict[str, str], headers: dict[str, str]) -> str:
        data = {"Action": action, "Version": _VERSION} | form
        response = self._moto.post("/", base_url="https://sts.us-east-1.amazonaws.com", data=data, headers=headers)
        if response.status_code != 200:
            raise Refused(500, "InternalFailure", f"moto answered {response.status_code}")
        return response.text

    def _keep(self, parameters: Mapping[str, str], result: Result) -> None:
        """Record a call; for a caller that does not belong to the session, only that it was rejected."""
        entry = {
            "action": parameters.get("Action", "") if result.known else "",
            "status": result.status,
            "parameters": dict(parameters) if result.known else {},
            "credentials": dict(_CREDENTIAL.findall(result.body)) if result.status == 200 else {},
            "error": result.error,
        }
        with self._lock, self._record.open("a") as file:
            file.write(json.dumps(entry) + "\n")


class Handler(WSGIRequestHandler):
    """Serves one connection; a client that sends nothing is disconnected after a timeout."""

    timeout = PATIENCE


def _time(timestamp: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def main(state: Path, record: Path, provider: Path) -> None:
    """Serve until the process is stopped."""
    trusted = json.loads(provider.read_text())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        application = Sts(record, IdentityProvider(trusted["issuer"], tuple(trusted["keys"])), f"{host}:{port}")
        found = {"endpoint": f"http://{host}:{port}", "record": str(record), **application.create_user()}
        server = make_server(host, port, application, threaded=True, fd=listener.fileno(), request_handler=Handler)
        draft = state.with_suffix(".draft")
        draft.write_text(json.dumps(found))
        draft.replace(state)
        server.serve_forever()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
