"""The content of a login at Vault's ``aws`` auth method: a signed request that Vault sends to STS."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .signature import Signature, SignedRequest


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
