"""Signs service account tokens as a cluster does, for tests without a cluster."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pytest_vault_issuer.aws import IdentityProvider

ISSUER = "https://kubernetes.default.svc"
STS = "sts.amazonaws.com"
SUBJECT = "system:serviceaccount:tests:issuer"


class Signer:
    """Signs tokens; :attr:`provider` verifies them.

    :param key: default a new one on the curve P-256.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.public = (
            self.key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        self.provider = IdentityProvider(ISSUER, (self.public,))

    def token(self, algorithm: str = "", **claims: Any) -> str:
        """Return a token for STS that is valid for ten minutes; a claim of None is left out."""
        now = int(time.time())
        content = {"iss": ISSUER, "sub": SUBJECT, "aud": [STS], "iat": now, "nbf": now, "exp": now + 600} | claims
        header = {"alg": algorithm or self._algorithm, "kid": "key"}
        signed = ".".join(
            map(_encoded, (header, {name: value for name, value in content.items() if value is not None}))
        )
        return f"{signed}.{_base64(self._sign(signed.encode()))}"

    @property
    def _algorithm(self) -> str:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return "RS256"
        return {256: "ES256", 384: "ES384", 521: "ES512"}[self.key.curve.key_size]

    def _sign(self, content: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(content, padding.PKCS1v15(), hashes.SHA256())
        size = self.key.curve.key_size
        digest = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[size]
        numbers = decode_dss_signature(self.key.sign(content, ec.ECDSA(digest)))
        return b"".join(number.to_bytes((size + 7) // 8) for number in numbers)


def _encoded(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
