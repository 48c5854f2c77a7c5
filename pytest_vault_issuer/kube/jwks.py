"""The public keys of a cluster's service account tokens, as its API server publishes them."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .client import Cluster

#: Path of the API server's JSON Web Key Set.
JWKS_PATH = "/openid/v1/jwks"
#: Path of the API server's OpenID Connect discovery document.
DISCOVERY_PATH = "/.well-known/openid-configuration"
_CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


def service_account_keys(cluster: Cluster) -> list[str]:
    """Return the public keys of the cluster's service account issuer (PEM).

    Vault's documentation of Kubernetes as an OIDC provider sets them as ``jwt_validation_pubkeys`` of a JWT auth mount.

    :raises ApiError: if the user of the kubeconfig may not read them.
    """
    return [to_pem(key) for key in cluster.call("GET", JWKS_PATH, accept="application/jwk-set+json").json()["keys"]]


def service_account_issuer(cluster: Cluster) -> str:
    """Return the issuer (claim ``iss``) of the cluster's service account tokens.

    :raises ApiError: if the user of the kubeconfig may not read it.
    """
    return str(cluster.call("GET", DISCOVERY_PATH, accept="application/json").json()["issuer"])


def to_pem(jwk: dict[str, Any]) -> str:
    """Return a JSON Web Key of RFC 7518 as PEM.

    :raises ValueError: for a type of key with which no API server signs.
    """
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    if jwk["kty"] == "RSA":
        key = rsa.RSAPublicNumbers(_integer(jwk["e"]), _integer(jwk["n"])).public_key()
    elif jwk["kty"] == "EC" and jwk["crv"] in _CURVES:
        key = ec.EllipticCurvePublicNumbers(_integer(jwk["x"]), _integer(jwk["y"]), _CURVES[jwk["crv"]]()).public_key()
    else:
        raise ValueError(f"a service account key of type {jwk['kty']} {jwk.get('crv', '')}".rstrip())
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _integer(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
