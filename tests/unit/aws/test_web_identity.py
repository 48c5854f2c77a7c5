"""STS accepts only tokens that the session's cluster signed for STS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pytest_vault_issuer.aws import IdentityProvider
from pytest_vault_issuer.aws.web_identity import TokenRefused
from tests.support.cluster_tokens import ISSUER, STS, Signer

#: Seconds since the epoch. Constants, because workers of pytest-xdist must collect the same parameters.
PAST, FUTURE = 1_000_000_000, 32_503_680_000


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


def refusal(provider: IdentityProvider, token: str) -> TokenRefused:
    with pytest.raises(TokenRefused) as refused:
        provider.verify(token)
    return refused.value


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_token_of_an_elliptic_curve_key_is_accepted(curve: Any) -> None:
    signer = Signer(ec.generate_private_key(curve))
    signer.provider.verify(signer.token())


def test_token_of_an_rsa_key_is_accepted() -> None:
    signer = Signer(rsa.generate_private_key(65537, 2048))
    signer.provider.verify(signer.token())


@pytest.mark.parametrize("audience", [STS, ["other", STS]])
def test_token_for_sts_is_accepted(signer: Signer, audience: Any) -> None:
    signer.provider.verify(signer.token(aud=audience))


def test_token_of_one_of_several_keys_is_accepted(signer: Signer) -> None:
    IdentityProvider(ISSUER, (Signer().public, signer.public)).verify(signer.token())


def test_token_of_another_cluster_is_refused(signer: Signer) -> None:
    refused = refusal(signer.provider, Signer().token())
    assert (refused.code, refused.genuine) == ("InvalidIdentityToken", False)


def test_token_with_other_claims_than_were_signed_is_refused(signer: Signer) -> None:
    header, _, signature = signer.token().split(".")
    _, claims, _ = signer.token(sub="system:serviceaccount:kube-system:admin").split(".")
    assert not refusal(signer.provider, f"{header}.{claims}.{signature}").genuine


def test_token_without_a_signature_is_refused(signer: Signer) -> None:
    content = signer.token("none").rpartition(".")[0]
    assert not refusal(signer.provider, f"{content}.").genuine


def test_token_authenticated_with_the_public_key_as_a_secret_is_refused(signer: Signer) -> None:
    content = signer.token("HS256").rpartition(".")[0]
    code = hmac.new(signer.public.encode(), content.encode(), hashlib.sha256).digest()
    assert not refusal(signer.provider, f"{content}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}").genuine


def test_algorithm_of_another_curve_is_refused(signer: Signer) -> None:
    assert not refusal(signer.provider, signer.token("ES384")).genuine


@pytest.mark.parametrize("token", ["", "a.b.c", "...", "e30.e30.e30", "e30.e30.%%%", "x" * 1000, "é.é.é"])
def test_text_that_is_not_a_token_is_refused(signer: Signer, token: str) -> None:
    assert refusal(signer.provider, token).code == "InvalidIdentityToken"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "https://other.example.test"}, "InvalidIdentityToken"),
        ({"iss": None}, "InvalidIdentityToken"),
        ({"aud": ["https://kubernetes.default.svc"]}, "InvalidIdentityToken"),
        ({"aud": "sts.amazonaws.com.example.test"}, "InvalidIdentityToken"),
        ({"aud": None}, "InvalidIdentityToken"),
        ({"exp": PAST}, "ExpiredTokenException"),
        ({"exp": None}, "ExpiredTokenException"),
        ({"exp": "never"}, "ExpiredTokenException"),
        ({"exp": True}, "ExpiredTokenException"),
        ({"nbf": FUTURE}, "InvalidIdentityToken"),
        ({"iat": FUTURE}, "InvalidIdentityToken"),
    ],
    ids=json.dumps,
)
def test_token_with_wrong_claims_is_refused(signer: Signer, claims: dict[str, Any], code: str) -> None:
    refused = refusal(signer.provider, signer.token(**claims))
    assert (refused.code, refused.genuine) == (code, True)
