"""Signatures of requests to AWS (Signature Version 4), and the logins at Vault that contain such a request.

A signature is in the header ``Authorization`` or in the parameters of a presigned URL. The source is "Create a signed
AWS API request" in the user guide of AWS IAM. Only services whose paths need no escaping are supported, such as STS.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]+)"
)


@dataclass(frozen=True)
class SignedRequest:
    """A request to AWS with a claimed signature.

    :ivar url: absolute; its host is the signed one if `headers` contain none.
    :ivar headers: by name, in any case.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the value of a header, or '' without one."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded parameters of the URL."""
        return urllib.parse.parse_qsl(urllib.parse.urlsplit(self.url).query, keep_blank_values=True)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the action, from the URL or from the form in the body."""
        return dict([*self.query, *urllib.parse.parse_qsl(self.body.decode("utf-8", "replace"))])


@dataclass(frozen=True)
class Signature:
    """The parsed signature of a request.

    :ivar access_key_id: of the signer.
    :ivar timestamp: the time of the signature, such as ``20260102T030405Z``.
    :ivar region: the region that it is valid for; :ivar service: likewise.
    :ivar headers: names of the signed headers, in lower case.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    timestamp: str
    headers: tuple[str, ...]
    value: str

    @classmethod
    def of(cls, request: SignedRequest) -> Signature | None:
        """Return the signature of a request, or None if there is none that can be parsed."""
        query = dict(request.query)
        if query.get("X-Amz-Algorithm") == ALGORITHM:
            credential, names = query.get("X-Amz-Credential", ""), query.get("X-Amz-SignedHeaders", "")
            timestamp, value = query.get("X-Amz-Date", ""), query.get("X-Amz-Signature", "")
        else:
            found = _AUTHORIZATION.fullmatch(request.header("Authorization").strip())
            if found is None:
                return None
            credential, names, value = found["credential"], found["headers"], found["signature"]
            timestamp = request.header("X-Amz-Date")
        match credential.split("/"):
            case [access_key_id, date, region, service, "aws4_request"]:
                return cls(access_key_id, date, region, service, timestamp, tuple(names.split(";")), value)
        return None

    @property
    def credential(self) -> str:
        """The access key and its scope, as one text."""
        return "/".join((self.access_key_id, self.date, self.region, self.service, "aws4_request"))

    def matches(self, request: SignedRequest, secret_access_key: str) -> bool:
        """Return whether the secret key gives this signature for the request."""
        key = f"AWS4{secret_access_key}".encode()
        for part in (self.date, self.region, self.service, "aws4_request"):
            key = _hmac(key, part)
        _, _, scope = self.credential.partition("/")
        hashed = hashlib.sha256(self._canonical(request).encode()).hexdigest()
        text = "\n".join((ALGORITHM, self.timestamp, scope, hashed))
        return hmac.compare_digest(_hmac(key, text).hex(), self.value)

    def _canonical(self, request: SignedRequest) -> str:
        url = urllib.parse.urlsplit(request.url)
        values = {name: request.header(name) for name in self.headers}
        if "host" in values:
            values["host"] = values["host"] or url.netloc
        return "\n".join(
            (
                request.method,
                re.sub("/+", "/", url.path) or "/",
                _encoded(item for item in request.query if item[0] != "X-Amz-Signature"),
                *(f"{name}:{' '.join(value.split())}" for name, value in values.items()),
                "",
                ";".join(self.headers),
                hashlib.sha256(request.body).hexdigest(),
            )
        )


def _encoded(items: Iterable[tuple[str, str]]) -> str:
    quoted = [(urllib.parse.quote(key, safe="-_.~"), urllib.parse.quote(value, safe="-_.~")) for key, value in items]
    return "&".join(f"{key}={value}" for key, value in sorted(quoted))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


@dataclass(frozen=True)
class IamLogin:
    """A login of type ``iam``, as Vault's API documents it.

    :ivar role: of the auth method; '' for the role with the name of the AWS principal.
    :ivar request: the signed request in the login.
    :ivar signature: the parsed signature of the request.
    """

    role: str
    request: SignedRequest
    signature: Signature

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> IamLogin | None:
        """Return the login in a body, or None if Vault could not parse it."""
        try:
            request = SignedRequest(
                str(body["iam_http_request_method"]),
                _decoded(body["iam_request_url"]).decode(),
                _headers(body["iam_request_headers"]),
                _decoded(body.get("iam_request_body", "")),
            )
        except (KeyError, ValueError, AttributeError, TypeError):
            return None
        signature = Signature.of(request)
        return None if signature is None else cls(str(body.get("role", "")), request, signature)


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _headers(value: Any) -> dict[str, str]:
    """Return headers from any form that Vault accepts: JSON text, JSON in base64, or an object."""
    if isinstance(value, str):
        value = json.loads(value if value.lstrip().startswith("{") else _decoded(value))
    return {name: ",".join(found) if isinstance(found, list) else str(found) for name, found in value.items()}
