"""The keys in the JWK set of an API server are those that signed."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from pytest_vault_issuer.kube.jwks import to_pem


def encoded(number: int, length: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(length)).decode().rstrip("=")


@pytest.mark.parametrize(("curve", "length"), [(ec.SECP256R1(), 32), (ec.SECP384R1(), 48), (ec.SECP521R1(), 66)])
def test_elliptic_curve_key(curve: Any, length: int) -> None:
    key = ec.generate_private_key(curve)
    numbers = key.public_key().public_numbers()
    name = f"P-{curve.key_size}"
    pem = to_pem({"kty": "EC", "crv": name, "x": encoded(numbers.x, length), "y": encoded(numbers.y, length)})
    public = serialization.load_pem_public_key(pem.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(key.sign(b"text", ec.ECDSA(hashes.SHA256())), b"text", ec.ECDSA(hashes.SHA256()))


def test_rsa_key() -> None:
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    pem = to_pem({"kty": "RSA", "e": encoded(numbers.e, 3), "n": encoded(numbers.n, 256)})
    public = serialization.load_pem_public_key(pem.encode())
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(key.sign(b"text", padding.PKCS1v15(), hashes.SHA256()), b"text", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("jwk", [{"kty": "OKP", "crv": "Ed25519"}, {"kty": "EC", "crv": "secp256k1"}, {"kty": "oct"}])
def test_other_keys_are_refused_by_name(jwk: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=jwk["kty"]):
        to_pem(jwk)
