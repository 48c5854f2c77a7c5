"""Certificate authorities: valid chains, and certificates that a faulty server could return."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pytest_vault_issuer.certificates import Authority, key_to_pem, new_key
from pytest_vault_issuer.sandbox.csr import public_bytes


def chained(leaf: x509.Certificate, authority: Authority) -> None:
    """Check each signature from a leaf to the root."""
    certificate = leaf
    for above in authority.chain:
        certificate.verify_directly_issued_by(above.certificate)
        certificate = above.certificate
    certificate.verify_directly_issued_by(certificate)


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_a_chain_of_any_length_verifies(depth: int) -> None:
    authority = Authority.root()
    for _ in range(depth):
        authority = authority.intermediate()
    assert len(authority.chain) == depth + 1
    chained(authority.leaf(new_key().public_key(), "a.test"), authority)


@pytest.mark.parametrize("key_type", ["ec", "rsa"])
def test_authorities_of_both_key_types(key_type: str) -> None:
    authority = Authority.root(key_type=key_type).intermediate(key_type=key_type)
    assert isinstance(authority.key, {"ec": ec.EllipticCurvePrivateKey, "rsa": rsa.RSAPrivateKey}[key_type])
    chained(authority.leaf(new_key().public_key(), "a.test"), authority)


def test_another_authority_did_not_sign() -> None:
    leaf = Authority.root("same name").leaf(new_key().public_key(), "a.test")
    with pytest.raises(InvalidSignature):
        leaf.verify_directly_issued_by(Authority.root("same name").certificate)


def test_chain_ends_at_its_anchor() -> None:
    root = Authority.root()
    lower = root.intermediate().intermediate()
    assert lower.anchor is root
    assert [authority.certificate for authority in lower.chain][-1] == root.certificate
    assert root.chain == [root]


def test_names_are_random_unless_given() -> None:
    names = {Authority.root().certificate.subject.rfc4514_string() for _ in range(3)}
    assert len(names) == 3
    assert Authority.root("mine").certificate.subject.rfc4514_string() == "CN=mine"


def test_authorities_may_sign_and_leaves_may_not() -> None:
    root = Authority.root()
    leaf = root.leaf(new_key().public_key(), "a.test")
    for certificate, ca in ((root.certificate, True), (root.intermediate().certificate, True), (leaf, False)):
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value.ca) == (True, ca)
    usage = root.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign) == (True, True)


def test_a_leaf_for_any_key_and_time() -> None:
    key = new_key("rsa")
    then = datetime(2020, 1, 1, tzinfo=UTC)
    leaf = Authority.root().leaf(key.public_key(), "a.test", not_before=then, not_after=then + timedelta(days=1))
    assert public_bytes(leaf.public_key()) == public_bytes(key.public_key())
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (then, then + timedelta(days=1))


def test_a_leaf_is_valid_now_by_default() -> None:
    leaf = Authority.root().leaf(new_key().public_key(), "a.test")
    assert leaf.not_valid_before_utc < datetime.now(UTC) < leaf.not_valid_after_utc


def test_authorities_outlive_what_they_sign() -> None:
    root = Authority.root()
    assert root.certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=3000)


def test_pem_round_trip() -> None:
    authority = Authority.root()
    assert x509.load_pem_x509_certificate(authority.pem.encode()) == authority.certificate
    key = serialization.load_pem_private_key(authority.key_pem.encode(), None)
    assert public_bytes(key.public_key()) == public_bytes(authority.certificate.public_key())
    assert authority.key_pem == key_to_pem(authority.key)
    assert authority.key_pem.startswith("-----BEGIN PRIVATE KEY-----")


def test_a_repr_shows_no_key() -> None:
    assert "key=" not in repr(Authority.root())


def test_unknown_key_type() -> None:
    with pytest.raises(ValueError, match="no such key type: dsa"):
        new_key("dsa")
