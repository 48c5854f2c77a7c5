"""Requests and the certificates for them: names, keys, and the content of a status."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pytest_vault_issuer.certificates import Authority, new_key, to_pem
from pytest_vault_issuer.errors import Unmet
from pytest_vault_issuer.sandbox.csr import (
    KEY_TYPES,
    SigningRequest,
    common_name_of,
    generate_key,
    names_of,
    public_bytes,
    published_key,
)
from pytest_vault_issuer.sandbox.handles import decode_certificates, describe_conditions, is_current


def load(signing: SigningRequest) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(signing.pem.encode())


# -- keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_requests_of_every_key_type(kind: str) -> None:
    signing = SigningRequest.build("a.test", key_type=kind)
    request = load(signing)
    assert request.is_signature_valid
    key = request.public_key()
    family, _, size = kind.partition("-")
    expected = {"rsa": rsa.RSAPublicKey, "ecdsa": ec.EllipticCurvePublicKey, "ed25519": ed25519.Ed25519PublicKey}
    assert isinstance(key, expected[family])
    if size:
        assert getattr(key, "key_size") == int(size)  # noqa: B009 (not every type has one)
    assert public_bytes(key) == public_bytes(signing.key.public_key())


@pytest.mark.parametrize("bits", [4096, 8192])
def test_published_keys_consist_of_primes(bits: int) -> None:
    numbers = published_key(bits).private_numbers()
    assert all(pow(3, prime - 1, prime) == 1 for prime in (numbers.p, numbers.q))


def test_a_given_key_is_used() -> None:
    key = generate_key()
    assert SigningRequest.build("a.test", key=key).key is key


def test_keys_are_new_each_time() -> None:
    assert public_bytes(generate_key().public_key()) != public_bytes(generate_key().public_key())


@pytest.mark.parametrize("kind", ["dsa", "ed448", ""])
def test_unknown_key_type(kind: str) -> None:
    with pytest.raises(ValueError, match=r"no such key type: .*ed25519"):
        generate_key(kind)


def test_a_repr_shows_no_key() -> None:
    assert "key=" not in repr(SigningRequest.build("a.test"))


# -- names ----------------------------------------------------------------------------------------------------


def test_every_kind_of_name() -> None:
    names: dict[str, Any] = {
        "dns": ["a.test", "*.b.test"],
        "ips": ["10.0.0.1", "2001:db8::1"],
        "uris": ["spiffe://a.test/b"],
        "emails": ["a@b.test"],
    }
    request = load(SigningRequest.build("cn.test", organization="org", **names))
    assert request.subject.rfc4514_string() == "CN=cn.test,O=org"
    san = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == names["dns"]
    assert [str(ip) for ip in san.get_values_for_type(x509.IPAddress)] == names["ips"]
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == names["uris"]
    assert san.get_values_for_type(x509.RFC822Name) == names["emails"]


def test_missing_parts_are_left_out() -> None:
    request = load(SigningRequest.build())
    assert list(request.subject) == []
    assert list(request.extensions) == []


def test_names_of_a_certificate() -> None:
    leaf = Authority.root().leaf(new_key().public_key(), "a.test")
    assert names_of(leaf) == {"dns": ["a.test"], "ips": [], "uris": [], "emails": []}
    assert common_name_of(leaf) == "a.test"


def test_names_of_a_certificate_without_any() -> None:
    assert names_of(Authority.root().certificate) == {"dns": [], "ips": [], "uris": [], "emails": []}


# -- whose key ------------------------------------------------------------------------------------------------


def test_a_certificate_matches_its_request_only() -> None:
    mine, other = SigningRequest.build("a.test"), SigningRequest.build("a.test")
    leaf = Authority.root().leaf(mine.key.public_key(), "a.test")
    assert mine.matches(leaf)
    assert not other.matches(leaf)


def test_requests_for_the_same_key() -> None:
    mine = SigningRequest.build("a.test")
    assert mine.is_for_same_key(SigningRequest.build("b.test", key=mine.key).pem)
    assert not mine.is_for_same_key(SigningRequest.build("a.test").pem)


@pytest.mark.parametrize("garbage", ["", "text", None, 7, "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_text_that_is_not_a_csr_is_for_no_key(garbage: object) -> None:
    assert not SigningRequest.build("a.test").is_for_same_key(garbage)


# -- what a status holds --------------------------------------------------------------------------------------


def encoded(*certificates: x509.Certificate) -> str:
    return base64.b64encode("".join(map(to_pem, certificates)).encode()).decode()


def test_certificates_keep_their_order() -> None:
    chain = [authority.certificate for authority in Authority.root().intermediate().intermediate().chain]
    for order in itertools.permutations(chain):
        assert decode_certificates(encoded(*order)) == list(order)


@pytest.mark.parametrize("empty", [None, ""])
def test_no_certificates(empty: str | None) -> None:
    assert decode_certificates(empty) == []


PEM = to_pem(Authority.root().certificate)


@pytest.mark.parametrize(
    "wrong",
    [
        "no base64!",
        "AAA",
        PEM,  # not encoded
        base64.b64encode(b"text").decode(),
        base64.b64encode(PEM.replace("MII", "AAA").encode()).decode(),
        base64.b64encode(PEM[:-40].encode()).decode(),
        "ä",
    ],
)
def test_invalid_status_is_a_failure_of_the_controller(wrong: str) -> None:
    with pytest.raises(Unmet, match="expected PEM certificates in the status"):
        decode_certificates(wrong)


@pytest.mark.parametrize(
    ("generation", "observed", "current"),
    [(3, 3, True), (3, 4, True), (3, 2, False), (3, None, True), (None, None, True), (None, 1, True)],
)
def test_a_condition_speaks_of_the_generation_it_saw(
    generation: int | None, observed: int | None, current: bool
) -> None:
    item = {"metadata": {} if generation is None else {"generation": generation}}
    entry = {"type": "Ready"} | ({} if observed is None else {"observedGeneration": observed})
    assert is_current(item, entry) is current


def test_conditions_are_described_in_words() -> None:
    entry = {"type": "Ready", "status": "False", "reason": "VaultError", "message": "sealed"}
    assert describe_conditions({"status": {"conditions": [entry]}}) == (
        "its conditions: Ready=False VaultError: 'sealed'"
    )
    assert describe_conditions({"status": {"conditions": None}}) == "its status has no conditions"
    assert describe_conditions({}) == "its status has no conditions"
    assert describe_conditions(None) == "it does not exist"
