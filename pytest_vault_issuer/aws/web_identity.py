"""Tokens of an OpenID Connect provider, and whether STS accepts them for AssumeRoleWithWebIdentity.

STS verifies the signer, the audience and the expiry of a token. The sources are RFC 7515 to RFC 7519. Only the
algorithms of API servers are supported: RS256, and ES256 to ES512.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ..redaction.redactor import decode_jwt

#: The audience for which STS accepts tokens.
AUDIENCE = "sts.amazonaws.com"
#: Seconds by which the clock of the token's issuer may be ahead.
SKEW = 60.0
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "ES256": hashes.SHA256(),
    "ES384": hashes.SHA384(),
    "ES512": hashes.SHA512(),
}
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


class TokenRefused(Exception):
    """STS does not accept a token.

    :param code: AWS's error code.
    :param genuine: whether the provider has signed the token.
    """

    def __init__(self, code: str, message: str, *, genuine: bool) -> None:
        super().__init__(message)
        self.code = code
        self.genuine = genuine


@dataclass(frozen=True)
class IdentityProvider:
    """An OpenID Connect provider that STS trusts: the session's own cluster.

    :ivar issuer: the claim ``iss`` of its tokens.
    :ivar keys: its public keys (PEM).
    """

    issuer: str
    keys: tuple[str, ...]

    def verify(self, token: str) -> None:
        """Check a token as STS does.

        :raises TokenRefused: with AWS's code and the reason.
        """
        decoded = decode_jwt(token)
        if decoded is None or not self._signed(token, str(decoded[0].get("alg", ""))):
            raise TokenRefused(
                "InvalidIdentityToken", "the token has no signature of the session's cluster", genuine=False
            )
        claims = decoded[1]
        if claims.get("iss") != self.issuer:
            raise TokenRefused("InvalidIdentityToken", "the token has another issuer", genuine=True)
        audience = claims.get("aud")
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRefused("InvalidIdentityToken", f"the token's audience is not {AUDIENCE}", genuine=True)
        now = time.time()
        if _time(claims, "exp") <= now:
            raise TokenRefused("ExpiredTokenException", "the token has expired", genuine=True)
        if max(_time(claims, "nbf"), _time(claims, "iat")) > now + SKEW:
            raise TokenRefused("InvalidIdentityToken", "the token is not valid yet", genuine=True)

    def _signed(self, token: str, algorithm: str) -> bool:
        content, _, encoded = token.strip().rpartition(".")
        try:
            signature = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return False
        return any(_matches(key, algorithm, signature, content.encode()) for key in self.keys)


def _matches(pem: str, algorithm: str, signature: bytes, content: bytes) -> bool:
    key = serialization.load_pem_public_key(pem.encode())
    try:
        # A key is used only with the algorithm for its own type: the token's header does not choose.
        if isinstance(key, rsa.RSAPublicKey) and algorithm == "RS256":
            key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey) and _CURVES.get(algorithm) == key.curve.name:
            half = (key.curve.key_size + 7) // 8
            if len(signature) != 2 * half:
                return False
            numbers = (int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
            key.verify(encode_dss_signature(*numbers), content, ec.ECDSA(_HASHES[algorithm]))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _time(claims: dict[str, Any], name: str) -> float:
    """Return a claim that is a time; 0 for a missing or invalid one."""
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
